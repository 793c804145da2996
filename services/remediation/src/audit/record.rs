//! One record.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::case::ActionResult;
use crate::verdict::Verdict;

/// The event that ends an action.
pub(super) const OUTCOME: &str = "outcome";

/// One line of the audit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// From 1, without holes.
    pub seq: u64,
    /// Unix milliseconds.
    pub at: u64,
    /// Who wrote it.
    pub replica: String,
    #[serde(flatten)]
    pub event: Event,
}

/// What happened. Texts are redacted by whoever writes them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// `incident`, `decision`, `intent`, `outcome`, `alert`, `operator`.
    pub event: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// Of an intent and an outcome: which action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", flatten)]
    pub verdict: Option<Verdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ActionResult>,
    /// From the intent to the verified end, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What was seen before, or after.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub evidence: Value,
}

impl Event {
    /// An event of this name, and nothing more yet.
    #[must_use]
    pub fn new(event: &str) -> Self {
        Self { event: event.to_owned(), ..Self::default() }
    }

    /// One about an incident.
    #[must_use]
    pub fn about(event: &str, component: &str, incident: &str) -> Self {
        Self {
            component: Some(component.to_owned()),
            incident: Some(incident.to_owned()),
            ..Self::new(event)
        }
    }

    /// The action that it ends.
    pub(super) fn ends(&self) -> Option<&str> {
        self.attempt.as_deref().filter(|_| self.event == OUTCOME)
    }
}
