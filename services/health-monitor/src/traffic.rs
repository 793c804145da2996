//! What the calls and the alerts say: sources that the verdict asks, beside the probes.

use std::collections::BTreeMap;

use async_trait::async_trait;

/// The calls of the last five minutes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traffic {
    /// By server, over all its tools.
    pub servers: BTreeMap<String, Figures>,
    /// By server and tool.
    pub tools: BTreeMap<(String, String), Figures>,
}

/// The figures of a server or a tool.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Calls that ended, cancelled ones left out.
    pub calls: f64,
    /// (error + timeout) / (success + error + timeout); none without calls.
    pub error_ratio: Option<f64>,
    pub p95_seconds: Option<f64>,
}

/// An alert that is firing and neither silenced nor inhibited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiringAlert {
    pub name: String,
    /// `critical`, `warning`, `none`, …
    pub severity: String,
    pub summary: String,
}

/// Who knows about calls.
#[async_trait]
pub trait TrafficSource: Send + Sync {
    /// The calls of the last five minutes.
    ///
    /// # Errors
    /// When they cannot be read; in words for people, redacted.
    async fn traffic(&self) -> Result<Traffic, String>;
}

/// Who knows about alerts.
#[async_trait]
pub trait AlertSource: Send + Sync {
    /// The alerts that are firing now.
    ///
    /// # Errors
    /// When they cannot be read; in words for people, redacted.
    async fn firing(&self) -> Result<Vec<FiringAlert>, String>;
}
