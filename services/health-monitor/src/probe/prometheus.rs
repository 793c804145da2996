//! Kind `prometheus`: whether it is ready, and the figures of the calls that it scraped.

use std::time::Duration;

use async_trait::async_trait;
use mcpmon_metrics::catalogue::{REQUEST_DURATION, TOOL_CALLS};
use mcpmon_metrics::label::Status;
use serde::Deserialize;

use super::endpoint::Endpoint;
use super::{Keys, Probe};
use crate::finding::Finding;
use crate::traffic::{Figures, Traffic, TrafficSource};

const QUERY: &str = "/api/v1/query";

#[derive(Debug)]
struct Prometheus {
    endpoint: Endpoint,
}

/// The reply to an instant query that gives a vector.
#[derive(Deserialize)]
struct Answer {
    data: Vector,
}

#[derive(Deserialize)]
struct Vector {
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    metric: Labels,
    /// When, and how much: a number as a text, which may be `NaN` or `+Inf`.
    value: (f64, String),
}

/// Empty where a sum left the label out.
#[derive(Deserialize)]
struct Labels {
    #[serde(default)]
    server: String,
    #[serde(default)]
    tool_name: String,
    #[serde(default)]
    status: String,
}

pub(super) fn read(keys: &mut Keys<'_>) -> Option<Box<dyn Probe>> {
    let endpoint =
        Endpoint::read(keys, "Where Prometheus answers, such as `http://prometheus:9090`.")?;
    Some(Box::new(Prometheus { endpoint }))
}

#[async_trait]
impl Probe for Prometheus {
    async fn check(&self, deadline: Duration) -> Finding {
        self.endpoint.ready("/-/ready", deadline).await
    }

    fn traffic(&self) -> Option<&dyn TrafficSource> {
        Some(self)
    }
}

#[async_trait]
impl TrafficSource for Prometheus {
    async fn traffic(&self) -> Result<Traffic, String> {
        let (calls, durations) = (calls_query(), durations_query());
        let (calls, durations) =
            (async { self.endpoint.json::<Answer>(QUERY, &[("query", &calls)]).await }, async {
                self.endpoint.json::<Answer>(QUERY, &[("query", &durations)]).await
            });
        let (calls, durations) = futures_util::future::try_join(calls, durations).await?;
        Ok(figures(calls.data.result, durations.data.result))
    }
}

/// The calls of the last five minutes, by how they ended.
fn calls_query() -> String {
    format!("sum by (server, tool_name, status) (increase({}[5m]))", TOOL_CALLS.name)
}

/// The 95th percentile of each server, without `tool_name`, and of each tool.
fn durations_query() -> String {
    let by = |labels| {
        format!(
            "histogram_quantile(0.95, sum by ({labels}, le) (rate({}_bucket[5m])))",
            REQUEST_DURATION.name
        )
    };
    format!("{} or {}", by("server"), by("server, tool_name"))
}

fn figures(calls: Vec<Sample>, durations: Vec<Sample>) -> Traffic {
    let mut traffic = Traffic::default();
    // Errors are counted in the ratio's place until all are in.
    for Sample { metric: labels, value: (_, value) } in calls {
        let (Ok(status), Some(count)) = (labels.status.parse::<Status>(), number(&value)) else {
            continue;
        };
        let failed = match status {
            Status::Success => false,
            Status::Error | Status::Timeout => true,
            Status::Cancelled => continue,
        };
        let server = traffic.servers.entry(labels.server.clone()).or_default();
        let tool = traffic.tools.entry((labels.server, labels.tool_name)).or_default();
        for figures in [server, tool] {
            figures.calls += count;
            *figures.error_ratio.get_or_insert_default() += if failed { count } else { 0.0 };
        }
    }
    for figures in traffic.servers.values_mut().chain(traffic.tools.values_mut()) {
        let errors = figures.error_ratio.filter(|_| figures.calls > 0.0);
        figures.error_ratio = errors.map(|errors| errors / figures.calls);
    }
    for Sample { metric: labels, value: (_, value) } in durations {
        // `NaN`: there were no calls.
        let Some(p95) = number(&value) else { continue };
        let figures: &mut Figures = if labels.tool_name.is_empty() {
            traffic.servers.entry(labels.server).or_default()
        } else {
            traffic.tools.entry((labels.server, labels.tool_name)).or_default()
        };
        figures.p95_seconds = Some(p95);
    }
    traffic
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests;
