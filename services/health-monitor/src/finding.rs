//! What one probe found: OK, FAIL or UNKNOWN, and what was seen.
//!
//! FAIL is what the component did wrong. Whatever is wrong on our side, a resolver, file
//! descriptors, our own lag, is UNKNOWN: it counts for nothing and repairs nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use mcpmon_coordination::incident::Failure;
use mcpmon_coordination::inventory::tools_hash;
use mcpmon_metrics::redact;
use serde::{Deserialize, Serialize};

/// The longest text of an error, in characters.
const LONGEST_ERROR: usize = 300;

/// How a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The component answered as it should.
    Ok,
    /// It did not.
    Fail(Failure),
    /// Nothing is known of the component.
    Unknown(Unknown),
}

/// Why nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// Something on the monitor's own side failed: it is degraded, and says so.
    OurSide,
    /// The server only speaks HTTP+SSE, the transport of 2024-11-05, which we cannot probe.
    UnsupportedTransport,
    /// The server asks us to come back later.
    RateLimited,
}

/// What one probe found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub outcome: Outcome,
    /// How long the component took to answer; none when it did not.
    pub latency: Option<Duration>,
    /// What was wrong, redacted, on one line.
    pub error: Option<String>,
    /// What is not wrong yet, such as a certificate that ends soon: the component is degraded.
    pub warning: Option<String>,
    /// Do not ask again before this time is over: the server's `Retry-After`.
    pub retry_after: Option<Duration>,
    /// What the MCP server offers; none from other kinds, and none when it was not listed.
    pub inventory: Option<Inventory>,
}

/// What an MCP server offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The protocol revision in which it was asked. Listings of different revisions may differ.
    pub protocol_version: String,
    /// The tools by name.
    pub tools: BTreeMap<String, ToolListing>,
    /// Whether the listing was read to its end.
    pub complete: bool,
}

/// One tool as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolListing {
    /// Changes when the tool's input schema changes.
    pub schema_hash: u64,
    /// Whether the input schema is a JSON schema for an object.
    pub schema_valid: bool,
}

impl Finding {
    /// The component answered as it should.
    #[must_use]
    pub fn ok(latency: Duration) -> Self {
        Self { latency: Some(latency), ..Self::new(Outcome::Ok) }
    }

    /// The component is at fault.
    #[must_use]
    pub fn fail(failure: Failure, error: impl AsRef<str>) -> Self {
        Self { error: Some(tidy(error.as_ref())), ..Self::new(Outcome::Fail(failure)) }
    }

    /// Nothing is known of the component.
    #[must_use]
    pub fn unknown(why: Unknown, error: impl AsRef<str>) -> Self {
        Self { error: Some(tidy(error.as_ref())), ..Self::new(Outcome::Unknown(why)) }
    }

    /// The finding with the time that the answer took.
    #[must_use]
    pub fn after(self, latency: Duration) -> Self {
        Self { latency: Some(latency), ..self }
    }

    /// The finding with a warning.
    #[must_use]
    pub fn warn(self, warning: impl AsRef<str>) -> Self {
        Self { warning: Some(tidy(warning.as_ref())), ..self }
    }

    fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            latency: None,
            error: None,
            warning: None,
            retry_after: None,
            inventory: None,
        }
    }
}

impl Inventory {
    /// One number for all tools and their schemas; equal when nothing changed.
    #[must_use]
    pub fn hash(&self) -> u64 {
        tools_hash(self.tools.iter().map(|(name, tool)| (name.as_str(), tool.schema_hash)))
    }
}

/// Redacted, on one line, and short: it goes to Slack, logs, Redis and the page.
fn tidy(text: &str) -> String {
    let text = redact::redact(text);
    let words: Vec<&str> =
        text.split(char::is_whitespace).filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    match line.char_indices().nth(LONGEST_ERROR) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_short_redacted_and_on_one_line() {
        let error = format!(
            "GET http://u:s3cret@host/?token=abcdef123456\nfailed\u{7} {}",
            "x".repeat(999)
        );
        let finding = Finding::fail(Failure::Other, error);
        let error = finding.error.unwrap();
        assert!(!error.contains("s3cret") && !error.contains("abcdef"), "{error}");
        assert!(!error.contains(['\n', '\u{7}']) && error.chars().count() == 301, "{error}");
    }

    #[test]
    fn the_hash_is_that_of_the_listing() {
        let tool = |schema_hash| ToolListing { schema_hash, schema_valid: true };
        let inventory = |tools: &[(&str, u64)]| Inventory {
            protocol_version: "2025-11-25".into(),
            tools: tools.iter().map(|(name, hash)| ((*name).to_owned(), tool(*hash))).collect(),
            complete: true,
        };
        let hash = inventory(&[("a", 1), ("b", 2)]).hash();
        assert_eq!(hash, inventory(&[("b", 2), ("a", 1)]).hash());
        assert_ne!(hash, inventory(&[("a", 1)]).hash());
        assert_ne!(hash, inventory(&[("a", 2), ("b", 1)]).hash());
    }
}
