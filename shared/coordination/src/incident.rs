//! Incidents: from the monitor or Alertmanager, through an at-least-once stream, to remediation.
//!
//! At most one is open per component; it is kept in a document, and whoever reports the same
//! trouble joins it. The stream may carry one twice; its key says so.

mod open;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::open::{
    Opened, last_incident, last_incidents, open, open_incident, resolve, resolve_own, resolve_sole,
};
use crate::store::{Error, Key, Store};

/// How long an incident may be acted upon.
pub const EXPIRES_AFTER: Duration = Duration::from_secs(10 * 60);

const SCHEMA: u32 = 1;

/// One incident, as the stream carries it. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    schema: Schema,
    /// `<component>@<first_failed_at>`: the same for every message about it.
    pub key: String,
    /// The component's configured name.
    pub component: String,
    /// The component's kind, for instance `mcp`.
    pub kind: String,
    /// The MCP server, where the component is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// What failed.
    pub failure: Failure,
    /// When it began.
    pub first_failed_at: u64,
    /// The check that reported it.
    pub slot: u64,
    /// What was seen.
    #[serde(default)]
    pub evidence: Evidence,
    /// The group that must keep a number of healthy members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The components that this one needs.
    #[serde(default)]
    pub depends_on: Vec<String>,
    /// Who reported it first.
    pub origin: Origin,
    /// Whether it is over.
    pub state: State,
    /// After this time nobody acts on it without looking again.
    pub expires_at: u64,
}

/// What was seen. Redacted by whoever writes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// How long the check took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// The error's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the contract and say it all")]
pub enum Failure {
    ConnectionRefused,
    Dns,
    Tls,
    Timeout,
    #[serde(rename = "http_4xx")]
    Http4xx,
    #[serde(rename = "http_5xx")]
    Http5xx,
    BadBody,
    McpBroken,
    ProtocolMismatch,
    ToolsMissing,
    CanaryFailed,
    AuthRequired,
    RateLimited,
    Other,
}

/// Who reported it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// `mcp-health-monitor`.
    Monitor,
    /// Alertmanager's webhook.
    Alertmanager,
}

/// Whether it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is not.
    Opened,
    /// It is.
    Resolved,
}

/// An incident out of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    /// To acknowledge it with.
    pub id: String,
    /// What happened.
    pub incident: Incident,
    /// How often it was delivered, this time included.
    pub deliveries: u64,
}

/// The one schema that we read and write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
struct Schema;

impl From<Schema> for u32 {
    fn from(_: Schema) -> Self {
        SCHEMA
    }
}

impl TryFrom<u32> for Schema {
    type Error = String;

    fn try_from(schema: u32) -> Result<Self, String> {
        let known = schema == SCHEMA;
        known.then_some(Self).ok_or_else(|| format!("schema {schema} is not known, only {SCHEMA}"))
    }
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

impl Incident {
    /// An incident that began at `first_failed_at`, reported by the check of `slot`, without
    /// evidence. It expires ten minutes after `slot`.
    #[must_use]
    pub fn new(
        component: &str,
        kind: &str,
        failure: Failure,
        origin: Origin,
        first_failed_at: u64,
        slot: u64,
    ) -> Self {
        Self {
            schema: Schema,
            key: format!("{component}@{first_failed_at}"),
            component: component.to_owned(),
            kind: kind.to_owned(),
            server: None,
            failure,
            first_failed_at,
            slot,
            evidence: Evidence::default(),
            group: None,
            depends_on: Vec::new(),
            origin,
            state: State::Opened,
            expires_at: expiry(slot),
        }
    }
}

/// Ten minutes after the check that spoke last.
fn expiry(slot: u64) -> u64 {
    slot.saturating_add(u64::try_from(EXPIRES_AFTER.as_millis()).expect("ten minutes are few"))
}

/// Sends the incident. [`open`] and [`resolve`] do it for who keeps to one per component.
///
/// # Errors
/// When the store cannot be asked; it may have been sent.
pub async fn publish(store: &dyn Store, incident: &Incident) -> Result<(), Error> {
    let value = serde_json::to_string(incident).expect("an incident is JSON");
    store.publish(&stream(), &value).await.map(drop)
}

/// Incidents for `consumer` among those who share the work as `group`; see [`Store::consume`]. Of
/// several messages about one incident in one read, with the same state, one is given and the
/// others are acknowledged. What cannot be read is acknowledged and logged, or it would come back
/// for ever.
///
/// # Errors
/// When the store cannot be asked.
pub async fn consume(
    store: &dyn Store,
    group: &str,
    consumer: &str,
    patience: Duration,
    wait: Duration,
) -> Result<Vec<Delivered>, Error> {
    let mut delivered: Vec<Delivered> = Vec::new();
    let mut seen = BTreeMap::new();
    for entry in store.consume(&stream(), group, consumer, patience, wait).await? {
        let (id, deliveries) = (entry.id, entry.deliveries);
        match serde_json::from_str::<Incident>(&entry.value) {
            Ok(incident) => {
                let known = seen.insert(incident.key.clone(), incident.state);
                if known == Some(incident.state) {
                    store.acknowledge(&stream(), group, &id).await?;
                } else {
                    delivered.push(Delivered { id, incident, deliveries });
                }
            }
            Err(error) => {
                tracing::warn!(id, %error, "an entry of the incident stream cannot be read");
                store.acknowledge(&stream(), group, &id).await?;
            }
        }
    }
    Ok(delivered)
}

/// Says that the incident was dealt with: it is not delivered again.
///
/// # Errors
/// When the store cannot be asked.
pub async fn acknowledge(store: &dyn Store, group: &str, id: &str) -> Result<(), Error> {
    store.acknowledge(&stream(), group, id).await
}

fn stream() -> Key {
    Key::new(&["incidents"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_as_agreed() {
        let mut incident =
            Incident::new("api", "http", Failure::Http5xx, Origin::Monitor, 1_000, 2_000);
        incident.evidence.error = Some("503".to_owned());
        let text = serde_json::to_string(&incident).unwrap();
        assert_eq!(
            text,
            r#"{"schema":1,"key":"api@1000","component":"api","kind":"http","failure":"http_5xx","first_failed_at":1000,"slot":2000,"evidence":{"error":"503"},"depends_on":[],"origin":"monitor","state":"opened","expires_at":602000}"#
        );
        assert_eq!(serde_json::from_str::<Incident>(&text).unwrap(), incident);
        let newer = text.replace("\"schema\":1", "\"schema\":2");
        let error = serde_json::from_str::<Incident>(&newer).unwrap_err().to_string();
        assert!(error.starts_with("schema 2 is not known, only 1"), "{error}");
    }
}
