//! Remediation's own numbers.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcpmon_metrics::catalogue::{self, Publisher};
use mcpmon_metrics::{Counter, Durations, Metrics, Options};
use tokio::sync::watch;

use crate::action::KINDS;
use crate::board::Board;
use crate::case::ActionResult;
use crate::policy::Policy;
use crate::verdict::Reason;

/// So many components have series of their own, those with rules first.
const MOST_COMPONENTS: usize = 1_000;

/// What only grows; each replica counts what it did itself.
#[derive(Debug, Clone)]
pub struct Counts {
    metrics: Metrics,
    bound: Arc<Mutex<Bound>>,
}

#[derive(Debug, Default)]
struct Bound {
    components: HashSet<String>,
    counters: HashMap<Vec<String>, Counter>,
    durations: HashMap<String, Durations>,
}

impl Counts {
    /// Counts into `metrics`.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, bound: Arc::default() }
    }

    /// Starts the series of these components at 0, or `rate()` would miss the first event.
    pub fn begin(&self, policy: &Policy) {
        for rule in &policy.rules {
            for reason in Reason::ALL {
                self.add_decision(&rule.component, reason, 0);
            }
            let kinds = rule.ladder.iter().filter_map(|name| policy.targets.get(name));
            for kind in kinds.map(|target| target.kind) {
                for result in ActionResult::ALL {
                    self.add_action(&rule.component, kind, result, 0);
                }
            }
        }
    }

    /// Counts a decision.
    pub fn decided(&self, component: &str, reason: Reason) {
        self.add_decision(component, reason, 1);
    }

    /// Counts the end of an action.
    pub fn acted(&self, component: &str, kind: &str, result: ActionResult, took: Duration) {
        self.add_action(component, kind, result, 1);
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        bound
            .durations
            .entry(component.to_owned())
            .or_insert_with(|| {
                self.metrics.durations(catalogue::REMEDIATION_DURATION, &[component])
            })
            .record(took);
    }

    fn add_decision(&self, component: &str, reason: Reason, count: u64) {
        let component = self.admit(component);
        let values = [component, reason.as_str()];
        self.add(catalogue::REMEDIATION_DECISIONS, &values, count);
    }

    /// Alerts may name whatever they like, and each name would be a series for every reason.
    fn admit<'a>(&self, component: &'a str) -> &'a str {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        if bound.components.contains(component) {
            return component;
        }
        if bound.components.len() >= MOST_COMPONENTS {
            return "_other";
        }
        bound.components.insert(component.to_owned());
        component
    }

    fn add_action(&self, component: &str, kind: &str, result: ActionResult, count: u64) {
        // A record of an earlier version may name a kind that there is no more.
        let kind =
            KINDS.iter().find(|known| known.name == kind).map_or("_other", |known| known.name);
        let values = [kind, component, result.as_str()];
        self.add(catalogue::REMEDIATION_ACTIONS, &values, count);
    }

    fn add(&self, family: catalogue::Family, values: &[&str], count: u64) {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        let key = std::iter::once(family.name).chain(values.iter().copied()).map(str::to_owned);
        let counter = bound.counters.entry(key.collect());
        counter.or_insert_with(|| self.metrics.counter(family, values)).add(count);
    }
}

/// A registry that shows remediation's own families.
pub(crate) fn new() -> Metrics {
    let options = Options::new("mcp-remediation", env!("CARGO_PKG_VERSION"));
    Metrics::new(Options { publisher: Some(Publisher::Remediation), ..options })
}

/// Exposes the board.
pub(crate) fn expose(
    metrics: &Metrics,
    backend: &'static str,
    up: watch::Receiver<bool>,
    board: &watch::Receiver<Arc<Board>>,
    policy: watch::Receiver<Arc<Policy>>,
) {
    let shown = board.clone();
    metrics.gauge(catalogue::REMEDIATION_CIRCUIT_OPEN, move |emit| {
        let board = shown.borrow().clone();
        let policy = policy.borrow().clone();
        let components = policy.rules.iter().map(|rule| rule.component.as_str());
        let mut known: std::collections::BTreeSet<&str> = components.collect();
        known.extend(board.circuits.iter().map(String::as_str));
        for component in known {
            emit(&[component], f64::from(u8::from(board.circuits.contains(component))));
        }
    });
    let shown = board.clone();
    metrics.gauge(catalogue::REMEDIATION_HELD, move |emit| {
        let held = shown.borrow().held;
        for reason in [Reason::CoordinationUnavailable, Reason::HoldOff, Reason::AuditUnavailable] {
            emit(&[reason.as_str()], f64::from(u8::from(held == Some(reason))));
        }
    });
    let shown = board.clone();
    metrics.gauge(catalogue::REMEDIATION_LEADING, move |emit| {
        emit(&[], f64::from(u8::from(shown.borrow().leading)));
    });
    metrics.gauge(catalogue::COORDINATION_UP, move |emit| {
        emit(&[backend], f64::from(u8::from(*up.borrow())));
    });
}
