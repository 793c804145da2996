//! Kind `exporter`: whether it is ready, and the figures of the calls as it counted them.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;

use super::endpoint::Endpoint;
use super::{Keys, Probe};
use crate::finding::Finding;
use crate::traffic::{Figures, Traffic, TrafficSource};

#[derive(Debug)]
struct Exporter {
    endpoint: Endpoint,
}

/// What we need of `GET /api/v1/summary`.
#[derive(Deserialize)]
struct Summary {
    servers: Vec<Row>,
    tools: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    server: String,
    #[serde(default)]
    tool: String,
    calls: u64,
    error_ratio: Option<f64>,
    p95_seconds: Option<f64>,
}

pub(super) fn read(keys: &mut Keys<'_>) -> Option<Box<dyn Probe>> {
    let endpoint =
        Endpoint::read(keys, "Where mcp-exporter answers, such as `http://mcp-exporter:9090`.")?;
    Some(Box::new(Exporter { endpoint }))
}

#[async_trait]
impl Probe for Exporter {
    async fn check(&self, deadline: Duration) -> Finding {
        self.endpoint.ready("/health/ready", deadline).await
    }

    fn traffic(&self) -> Option<&dyn TrafficSource> {
        Some(self)
    }
}

#[async_trait]
impl TrafficSource for Exporter {
    async fn traffic(&self) -> Result<Traffic, String> {
        let summary: Summary = self.endpoint.json("/api/v1/summary", &[]).await?;
        let servers = summary.servers.into_iter();
        let tools = summary.tools.into_iter();
        Ok(Traffic {
            servers: servers.map(|row| (row.server.clone(), row.figures())).collect(),
            tools: tools
                .map(|row| ((row.server.clone(), row.tool.clone()), row.figures()))
                .collect(),
        })
    }
}

impl Row {
    fn figures(&self) -> Figures {
        Figures {
            // The exporter's count has the cancelled calls in it. Without a ratio nothing else
            // ended; with one, a few cancelled calls more make the figures count a little sooner.
            calls: if self.error_ratio.is_some() { self.calls as f64 } else { 0.0 },
            error_ratio: self.error_ratio,
            p95_seconds: self.p95_seconds,
        }
    }
}

#[cfg(test)]
mod tests;
