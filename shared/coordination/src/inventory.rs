//! What the monitor knows of each component, as far as others may rely on it.
//!
//! The monitor keeps the document `component:<name>`, whose position is the slot of the last check
//! or a little more. It may hold more than stands here.

use std::collections::BTreeMap;
use std::hash::{Hash as _, Hasher as _};

use serde::{Deserialize, Serialize};

use crate::incident::Failure;
use crate::store::{Error, Key, Store};
use crate::typed;

/// One component. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// For instance `mcp`.
    pub kind: String,
    /// The MCP server under whose name its calls are counted.
    #[serde(default)]
    pub server: Option<String>,
    /// The group of like components.
    #[serde(default)]
    pub group: Option<String>,
    /// The components that this one needs.
    #[serde(default)]
    pub depends_on: Vec<String>,
    /// How often it is checked.
    #[serde(default)]
    pub interval_ms: u64,
    /// The slot of the last check: its scheduled start.
    pub slot: u64,
    /// When that check ended.
    pub checked_at: u64,
    /// The state in the words of the page and the metrics, for instance `healthy`.
    pub state: String,
    /// What the last check found.
    pub outcome: Outcome,
    /// Whether it was up when something was last known of it.
    #[serde(default)]
    pub up: Option<bool>,
    /// Whether it failed often enough for an incident; stays until it is healthy again.
    pub in_trouble: bool,
    /// How long the component took to answer.
    #[serde(default)]
    pub latency_ms: Option<u64>,
    /// What was wrong: redacted, on one line.
    #[serde(default)]
    pub error: Option<String>,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// The first failure of the present trouble; it names the incident.
    #[serde(default)]
    pub first_failed_at: Option<u64>,
    /// Of an MCP server: what it offers.
    #[serde(default)]
    pub tools: Option<Tools>,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The component answered as it should.
    Ok,
    /// It did not.
    Fail(Failure),
    /// Nothing is known of it, for this reason: `our_side`, `unsupported_transport` or
    /// `rate_limited`. It says nothing against the component.
    Unknown(String),
}

/// The tools of an MCP server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tools {
    /// The last complete listing.
    #[serde(default)]
    pub listing: Option<Listing>,
    /// Every known tool and whether it can be called now.
    pub available: BTreeMap<String, bool>,
}

/// A complete listing. Those of two protocol revisions cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The revision in which the server was asked.
    pub protocol_version: String,
    /// The tools by name.
    pub tools: BTreeMap<String, Tool>,
}

/// One tool as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Changes when the tool's input schema changes.
    pub schema_hash: u64,
}

impl Member {
    /// The hash of the last complete listing, as a check on demand gives it (there in 16
    /// hexadecimal digits).
    #[must_use]
    pub fn tools_hash(&self) -> Option<u64> {
        self.tools.as_ref()?.listing.as_ref().map(Listing::hash)
    }
}

impl Listing {
    /// See [`tools_hash`].
    #[must_use]
    pub fn hash(&self) -> u64 {
        tools_hash(self.tools.iter().map(|(name, tool)| (name.as_str(), tool.schema_hash)))
    }
}

/// One number for all tools, in the order of their names, and their schemas; equal when nothing
/// changed.
#[must_use]
pub fn tools_hash<'a>(tools: impl Iterator<Item = (&'a str, u64)>) -> u64 {
    // FNV is the same in every process and version, as a number that is stored must be.
    let mut hasher = fnv::FnvHasher::default();
    for (name, schema_hash) in tools {
        name.hash(&mut hasher);
        schema_hash.hash(&mut hasher);
    }
    hasher.finish()
}

/// Every component that the monitor checked, by name. One that cannot be read is left out and
/// logged.
///
/// # Errors
/// When the store cannot be asked.
pub async fn read(store: &dyn Store) -> Result<BTreeMap<String, Member>, Error> {
    typed::list(store, &Key::new(&["component"])).await
}

/// One component; none before its first check.
///
/// # Errors
/// When the store cannot be asked, or what it holds is no such document.
pub async fn member(store: &dyn Store, name: &str) -> Result<Option<Member>, Error> {
    let stored = typed::read(store, &Key::new(&["component", name])).await?;
    Ok(stored.map(|(_, member)| member))
}
