//! Moments for the tests of the verdict and of the report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mcpmon_coordination::marks::Maintenance;

use crate::component::Component;
use crate::finding::{Finding, Inventory, Outcome, ToolListing};
use crate::probe::Probe;
use crate::record::{Record, State, Tools};
use crate::snapshot::{Snapshot, Watched};
use crate::traffic::Figures;

/// 2026-11-25T12:00:00Z.
pub(crate) const NOW: u64 = 1_795_608_000_000;

#[derive(Debug)]
struct NeverAsked;

#[async_trait]
impl Probe for NeverAsked {
    async fn check(&self, _: Duration) -> Finding {
        Finding::ok(Duration::ZERO)
    }
}

/// A component that was not checked yet; of kind `mcp`, and its own server.
pub(crate) fn unchecked(name: &str) -> Watched {
    Watched {
        component: Component {
            name: name.into(),
            kind: "mcp",
            server: Some(name.into()),
            depends_on: Vec::new(),
            group: None,
            interval: Duration::from_secs(300),
            recheck: Duration::from_secs(30),
            deadline: Duration::from_secs(10),
            slow: Duration::from_secs(1),
            probe: Arc::new(NeverAsked),
        },
        record: None,
        maintenance: None,
        acknowledged: false,
        repairing: false,
    }
}

pub(crate) fn watched(name: &str, state: State) -> Watched {
    let record = Record {
        kind: "mcp".into(),
        server: Some(name.into()),
        group: None,
        depends_on: Vec::new(),
        interval_ms: 300_000,
        slot: NOW - 60_000,
        checked_at: NOW - 59_955,
        state,
        since: NOW - 3_600_000,
        outcome: Outcome::Ok,
        up: Some(state == State::Healthy),
        in_trouble: false,
        latency_ms: Some(45),
        error: None,
        warning: None,
        consecutive_failures: 0,
        consecutive_unknown: 0,
        first_failed_at: None,
        not_before: None,
        tools: None,
    };
    Watched { record: Some(record), ..unchecked(name) }
}

/// The component with tools `t0`, `t1`, …, of which the first `missing` are unavailable.
pub(crate) fn with_tools(mut watched: Watched, known: usize, missing: usize) -> Watched {
    let listed = |place| {
        (format!("t{place}"), ToolListing { schema_hash: place as u64, schema_valid: true })
    };
    let tools = Tools {
        listing: Some(Inventory {
            protocol_version: "2025-11-25".into(),
            tools: (missing..known).map(listed).collect(),
            complete: true,
        }),
        available: (0..known).map(|place| (format!("t{place}"), place >= missing)).collect(),
    };
    watched.record.as_mut().unwrap().tools = Some(tools);
    watched
}

pub(crate) fn in_maintenance(watched: Watched) -> Watched {
    let window = Maintenance { until: NOW + 600_000, reason: "new disks".into() };
    Watched { maintenance: Some(window), ..watched }
}

pub(crate) fn moment(components: Vec<Watched>) -> Snapshot {
    Snapshot { taken_at: NOW, components, own_trouble: None, coordination_up: true }
}

pub(crate) fn figures(calls: f64, error_ratio: f64, p95_seconds: f64) -> Figures {
    Figures { calls, error_ratio: Some(error_ratio), p95_seconds: Some(p95_seconds) }
}

pub(crate) fn servers(figures: &[(&str, Figures)]) -> BTreeMap<String, Figures> {
    figures.iter().map(|(name, figures)| ((*name).to_owned(), *figures)).collect()
}
