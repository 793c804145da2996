//! Kind `alertmanager`: whether it is ready, and which alerts are firing.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;

use super::endpoint::Endpoint;
use super::{Keys, Probe};
use crate::finding::Finding;
use crate::traffic::{AlertSource, FiringAlert};

#[derive(Debug)]
struct Alertmanager {
    endpoint: Endpoint,
}

/// One alert of `GET /api/v2/alerts`.
#[derive(Deserialize)]
struct Alert {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

pub(super) fn read(keys: &mut Keys<'_>) -> Option<Box<dyn Probe>> {
    let endpoint =
        Endpoint::read(keys, "Where Alertmanager answers, such as `http://alertmanager:9093`.")?;
    Some(Box::new(Alertmanager { endpoint }))
}

#[async_trait]
impl Probe for Alertmanager {
    async fn check(&self, deadline: Duration) -> Finding {
        self.endpoint.ready("/-/ready", deadline).await
    }

    fn alerts(&self) -> Option<&dyn AlertSource> {
        Some(self)
    }
}

#[async_trait]
impl AlertSource for Alertmanager {
    async fn firing(&self) -> Result<Vec<FiringAlert>, String> {
        // Of an unprocessed one it is not known yet whether it is silenced.
        let query = [
            ("active", "true"),
            ("silenced", "false"),
            ("inhibited", "false"),
            ("unprocessed", "false"),
        ];
        let alerts: Vec<Alert> = self.endpoint.json("/api/v2/alerts", &query).await?;
        // What the monitor's own facts say is known here, and better: with its maintenance windows.
        let news = alerts
            .into_iter()
            .filter(|alert| alert.labels.get("notify").is_none_or(|by| by != "monitor"));
        Ok(news.map(Alert::into_firing).filter(|a| a.severity != "none").collect())
    }
}

impl Alert {
    fn into_firing(mut self) -> FiringAlert {
        let mut label = |name| self.labels.remove(name);
        let name = label("alertname").unwrap_or_else(|| "unnamed".to_owned());
        // What has no severity is not harmless for that.
        let severity = label("severity").unwrap_or_else(|| "warning".to_owned());
        let summary = self.annotations.remove("summary");
        let summary = summary.or_else(|| self.annotations.remove("description"));
        FiringAlert { name, severity, summary: summary.unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests;
