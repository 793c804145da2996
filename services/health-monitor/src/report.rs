//! What people and programs read of a moment: the JSON of `GET /api/v1/components` and of
//! `--format json`, and the text of `--once`.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use mcpmon_coordination::marks;
use mcpmon_metrics::Budgets;
use serde::Serialize;

use crate::record::{State, Tools};
use crate::snapshot::{Snapshot, Watched};
use crate::verdict::{Colour, Overall};

/// 9999-12-31T23:59:59.999Z: RFC 3339 has no later moment.
const LAST_MOMENT: u64 = 253_402_300_799_999;

/// One moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// RFC 3339, as all times here.
    pub generated_at: String,
    pub overall: Overall,
    /// In the order of their names.
    pub components: Vec<Component>,
}

/// One component. What has no value is left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Component {
    pub name: String,
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    pub state: State,
    /// Since when it is in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    pub consecutive_failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_check: Option<String>,
    /// Whether it was up when something was last known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    pub acknowledged: bool,
    pub repairing: bool,
    pub depends_on: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<ToolCounts>,
}

/// A maintenance window that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Maintenance {
    pub until: String,
    pub reason: String,
}

/// The tools of an MCP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolCounts {
    /// How many the last listing holds.
    pub listed: usize,
    pub available: usize,
    /// The names of those that can be called: as many as have a series.
    pub available_names: Vec<String>,
    /// The names of those that are known and cannot be called.
    pub unavailable: Vec<String>,
    /// The listing's hash, 16 hexadecimal digits; it changes with a name or an input schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Whether the last listing was read to its end.
    pub complete: bool,
}

impl Report {
    #[must_use]
    pub fn new(snapshot: &Snapshot, overall: Overall) -> Self {
        Self {
            generated_at: rfc3339(snapshot.taken_at),
            overall,
            components: snapshot.components.iter().map(Component::of).collect(),
        }
    }

    /// Writes the text of `--once`.
    ///
    /// # Errors
    /// When `out` takes no more.
    pub fn write_text(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let line = "=".repeat(60);
        writeln!(out, "{line}\nMCP HEALTH CHECK RESULTS\n{line}\n")?;
        for component in &self.components {
            component.write_text(out)?;
        }
        writeln!(out, "Overall: {}", self.overall.status.as_str())?;
        for reason in &self.overall.reasons {
            writeln!(out, "   {reason}")?;
        }
        for left_out in &self.overall.left_out {
            writeln!(out, "   Left out: {left_out}")?;
        }
        Ok(())
    }
}

impl Component {
    /// What is known of one component.
    #[must_use]
    pub fn of(watched: &Watched) -> Self {
        let component = &watched.component;
        let record = watched.record.as_ref();
        Self {
            name: component.name.clone(),
            kind: component.kind,
            server: component.server.clone(),
            state: record.map_or(State::Unknown, |record| record.state),
            since: record.map(|record| rfc3339(record.since)),
            latency_ms: record.and_then(|record| record.latency_ms),
            error: record.and_then(|record| record.error.clone()),
            warning: record.and_then(|record| record.warning.clone()),
            consecutive_failures: record.map_or(0, |record| record.consecutive_failures),
            last_check: record.map(|record| rfc3339(record.checked_at)),
            up: record.and_then(|record| record.up),
            maintenance: watched.maintenance.as_ref().map(Maintenance::of),
            acknowledged: watched.acknowledged,
            repairing: watched.repairing,
            depends_on: component.depends_on.clone(),
            tools: record.and_then(|record| record.tools.as_ref()).map(ToolCounts::of),
        }
    }

    fn write_text(&self, out: &mut impl fmt::Write) -> fmt::Result {
        writeln!(out, "{} {}", icon(self.state), self.name.to_uppercase())?;
        writeln!(out, "   Status: {}", self.state)?;
        if let Some(latency) = self.latency_ms {
            writeln!(out, "   Latency: {latency}ms")?;
        }
        if let Some(error) = &self.error {
            writeln!(out, "   Error: {error}")?;
        }
        if let Some(warning) = &self.warning {
            writeln!(out, "   Warning: {warning}")?;
        }
        if let Some(Maintenance { until, reason }) = &self.maintenance {
            // Somebody typed the reason.
            let reason = reason.replace(char::is_control, " ");
            writeln!(out, "   Maintenance: until {until}: {reason}")?;
        }
        writeln!(out)
    }
}

impl Maintenance {
    fn of(window: &marks::Maintenance) -> Self {
        Self { until: rfc3339(window.until), reason: window.reason.clone() }
    }
}

impl ToolCounts {
    fn of(tools: &Tools) -> Self {
        let named = |wanted: bool| {
            let tools = tools.available.iter().filter(move |(_, available)| **available == wanted);
            tools.map(|(name, _)| name.clone())
        };
        let unavailable: Vec<_> = named(false).collect();
        let listing = tools.listing.as_ref();
        Self {
            listed: listing.map_or(0, |listing| listing.tools.len()),
            available: tools.available.len() - unavailable.len(),
            available_names: named(true).take(Budgets::default().tools_per_server).collect(),
            unavailable,
            hash: listing.map(|listing| format!("{:016x}", listing.hash())),
            complete: listing.is_some_and(|listing| listing.complete),
        }
    }
}

fn icon(state: State) -> &'static str {
    match Colour::of_state(state) {
        Colour::Green => "✅",
        Colour::Yellow => "⚠️",
        Colour::Red => "❌",
        Colour::Unknown => "❔",
    }
}

fn rfc3339(unix_ms: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(unix_ms.min(LAST_MOMENT));
    humantime::format_rfc3339_millis(time).to_string()
}

#[cfg(test)]
mod tests;
