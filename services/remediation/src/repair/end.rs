//! The end of an action: its record, for all replicas and for people.

use std::time::Duration;

use mcpmon_coordination::marks;
use mcpmon_coordination::repair::{News, What};

use super::Repairer;
use crate::action::Run;
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
    /// The run that the target is in now.
    pub(super) run: Option<Run>,
}

impl Repairer {
    /// Writes down how it ended. The audit comes first: whoever takes over after a crash in between
    /// finds it there.
    pub(super) async fn end(&self, component: &str, under_way: &UnderWay, end: End) {
        let End { result, note, run } = end;
        let now = self.clock.now();
        let took = Duration::from_millis(now.saturating_sub(under_way.began_at));
        let incident = incident_of(&under_way.attempt);
        let outcome = Event {
            attempt: Some(under_way.attempt.clone()),
            target: Some(under_way.target.clone()),
            action: Some(under_way.action.clone()),
            fencing: Some(under_way.fencing),
            result: Some(result),
            took_ms: u64::try_from(took.as_millis()).ok(),
            note: Some(note.clone()),
            ..Event::about("outcome", component, incident)
        };
        let appended = self.audit.append(now, outcome).await;
        tracing::info!(
            component,
            attempt = under_way.attempt,
            result = result.as_str(),
            note,
            "an action ended"
        );
        if !matches!(appended, Ok(Appended::Known)) {
            self.counts.acted(component, &under_way.kind, result, took);
            self.tell(component, under_way, result, &note, took).await;
        }
        self.close(component, under_way, result, run).await;
        if result == ActionResult::Success {
            // Not in half a minute: now.
            for _ in 0..CHECKS_TO_BELIEVE {
                if let Err(why) = self.monitor.check(component).await {
                    tracing::debug!(component, why, "the monitor will see for itself");
                }
            }
        }
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
    async fn close(
        &self,
        component: &str,
        under_way: &UnderWay,
        result: ActionResult,
        run: Option<Run>,
    ) {
        let store = &*self.store;
        let now = self.clock.now();
        let closed = case::change(store, component, now, |stored| {
            let mut case = stored?;
            let ours = case.under_way.take().filter(|it| it.attempt == under_way.attempt)?;
            let run = run.clone();
            let tried = Tried { attempt: ours.attempt, target: ours.target, at: now, result, run };
            case.tried.push(tried);
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
