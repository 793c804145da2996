//! What is known of a component, shared by all replicas: the document `component:<name>`, whose
//! position is the slot of the last check.

use std::collections::BTreeMap;
use std::fmt;

use mcpmon_coordination::incident::Failure;
use mcpmon_coordination::typed::{self, Change};
use mcpmon_coordination::{Key, Store, store};
use serde::{Deserialize, Serialize};

use crate::drift;
use crate::finding::{Inventory, Outcome};

/// A component's state, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Healthy,
    /// Slow, flapping, failing but not often enough yet, or with a warning.
    Degraded,
    Unhealthy,
    Unknown,
    AuthRequired,
    RateLimited,
    HttpUpMcpBroken,
    ProtocolMismatch,
    ToolsMissing,
    UnsupportedTransport,
}

/// What is known of a component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The group of like components, for whoever must not take the last one down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// How often it is checked: a record older than two of these is old.
    #[serde(default)]
    pub interval_ms: u64,
    /// The slot of the last check: its scheduled start, in Unix milliseconds.
    pub slot: u64,
    /// When that check ended, in Unix milliseconds.
    pub checked_at: u64,
    pub state: State,
    /// Since when it is in this state, in Unix milliseconds.
    pub since: u64,
    /// What the last check found.
    pub outcome: Outcome,
    /// Whether it was up when something was last known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// Whether it failed often enough for an incident; stays until it is healthy again.
    pub in_trouble: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it is degraded although it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    pub consecutive_failures: u32,
    /// Checks in a row in which our own side was at fault.
    #[serde(default)]
    pub consecutive_unknown: u32,
    /// The first failure of the present trouble; it names the incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_failed_at: Option<u64>,
    /// It asked not to be checked before this time, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
    /// Of an MCP server: what it offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Tools>,
}

/// The tools of an MCP server, as known from its listings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tools {
    /// The last complete listing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<Inventory>,
    /// Every known tool and whether it can be called. A tool that vanished stays here as
    /// unavailable until somebody acknowledges that it is gone.
    pub available: BTreeMap<String, bool>,
}

impl State {
    /// Every state, in the order of the catalogue.
    pub const ALL: [Self; 10] = [
        Self::Healthy,
        Self::Degraded,
        Self::Unhealthy,
        Self::Unknown,
        Self::AuthRequired,
        Self::RateLimited,
        Self::HttpUpMcpBroken,
        Self::ProtocolMismatch,
        Self::ToolsMissing,
        Self::UnsupportedTransport,
    ];

    /// The state in the words of labels and replies.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
            Self::AuthRequired => "auth_required",
            Self::RateLimited => "rate_limited",
            Self::HttpUpMcpBroken => "http_up_mcp_broken",
            Self::ProtocolMismatch => "protocol_mismatch",
            Self::ToolsMissing => "tools_missing",
            Self::UnsupportedTransport => "unsupported_transport",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Record {
    /// What failed, while the last check says so.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        match self.outcome {
            Outcome::Fail(failure) => Some(failure),
            Outcome::Ok | Outcome::Unknown(_) => None,
        }
    }
}

/// The document of a component's record.
#[must_use]
pub fn key(component: &str) -> Key {
    Key::new(&["component", component])
}

/// The record of one component.
///
/// # Errors
/// When the store cannot be asked, or what it holds is no record.
pub async fn read(store: &dyn Store, component: &str) -> Result<Option<Record>, store::Error> {
    Ok(typed::read(store, &key(component)).await?.map(|(_, record)| record))
}

/// Forgets the tools that vanished from the component's listing, and says which.
///
/// # Errors
/// When the store cannot be asked, or what it holds is no record.
pub async fn accept_tools(store: &dyn Store, component: &str) -> Result<Vec<String>, store::Error> {
    typed::change(store, &key(component), |stored: Option<typed::Placed<Record>>| {
        let Some((last, mut record)) = stored else { return Change::Keep(Vec::new()) };
        let forgotten = record.tools.as_mut().map(drift::accept).unwrap_or_default();
        if forgotten.is_empty() {
            return Change::Keep(forgotten);
        }
        let position = last.saturating_add(1);
        Change::Write { position, value: record, ttl: None, result: forgotten }
    })
    .await
}

/// Every record, by component.
///
/// # Errors
/// When the store cannot be asked.
pub async fn all(store: &dyn Store) -> Result<BTreeMap<String, Record>, store::Error> {
    typed::list(store, &Key::new(&["component"])).await
}

#[cfg(test)]
pub(crate) mod tests {
    use mcpmon_coordination::inventory::{self, Member};

    use super::*;
    use crate::finding::{ToolListing, Unknown};

