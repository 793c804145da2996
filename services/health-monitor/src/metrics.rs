//! The monitor's own numbers. Gauges are read from the snapshot at each scrape, so Prometheus may
//! scrape more often than anything is checked; every replica shows the shared state.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use mcpmon_metrics::catalogue::{self, Family, Publisher};
use mcpmon_metrics::{Budgets, Counter, Metrics, Name, Options};
use tokio::sync::watch;

use crate::check::Checked;
use crate::component::Component;
use crate::record::{Record, State};
use crate::report::Report;
use crate::snapshot::{Snapshot, Watched};

/// What only grows; each replica counts what it did itself.
#[derive(Debug, Clone)]
pub struct Counts {
    metrics: Metrics,
    bound: Arc<Mutex<Bound>>,
}

/// Counters by family and label values.
type Bound = HashMap<(&'static str, Vec<String>), Counter>;

/// How a gauge reads a component.
type Read = fn(&Watched, &Record, &mut dyn FnMut(&[&str], f64));

impl Counts {
    /// Counts into `metrics`.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, bound: Arc::default() }
    }

    /// Starts every series of these components at 0, or `rate()` would miss the first event.
    pub fn begin(&self, components: &[Component]) {
        for component in components {
            self.add(catalogue::COMPONENT_CHECKS_MISSED, &[&component.name], 0);
            if let Some(server) = &component.server {
                for change in ["added", "changed", "removed"] {
                    self.add(catalogue::TOOLS_LIST_CHANGES, &[change, server], 0);
                }
            }
        }
    }

    /// Counts what a check leaves.
    pub fn checked(&self, component: &Component, checked: &Checked, missed: u64) {
        self.add(catalogue::COMPONENT_CHECKS_MISSED, &[&component.name], missed);
        if let Some(server) = &component.server {
            let changes = checked.changes;
            let counts = [
                ("added", changes.added),
                ("changed", changes.changed),
                ("removed", changes.removed),
            ];
            for (change, count) in counts {
                self.add(catalogue::TOOLS_LIST_CHANGES, &[change, server], count);
            }
        }
    }

    fn add(&self, family: Family, values: &[&str], count: u64) {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (family.name, values.iter().map(|value| (*value).to_owned()).collect());
        bound.entry(key).or_insert_with(|| self.metrics.counter(family, values)).add(count);
    }
}

/// A registry that shows the monitor's own families.
pub(crate) fn new() -> Metrics {
    let options = Options::new("mcp-health-monitor", env!("CARGO_PKG_VERSION"));
    Metrics::new(Options { publisher: Some(Publisher::Monitor), ..options })
}

/// Exposes the snapshot and the verdict.
pub(crate) fn expose(
    metrics: &Metrics,
    backend: &'static str,
    snapshots: &watch::Receiver<Arc<Snapshot>>,
    reports: &watch::Receiver<Arc<Report>>,
) {
    let per_record = |family, read: Read| {
        let snapshots = snapshots.clone();
        metrics.gauge(family, move |emit| {
            let snapshot = snapshots.borrow().clone();
            for watched in &snapshot.components {
                if let Some(record) = &watched.record {
                    read(watched, record, emit);
                }
            }
        });
    };
    per_record(catalogue::COMPONENT_UP, |watched, record, emit| {
        let server = watched.component.server.as_deref().unwrap_or_default();
        if let Some(up) = record.up {
            let labels = [&watched.component.name, watched.component.kind, server];
            emit(&labels, f64::from(u8::from(up)));
        }
    });
    per_record(catalogue::COMPONENT_STATE, |watched, record, emit| {
        for state in State::ALL {
            let is = f64::from(u8::from(state == record.state));
            emit(&[&watched.component.name, state.as_str()], is);
        }
    });
    per_record(catalogue::COMPONENT_CHECK_DURATION, |watched, record, emit| {
        if let Some(latency) = record.latency_ms {
            emit(&[&watched.component.name], latency as f64 / 1_000.0);
        }
    });
    per_record(catalogue::COMPONENT_CONSECUTIVE_FAILURES, |watched, record, emit| {
        emit(&[&watched.component.name], f64::from(record.consecutive_failures));
    });
    per_record(catalogue::COMPONENT_LAST_CHECK, |watched, record, emit| {
        emit(&[&watched.component.name], record.checked_at as f64 / 1_000.0);
    });
    let tools = snapshots.clone();
    let budgets = Budgets::default();
    metrics.gauge(catalogue::TOOL_AVAILABILITY, move |emit| {
        let snapshot = tools.borrow().clone();
        // Two components may be replicas of one server: a tool is available where both have it.
        let mut tools = BTreeMap::new();
        for (server, tool, available) in snapshot.components.iter().flat_map(availability) {
            *tools.entry((server, tool)).or_insert(true) &= available;
        }
        for ((server, tool), available) in tools.into_iter().take(budgets.pairs) {
            emit(&[server, tool], f64::from(u8::from(available)));
        }
    });
    let reports = reports.clone();
    metrics.gauge(catalogue::HEALTH_STATUS, move |emit| {
        emit(&[], f64::from(reports.borrow().overall.status.exit_code()));
    });
    let snapshots = snapshots.clone();
    metrics.gauge(catalogue::COORDINATION_UP, move |emit| {
        emit(&[backend], f64::from(u8::from(snapshots.borrow().coordination_up)));
    });
}

/// Server, tool, and whether it can be called. A name that is none, which only a hostile server
/// would list, has no series.
fn availability(watched: &Watched) -> impl Iterator<Item = (&str, &str, bool)> {
    let server = watched.component.server.as_deref().unwrap_or_default();
    let tools = watched.record.as_ref().and_then(|record| record.tools.as_ref());
    let named = tools.into_iter().flat_map(|tools| &tools.available);
    let named = named.filter(|(name, _)| Name::new(name.as_str()).is_ok());
    named
        .take(Budgets::default().tools_per_server)
        .map(move |(name, available)| (server, name.as_str(), *available))
}
