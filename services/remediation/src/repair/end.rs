//! The end of an action: its record, for all replicas and for people.

use std::time::Duration;

use mcpmon_coordination::marks;
use mcpmon_coordination::repair::{News, What};

use super::Repairer;
use crate::audit::{Appended, Event};
use crate::case::{self, ActionResult, Tried, UnderWay};
use crate::news;

/// So many counted checks make the monitor believe that the component is well.
const CHECKS_TO_BELIEVE: usize = 2;

/// How it ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) result: ActionResult,
    pub(super) note: String,
    /// When the target had been acted on, in Unix milliseconds.
    pub(super) acted_at: u64,
}

impl End {
    /// Nothing was done.
    pub(super) fn refused(why: String, now: u64) -> Self {
        Self { result: ActionResult::Refused, note: why, acted_at: now }
    }
}

impl Repairer {
    /// Writes down how it ended, and says whether that is on record. The audit comes first: whoever
    /// takes over after a crash in between finds it there; and when it cannot be written the case stays
    /// as it is, for whoever takes over to write it.
    pub(super) async fn end(&self, component: &str, under_way: &UnderWay, end: End) -> bool {
        let now = self.clock.now();
        let took = Duration::from_millis(now.saturating_sub(under_way.began_at));
        let incident = incident_of(&under_way.attempt);
        let outcome = Event {
            attempt: Some(under_way.attempt.clone()),
            target: Some(under_way.target.clone()),
            action: Some(under_way.action.clone()),
            fencing: Some(under_way.fencing),
            result: Some(end.result),
            took_ms: u64::try_from(took.as_millis()).ok(),
            note: Some(end.note.clone()),
            ..Event::about("outcome", component, incident)
        };
        let (result, note) = (end.result.as_str(), end.note.as_str());
        tracing::info!(component, attempt = under_way.attempt, result, note, "an action ended");
        let Ok(appended) = self.audit.append(now, outcome).await else { return false };
        if appended != Appended::Known {
            self.counts.acted(component, &under_way.kind, end.result, took);
            self.tell(component, under_way, end.result, &end.note, took).await;
        }
        self.close(component, under_way, &end).await;
        if end.result == ActionResult::Success {
            // Not in half a minute: now.
            for _ in 0..CHECKS_TO_BELIEVE {
                if let Err(why) = self.monitor.check(component).await {
                    tracing::debug!(component, why, "the monitor will see for itself");
                }
            }
        }
        true
    }

    async fn tell(
        &self,
        component: &str,
        under_way: &UnderWay,
        result: ActionResult,
        note: &str,
        took: Duration,
    ) {
        let action = under_way.action.clone();
        let what = match result {
            ActionResult::Success => What::Repaired { action },
            ActionResult::Unknown => What::Unknown { action },
            ActionResult::Failed | ActionResult::Unverified | ActionResult::Refused => {
                What::Failed { action }
            }
        };
        let item = News {
            took_ms: u64::try_from(took.as_millis()).ok(),
            ..news::about(
                &under_way.attempt,
                component,
                incident_of(&under_way.attempt),
                self.clock.now(),
                what,
                note,
            )
        };
        news::publish(&*self.store, &item).await;
    }

    /// Frees the component for the next action, and for the monitor's counting.
    async fn close(&self, component: &str, under_way: &UnderWay, end: &End) {
        let store = &*self.store;
        let now = self.clock.now();
        let incident = incident_of(&under_way.attempt);
        let closed = case::change(store, component, now, |stored| {
            let mut case = stored.filter(|case| case.incident == incident)?;
            let is_this = |attempt: &str| attempt == under_way.attempt;
            if case.under_way.as_ref().is_some_and(|it| is_this(&it.attempt)) {
                case.under_way = None;
            }
            // After a lost reply it stands there already.
            if case.tried.iter().all(|tried| !is_this(&tried.attempt)) {
                case.tried.push(Tried {
                    attempt: under_way.attempt.clone(),
                    target: under_way.target.clone(),
                    acted_at: end.acted_at,
                    result: end.result,
                });
            }
            case.said = None;
            Some(case)
        });
        if let Err(error) = closed.await {
            tracing::warn!(component, %error, "an action's end is in the audit alone for now");
        }
        if let Err(error) = marks::end_repairing(store, component, under_way.fencing).await {
            tracing::debug!(component, %error, "the mark of a repair ends with its time");
        }
    }
}

/// An attempt is called after its incident.
fn incident_of(attempt: &str) -> &str {
    attempt.rsplit_once('#').map_or(attempt, |(incident, _)| incident)
}