    /// A record after one check.
    pub(crate) fn record(slot: u64, outcome: Outcome) -> Record {
        let failed = matches!(outcome, Outcome::Fail(_));
        Record {
            kind: "http".into(),
            server: None,
            group: None,
            depends_on: Vec::new(),
            interval_ms: 300_000,
            slot,
            checked_at: slot,
            state: if failed { State::Degraded } else { State::Healthy },
            since: slot,
            outcome,
            up: Some(true),
            in_trouble: false,
            latency_ms: None,
            error: None,
            warning: None,
            consecutive_failures: u32::from(failed),
            consecutive_unknown: 0,
            first_failed_at: failed.then_some(slot),
            not_before: None,
            tools: None,
        }
    }

    /// Remediation and others read the same document; both sides name every field, so that neither
    /// gains or renames one alone.
    #[tokio::test]
    async fn others_read_a_record_as_a_member() {
        let tool = |schema_hash| ToolListing { schema_hash, schema_valid: true };
        let listing = Inventory {
            protocol_version: "2025-11-25".into(),
            tools: [("a".into(), tool(7)), ("b".into(), tool(u64::MAX))].into(),
            complete: true,
        };
        let full = Record {
            kind: "mcp".into(),
            server: Some("boutique".into()),
            group: Some("shops".into()),
            depends_on: vec!["redis".into()],
            interval_ms: 60_000,
            slot: 5_000,
            checked_at: 5_200,
            state: State::Unhealthy,
            since: 4_000,
            outcome: Outcome::Fail(Failure::Http5xx),
            up: Some(false),
            in_trouble: true,
            latency_ms: Some(200),
            error: Some("HTTP 503".into()),
            warning: Some("the certificate ends".into()),
            consecutive_failures: 3,
            consecutive_unknown: 0,
            first_failed_at: Some(3_000),
            not_before: None,
            tools: Some(Tools {
                listing: Some(listing.clone()),
                available: [("a".into(), false), ("b".into(), false)].into(),
            }),
        };
        let store = mcpmon_coordination::Memory::new();
        write(&store, "full", full.clone()).await;
        let Member {
            kind,
            server,
            group,
            depends_on,
            interval_ms,
            slot,
            checked_at,
            state,
            outcome,
            up,
            in_trouble,
            latency_ms,
            error,
            consecutive_failures,
            first_failed_at,
            tools,
        } = inventory::member(&store, "full").await.unwrap().unwrap();
        assert_eq!((kind, server, group), (full.kind, full.server, full.group));
        assert_eq!((depends_on, interval_ms), (full.depends_on, full.interval_ms));
        assert_eq!((slot, checked_at), (full.slot, full.checked_at));
        assert_eq!((state.as_str(), up, in_trouble), ("unhealthy", full.up, full.in_trouble));
        assert_eq!(outcome, inventory::Outcome::Fail(Failure::Http5xx));
        assert_eq!((latency_ms, error), (full.latency_ms, full.error));
        assert_eq!(consecutive_failures, full.consecutive_failures);
        assert_eq!(first_failed_at, full.first_failed_at);
        let inventory::Tools { listing: read, available } = tools.unwrap();
        assert_eq!(available, full.tools.unwrap().available);
        let read = read.unwrap();
        assert_eq!(
            (&read.protocol_version, read.hash()),
            (&listing.protocol_version, listing.hash())
        );
        assert_eq!(read.tools.keys().collect::<Vec<_>>(), ["a", "b"]);

        // Each outcome and state, and a record with little in it.
        let unknown = |why: &str| inventory::Outcome::Unknown(why.to_owned());
        let outcomes = [
            (Outcome::Ok, inventory::Outcome::Ok),
            (Outcome::Unknown(Unknown::OurSide), unknown("our_side")),
            (Outcome::Unknown(Unknown::UnsupportedTransport), unknown("unsupported_transport")),
            (Outcome::Unknown(Unknown::RateLimited), unknown("rate_limited")),
        ];
        for (slot, (ours, theirs)) in (1..).zip(outcomes) {
            write(&store, "small", record(slot, ours)).await;
            let members = inventory::read(&store).await.unwrap();
            assert_eq!(members.keys().collect::<Vec<_>>(), ["full", "small"]);
            let Member { slot: read, outcome, tools, .. } = &members["small"];
            assert_eq!((*read, outcome, tools), (slot, &theirs, &None));
        }
        for state in State::ALL {
            let record = Record { state, ..record(1, Outcome::Ok) };
            let member: Member =
                serde_json::from_value(serde_json::to_value(record).unwrap()).unwrap();
            assert_eq!(member.state, state.as_str());
        }
    }

    async fn write(store: &dyn Store, component: &str, record: Record) {
        typed::change(store, &key(component), |_: Option<typed::Placed<Record>>| {
            let (position, value) = (record.slot, record.clone());
            Change::Write { position, value, ttl: None, result: () }
        })
        .await
        .unwrap();
    }

    #[test]
    fn states_are_stored_under_the_names_that_people_see() {
        for state in State::ALL {
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
        }
    }
}
