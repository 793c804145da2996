//! Alertmanager's webhook: the last alerts, for the page.
//!
//! This is the default receiver, so alerts are seen even where no messenger is configured.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use mcpmon_metrics::catalogue::ALERTS_RECEIVED;
use mcpmon_metrics::{Counter, Metrics};
use serde::{Deserialize, Serialize};

const KEPT: usize = 50;
const MAX_TEXT_CHARS: usize = 300;

/// Alertmanager's webhook body, version 4; keys that are not used here are left out.
#[derive(Debug, Deserialize)]
pub(crate) struct Notification {
    alerts: Vec<Incoming>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Incoming {
    status: Status,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    starts_at: String,
    #[serde(default)]
    ends_at: String,
    #[serde(default)]
    fingerprint: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Firing,
    Resolved,
}

/// One alert as the page shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Alert {
    pub(crate) name: String,
    pub(crate) status: Status,
    pub(crate) severity: String,
    pub(crate) server: String,
    pub(crate) summary: String,
    pub(crate) starts_at: String,
    pub(crate) ends_at: String,
    /// What Alertmanager knows the alert by; empty when it did not say.
    #[serde(skip)]
    fingerprint: String,
}

impl From<Incoming> for Alert {
    fn from(mut incoming: Incoming) -> Self {
        let short = |text: String| text.chars().take(MAX_TEXT_CHARS).collect::<String>();
        let mut label = |name: &str| short(incoming.labels.remove(name).unwrap_or_default());
        let (name, severity, server) = (label("alertname"), label("severity"), label("server"));
        let summary = incoming.annotations.remove("summary");
        let summary = summary.or_else(|| incoming.annotations.remove("description"));
        Self {
            name,
            status: incoming.status,
            severity,
            server,
            summary: short(summary.unwrap_or_default()),
            starts_at: short(incoming.starts_at),
            ends_at: short(incoming.ends_at),
            fingerprint: short(incoming.fingerprint),
        }
    }
}

impl Alert {
    fn is_same(&self, other: &Self) -> bool {
        !self.fingerprint.is_empty()
            && (&self.fingerprint, &self.starts_at) == (&other.fingerprint, &other.starts_at)
    }
}

/// The last alerts, newest first.
#[derive(Debug)]
pub(crate) struct Alerts {
    kept: Mutex<VecDeque<Alert>>,
    firing: Counter,
    resolved: Counter,
}

impl Alerts {
    /// No alerts yet.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let counter = |status| metrics.counter(ALERTS_RECEIVED, &[status]);
        Self { kept: Mutex::default(), firing: counter("firing"), resolved: counter("resolved") }
    }

    /// Keeps what Alertmanager sent. An alert that was sent before takes the place of what was
    /// known of it: a whole group is sent again whenever one of its alerts changes.
    pub(crate) fn receive(&self, notification: Notification) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for alert in notification.alerts.into_iter().map(Alert::from) {
            match alert.status {
                Status::Firing => self.firing.add(1),
                Status::Resolved => self.resolved.add(1),
            }
            kept.retain(|known| !known.is_same(&alert));
            kept.push_front(alert);
            kept.truncate(KEPT);
        }
    }

    /// The last alerts, newest first.
    pub(crate) fn list(&self) -> Vec<Alert> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().cloned().collect()
    }
}
