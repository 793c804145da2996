//! What there is to show: the page and the metrics are made from it.

use std::collections::{BTreeMap, BTreeSet};

use mcpmon_coordination::Incident;
use serde::Serialize;

use crate::case::Case;
use crate::policy::failure_name;
use crate::verdict::{Decision, Reason};

/// One moment, as this replica knows it.
#[derive(Debug, Clone, Default)]
pub struct Board {
    /// Why nothing may be repaired at all, if so.
    pub held: Option<Reason>,
    /// Whether this replica is the one that may act.
    pub leading: bool,
    pub incidents: Vec<Shown>,
    /// The components whose circuit is open; [`crate::budgets::SYSTEM`] for all.
    pub circuits: BTreeSet<String>,
}

/// One open incident with what was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    pub component: String,
    pub key: String,
    pub failure: String,
    /// None before the first decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    pub detail: String,
    pub since: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

impl Board {
    /// The incidents with their cases, the oldest first.
    #[must_use]
    pub fn shown(incidents: &[Incident], cases: &BTreeMap<String, Case>) -> Vec<Shown> {
        incidents.iter().map(|incident| show(incident, cases.get(&incident.component))).collect()
    }
}

fn show(incident: &Incident, case: Option<&Case>) -> Shown {
    let case = case.filter(|case| case.incident == incident.key);
    let said = case.and_then(|case| case.said.as_ref());
    let mut shown = Shown {
        component: incident.component.clone(),
        key: incident.key.clone(),
        failure: failure_name(incident.failure),
        decision: said.map(|said| said.verdict.decision),
        reason: said.map(|said| said.verdict.reason),
        detail: said.map(|said| said.verdict.detail.clone()).unwrap_or_default(),
        since: said.map_or(incident.first_failed_at, |said| said.since),
        until: said.and_then(|said| said.verdict.until),
    };
    if let Some(under_way) = case.and_then(|case| case.under_way.as_ref()) {
        shown.decision = Some(Decision::Act);
        shown.reason = Some(Reason::Act);
        shown.detail.clone_from(&under_way.action);
        shown.since = under_way.began_at;
        shown.until = None;
    }
    shown
}
