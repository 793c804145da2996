//! Components, incidents and moments for tests to tell of.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mcp_health_monitor::component::Component;
use mcp_health_monitor::finding::{Finding, Outcome};
use mcp_health_monitor::notice::step::{Policy, Step, step};
use mcp_health_monitor::notice::{Notice, Notices};
use mcp_health_monitor::probe::Probe;
use mcp_health_monitor::record::{self, Record};
use mcp_health_monitor::snapshot::{Snapshot, Watched};
use mcpmon_coordination::Incident;
use mcpmon_coordination::incident::{Failure, Origin, State};
use mcpmon_coordination::marks::Maintenance;
use mcpmon_coordination::repair::{News, What};
use mcpmon_metrics::{Metrics, Options};

/// Some moment: 2026-01-01T00:00:00Z.
pub(crate) const START: u64 = 1_767_225_600_000;

pub(crate) const POLICY: Policy =
    Policy { group: Duration::from_secs(3), reminder: Duration::from_secs(3600) };

#[derive(Debug)]
struct NoProbe;

#[async_trait]
impl Probe for NoProbe {
    async fn check(&self, _deadline: Duration) -> Finding {
        Finding::ok(Duration::ZERO)
    }
}

pub(crate) fn watched(name: &str, depends_on: &[&str]) -> Watched {
    Watched {
        component: Component {
            name: name.to_owned(),
            kind: "http",
            server: None,
            depends_on: depends_on.iter().map(|name| (*name).to_owned()).collect(),
            group: None,
            interval: Duration::from_secs(300),
            recheck: Duration::from_secs(30),
            deadline: Duration::from_secs(10),
            slow: Duration::from_secs(1),
            probe: Arc::new(NoProbe),
        },
        record: None,
        maintenance: None,
        acknowledged: false,
        repairing: false,
    }
}

/// One that was just checked, and has been failing since then.
pub(crate) fn failing(name: &str, since: u64, in_trouble: bool) -> Watched {
    let mut watched = watched(name, &[]);
    watched.record = Some(Record {
        kind: "http".to_owned(),
        server: None,
        group: None,
        depends_on: Vec::new(),
        interval_ms: 300_000,
        slot: since,
        checked_at: since,
        state: record::State::Degraded,
        since,
        outcome: Outcome::Fail(Failure::Timeout),
        up: Some(true),
        in_trouble,
        latency_ms: None,
        error: None,
        warning: None,
        consecutive_failures: 1,
        consecutive_unknown: 0,
        first_failed_at: Some(since),
        not_before: None,
        tools: None,
    });
    watched
}

pub(crate) fn snapshot(components: Vec<Watched>) -> Snapshot {
    Snapshot { taken_at: START, components, own_trouble: None, coordination_up: true }
}

pub(crate) fn maintenance() -> Maintenance {
    Maintenance { until: START * 2, reason: "upgrade".to_owned() }
}

pub(crate) fn opened(component: &str, at: u64) -> Incident {
    let mut incident = Incident::new(component, "http", Failure::Timeout, Origin::Monitor, at, at);
    incident.evidence.error = Some("no answer within 10 s".to_owned());
    incident
}

pub(crate) fn resolved(component: &str, opened_at: u64, at: u64) -> Incident {
    let mut incident = opened(component, opened_at);
    (incident.state, incident.slot) = (State::Resolved, at);
    incident
}

/// What remediation says of the trouble that began at [`START`].
pub(crate) fn news(id: &str, component: &str, at: u64, what: What) -> News {
    News {
        id: id.to_owned(),
        component: component.to_owned(),
        incident: format!("{component}@{START}"),
        first_failed_at: START,
        at,
        what,
        detail: None,
        took_ms: Some(12_000),
    }
}

pub(crate) fn action() -> String {
    "restart container boutique".to_owned()
}

/// The store's part of the outbox.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) notices: Notices,
    pub(crate) news: Vec<News>,
}

impl Outbox {
    /// A step whose changes are written.
    pub(crate) fn step(&mut self, snapshot: &Snapshot, incidents: &[Incident], now: u64) -> Step {
        let step = step(snapshot, incidents, &self.news, &self.notices, now, POLICY);
        self.write(step.changed.iter().cloned());
        self.notices.retain(|key, _| !step.dropped.contains(key));
        step
    }

    /// A step, and another after the time of grouping; the message that arrived.
    pub(crate) fn told(
        &mut self,
        snapshot: &Snapshot,
        incidents: &[Incident],
        now: u64,
    ) -> Option<Step> {
        let first = self.step(snapshot, incidents, now);
        assert_eq!(first.message, None, "it waits for more");
        let step = self.step(snapshot, incidents, now + 3_000);
        let message = step.message.as_ref()?;
        self.write(message.items.iter().map(|item| item.arrived(now + 3_000)));
        Some(step)
    }

    pub(crate) fn write(&mut self, notices: impl IntoIterator<Item = Notice>) {
        self.notices.extend(notices.into_iter().map(|notice| (notice.key(), notice)));
    }
}

pub(crate) fn metrics() -> Metrics {
    Metrics::new(Options::new("mcp-health-monitor", "0"))
}
