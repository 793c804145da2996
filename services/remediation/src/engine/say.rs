//! What was decided, written down: once for each change of mind.

use std::collections::BTreeSet;
use std::sync::Arc;

use mcpmon_coordination::repair::What;
use mcpmon_coordination::{Incident, marks, store};
use serde_json::json;

use super::state::{State, storm_seen};
use super::{Engine, Memory};
use crate::audit::Event;
use crate::board::Board;
use crate::budgets;
use crate::case::{self, Case, Said};
use crate::decide;
use crate::news;
use crate::policy::{Mode, Policy};
use crate::verdict::{Reason, Verdict};

impl Engine {
    /// Writes down what was decided, for the audit, for all replicas, and for people if it is for
    /// them. The same as before is not written again.
    pub(super) async fn say(
        &self,
        incident: &Incident,
        known: &Case,
        verdict: &Verdict,
        policy: &Policy,
    ) -> Result<(), store::Error> {
        if known.reason() == Some(verdict.reason) {
            return Ok(());
        }
        let now = self.now();
        let component = incident.component.as_str();
        let decision = Event {
            rule: policy.rule(component, incident.failure).map(|rule| rule.name.clone()),
            verdict: Some(verdict.clone()),
            evidence: json!({ "failure": incident.failure, "reported": incident.evidence }),
            ..Event::about("decision", component, &incident.key)
        };
        if self.repairer.audit.append(now, decision).await.is_err() {
            // It holds everything until it can be written again; then this is decided again.
            return Ok(());
        }
        tracing::info!(component, incident = incident.key, %verdict, "decided");
        self.repairer.counts.decided(component, verdict.reason);
        if verdict.reason == Reason::CircuitOpen {
            let guards = &policy.guards;
            budgets::open_circuit(self.store(), component, guards, now).await?;
        }
        if let Some(what) = worth_telling(verdict, policy, incident, known) {
            // An escalation says why by itself.
            let escalated = matches!(what, What::Escalated { .. });
            let detail = if escalated { "" } else { verdict.detail.as_str() };
            let id = format!("{}:{}:{}", incident.key, verdict.reason, known.tried.len());
            let item = news::about(&id, component, &incident.key, now, what, detail);
            news::publish(self.store(), &item).await;
        }
        let said = Said { verdict: verdict.clone(), since: now };
        case::change(self.store(), component, now, |stored| {
            let mut case = Case::of(incident, stored);
            (case.incident == incident.key).then(|| {
                case.said = Some(said.clone());
                case
            })
        })
        .await
        .map(drop)
    }

    /// Ends what was said of incidents that are over.
    pub(super) async fn over(&self, state: &State) -> Result<(), store::Error> {
        let open: BTreeSet<&str> =
            state.open.iter().map(|incident| incident.key.as_str()).collect();
        for (component, case) in &state.cases {
            let over = !open.contains(case.incident.as_str()) && case.under_way.is_none();
            if !over || (case.said.is_none() && case.approved.is_none()) {
                continue;
            }
            let ended = Event::about("resolved", component, &case.incident);
            if self.repairer.audit.append(self.now(), ended).await.is_err() {
                return Ok(());
            }
            case::change(self.store(), component, self.now(), |stored| {
                let mut stored = stored.filter(|stored| stored.incident == case.incident)?;
                (stored.said, stored.approved) = (None, None);
                Some(stored)
            })
            .await?;
        }
        Ok(())
    }

    /// Keeps an eye on storms. Says until when nothing is repaired because of one that is over.
    pub(super) async fn storm(
        &self,
        state: &State,
        policy: &Policy,
    ) -> Result<Option<u64>, store::Error> {
        let failing = decide::storm(&policy.guards, &state.inventory, self.now());
        let cool_down = policy.guards.storm_cool_down;
        if failing.is_empty() || state.open.is_empty() {
            return Ok(state.calm_at(&policy.guards));
        }
        let now = self.now();
        let storm = storm_seen(self.store(), now, cool_down).await?;
        let what = What::Storm { components: u32::try_from(failing.len()).unwrap_or(u32::MAX) };
        let id = format!("storm:{}", storm.since);
        let first = &state.open[0];
        let item = news::about(&id, marks::ALL, &first.key, now, what, &failing.join(", "));
        news::publish(self.store(), &item).await;
        Ok(None)
    }

    /// Says why nothing may be repaired, of each incident that is known to be open.
    pub(super) async fn say_held(&self, memory: &Memory, held: Option<Reason>) {
        let Some(reason) = held else {
            tracing::info!("repairs may be made again");
            return;
        };
        let detail = match reason {
            Reason::HoldOff => "Redis came back with another set of data",
            Reason::AuditUnavailable => "the audit cannot be written",
            _ => "Redis cannot be used",
        };
        tracing::warn!(%reason, detail, "nothing is repaired");
        for incident in &memory.open {
            let component = incident.component.as_str();
            self.repairer.counts.decided(component, reason);
            let decision = Event {
                verdict: Some(Verdict::new(reason, detail)),
                ..Event::about("decision", component, &incident.key)
            };
            if self.repairer.audit.append(self.now(), decision).await.is_err() {
                break;
            }
        }
    }

    /// Puts what is known on the board.
    pub(super) fn show(
        &self,
        memory: &Memory,
        state: Option<&State>,
        held: Option<Reason>,
        leading: bool,
    ) {
        let before = self.board.borrow().clone();
        let mut board = Board { held, leading, ..Board::default() };
        match state {
            Some(state) => {
                board.incidents = Board::shown(&state.open, &state.cases);
                board.circuits.clone_from(&state.circuits);
            }
            None => {
                board.incidents = Board::shown(&memory.open, &Default::default());
                board.circuits.clone_from(&before.circuits);
            }
        }
        self.board.send_replace(Arc::new(board));
    }
}

/// What people are told of a verdict, if anything.
fn worth_telling(
    verdict: &Verdict,
    policy: &Policy,
    incident: &Incident,
    case: &Case,
) -> Option<What> {
    match verdict.reason {
        Reason::StoppedByOperator => Some(What::StoppedByOperator),
        Reason::CircuitOpen => Some(What::CircuitOpen),
        Reason::AwaitingApproval => {
            let rule = policy.rule(&incident.component, incident.failure)?;
            let target = policy.targets.get(rule.rung(case.made())?)?;
            let until = verdict.until.unwrap_or(incident.expires_at);
            Some(What::AwaitingApproval { action: target.action.describe(), until })
        }
        // It stays so until a person does something.
        Reason::TargetAbsent | Reason::TargetUnreadable => {
            let rule = policy.rule(&incident.component, incident.failure)?;
            let why = verdict.detail.clone();
            (rule.mode != Mode::DryRun).then_some(What::Escalated { why })
        }
        _ => None,
    }
}
