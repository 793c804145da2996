//! One action from the decision to its verified end.
//!
//! Everything that could make it wrong is asked again on the way, the last of it immediately before
//! the action: whose turn it is, on this machine and in Redis; whether the trouble is still there;
//! whether the target is still the one that failed. What was begun has its record first, and ends in
//! exactly one.

mod end;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mcpmon_coordination::budget::Decision;
use mcpmon_coordination::marks::{self, Repairing};
use mcpmon_coordination::{Incident, Store};
use serde_json::json;
use tokio::time::{sleep, timeout};

use self::end::End;
use crate::action::{Order, Run, Sight, Trouble};
use crate::audit::{Audit, Event};
use crate::budgets;
use crate::case::{self, ActionResult, Case, UnderWay};
use crate::clock::Clock;
use crate::decide::{a_check_decides, compare};
use crate::host_lock::{Acted, HostLock, Taken};
use crate::lead::Right;
use crate::metrics::Counts;
use crate::monitor::{Monitor, Outcome};
use crate::policy::{Mode, Policy, Target};
use crate::verdict::{Reason, Verdict};
use crate::words::milliseconds;

/// An action that knows its deadline ends by itself; one that does not is given up after this.
const OVERTIME: Duration = Duration::from_secs(1);

/// What repairs need.
#[derive(Debug, Clone)]
pub struct Repairer {
    pub store: Arc<dyn Store>,
    pub audit: Audit,
    pub monitor: Arc<dyn Monitor>,
    /// The folder of the locks of this machine.
    pub locks: PathBuf,
    pub counts: Counts,
    pub clock: Clock,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Job {
    pub right: Right,
    pub policy: Arc<Policy>,
    pub incident: Incident,
    pub case: Case,
    pub rule: String,
    pub mode: Mode,
    /// The target's name.
    pub rung: String,
    pub target: Target,
    /// The tools that the MCP server offered before.
    pub tools: Option<String>,
}

impl Repairer {
    /// Acts once and verifies it.
    ///
    /// # Errors
    /// The verdict, when something stood against it after all: then nothing was done.
    pub async fn run(&self, job: &Job) -> Result<ActionResult, Verdict> {
        let Job { policy, incident, .. } = job;
        let before = self.look(job).await;
        compare(incident, &job.case, &before, &policy.guards)?;
        let action = job.target.action.describe();
        if job.mode == Mode::DryRun {
            return Err(Verdict::new(Reason::DryRun, format!("it would {action}")));
        }
        let still = self.still_there(job).await?;
        // Held until the end, and by the system when we die.
        let _lock = self.take_lock(job).await?;
        let attempt = job.case.next_attempt();
        self.spend(job, &attempt).await?;
        let before = before.ok().and_then(|sight| sight.run);
        self.intend(job, &attempt, before.as_ref(), still).await?;
        let began = self.clock.now();
        let under_way = UnderWay {
            attempt,
            target: job.rung.clone(),
            action,
            kind: job.target.kind.to_owned(),
            fencing: job.right.fencing(),
            began_at: began,
            act_until: began + milliseconds(policy.timing.look + policy.timing.act + OVERTIME),
            run: before,
            tools: job.tools.clone(),
        };
        let (result, note) = match self.begin(job, &under_way).await {
            Ok(()) => self.act(job, &under_way).await,
            Err(why) => (ActionResult::Refused, why),
        };
        let run = self.look(job).await.ok().and_then(|sight| sight.run);
        self.end(&incident.component, &under_way, End { result, note, run }).await;
        Ok(result)
    }

    async fn look(&self, job: &Job) -> Result<Sight, Trouble> {
        let deadline = job.policy.timing.look;
        let looked = timeout(deadline + OVERTIME, job.target.action.look(deadline)).await;
        looked.unwrap_or_else(|_| Err(Trouble::Unknown("no answer to the look".to_owned())))
    }

    /// Asks the monitor for a fresh check; says what it found.
    async fn still_there(&self, job: &Job) -> Result<serde_json::Value, Verdict> {
        let unknown = |why: String| Verdict::new(Reason::InventoryOld, why);
        let checked = self.monitor.check(&job.incident.component).await;
        let checked =
            checked.map_err(|why| unknown(format!("the monitor cannot be asked: {why}")))?;
        match checked.outcome {
            Outcome::Unknown => {
                let why = checked.error.unwrap_or_default();
                Err(unknown(format!("a fresh check cannot say: {why}")))
            }
            Outcome::Ok if a_check_decides(&job.incident) => {
                Err(Verdict::new(Reason::Recovered, "a fresh check finds it well"))
            }
            // Alertmanager says late that an alert is over; the next action would meet a component
            // that was repaired.
            Outcome::Ok if job.case.was_helped() => {
                Err(Verdict::new(Reason::Recovered, "the last action helped; the alert goes on"))
            }
            Outcome::Ok | Outcome::Fail => Ok(json!({
                "state": checked.state, "error": checked.error, "latency_ms": checked.latency_ms,
            })),
        }
    }

    async fn take_lock(&self, job: &Job) -> Result<HostLock, Verdict> {
        let unavailable = |error: &dyn std::fmt::Display| {
            Verdict::new(Reason::CoordinationUnavailable, error.to_string())
        };
        let epoch = self.store.epoch().await.map_err(|error| unavailable(&error))?;
        let ours = Acted { epoch, fencing: job.right.fencing() };
        let (locks, target) = (self.locks.clone(), job.rung.clone());
        let taken =
            tokio::task::spawn_blocking(move || HostLock::take(&locks, &target, &ours)).await;
        let taken = taken.map_err(|error| unavailable(&error))?;
        match taken.map_err(|error| unavailable(&format!("the lock of this machine: {error}")))? {
            Taken::Held(lock) => Ok(lock),
            Taken::Busy => Err(Verdict::new(
                Reason::ActionInFlight,
                "another process of this machine acts on it",
            )),
            Taken::Fenced(newer) => Err(Verdict::new(
                Reason::ActionInFlight,
                format!("number {newer} has acted, and ours is {}", job.right.fencing()),
            )),
        }
    }

    async fn spend(&self, job: &Job, attempt: &str) -> Result<(), Verdict> {
        let (component, guards) = (job.incident.component.as_str(), &job.policy.guards);
        let spent =
            budgets::spend(&*self.store, component, attempt, guards, self.clock.now()).await;
        match spent {
            Ok(Decision::Go(_)) => Ok(()),
            Ok(Decision::Wait(until)) => {
                Err(Verdict::new(Reason::BackOff, "it was acted on a short while ago").until(until))
            }
            Ok(Decision::Stop) => Err(Verdict::new(Reason::CircuitOpen, "the budget is spent")),
            Err(error) => Err(Verdict::new(Reason::CoordinationUnavailable, error.to_string())),
        }
    }

    /// The record of what is about to be done, with what was seen.
    async fn intend(
        &self,
        job: &Job,
        attempt: &str,
        run: Option<&Run>,
        still: serde_json::Value,
    ) -> Result<(), Verdict> {
        let Job { incident, .. } = job;
        let run =
            run.map(|run| json!({ "generation": run.generation, "started_at": run.started_at }));
        let intent = Event {
            attempt: Some(attempt.to_owned()),
            rule: Some(job.rule.clone()),
            target: Some(job.rung.clone()),
            action: Some(job.target.action.describe()),
            fencing: Some(job.right.fencing()),
            evidence: json!({
                "failure": incident.failure, "reported": incident.evidence, "now": still,
                "run": run, "tools": job.tools,
            }),
            ..Event::about("intent", &incident.component, &incident.key)
        };
        let appended = self.audit.append(self.clock.now(), intent).await;
        appended
            .map(drop)
            .map_err(|error| Verdict::new(Reason::AuditUnavailable, error.to_string()))
    }

    /// Writes down for all replicas that it is under way, and keeps the monitor from counting.
    async fn begin(&self, job: &Job, under_way: &UnderWay) -> Result<(), String> {
        let component = job.incident.component.as_str();
        let begun = case::change(&*self.store, component, self.clock.now(), |stored| {
            let mut case = Case::of(&job.incident, stored);
            let other =
                case.under_way.as_ref().is_some_and(|other| other.attempt != under_way.attempt);
            if other || case.incident != job.incident.key {
                return None;
            }
            case.under_way = Some(under_way.clone());
            Some(case)
        });
        match begun.await {
            Ok(Some(_)) => {}
            Ok(None) => return Err("another replica has begun an action".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
        self.freeze(component, under_way, job.policy.timing.longest()).await
    }

    /// Keeps the monitor from counting while it is repaired.
    async fn freeze(
        &self,
        component: &str,
        under_way: &UnderWay,
        ttl: Duration,
    ) -> Result<(), String> {
        let now = self.clock.now();
        let repairing = Repairing {
            fencing: under_way.fencing,
            attempt: under_way.attempt.clone(),
            since: now,
        };
        let store = &*self.store;
        match marks::start_repairing(store, component, &repairing, ttl, now).await {
            Ok(true) => Ok(()),
            Ok(false) => Err("a newer replica repairs it".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The last look, the action, and whether it helped.
    async fn act(&self, job: &Job, under_way: &UnderWay) -> (ActionResult, String) {
        let Job { incident, policy, .. } = job;
        let now = self.look(job).await;
        if let Err(verdict) = compare(incident, &job.case, &now, &policy.guards) {
            return (ActionResult::Refused, verdict.to_string());
        }
        if now.ok().and_then(|sight| sight.run) != under_way.run {
            return (ActionResult::Refused, "the target started anew meanwhile".to_owned());
        }
        match marks::is_in_maintenance(&*self.store, &incident.component, self.clock.now()).await {
            Ok(false) => {}
            Ok(true) => return (ActionResult::Refused, "it was paused meanwhile".to_owned()),
            Err(error) => return (ActionResult::Refused, error.to_string()),
        }
        if !job.right.lasts() || self.clock.now() > under_way.act_until {
            return (ActionResult::Refused, "it is no longer this replica's turn".to_owned());
        }
        let order = Order {
            component: incident.component.clone(),
            incident: incident.key.clone(),
            attempt: under_way.attempt.clone(),
            fencing: under_way.fencing,
        };
        tracing::info!(
            component = incident.component,
            attempt = order.attempt,
            action = under_way.action,
            "acting"
        );
        let deadline = policy.timing.act;
        let acted = timeout(deadline + OVERTIME, job.target.action.act(&order, deadline)).await;
        let acted = acted.unwrap_or_else(|_| Err(Trouble::Unknown("it took too long".to_owned())));
        let otherwise = match &acted {
            Ok(()) => ActionResult::Unverified,
            Err(Trouble::Unknown(_)) => ActionResult::Unknown,
            Err(trouble @ Trouble::Failed(_)) => {
                return (ActionResult::Failed, trouble.to_string());
            }
            Err(trouble) => return (ActionResult::Refused, trouble.to_string()),
        };
        sleep(policy.timing.grace).await;
        let verified =
            self.verify(&incident.component, under_way.tools.as_deref(), &policy.timing).await;
        match (verified, acted) {
            (Ok(()), Ok(())) => (ActionResult::Success, "verified".to_owned()),
            (Ok(()), Err(trouble)) => {
                (ActionResult::Success, format!("verified, although {trouble}"))
            }
            (Err(why), Ok(())) => (otherwise, format!("it did not help: {why}")),
            (Err(why), Err(trouble)) => (otherwise, format!("{trouble}; {why}")),
        }
    }

    /// Brings to its end what another replica, or this one before it died, has begun. It does not
    /// act: whether the action was done can be seen by what it was for.
    pub async fn take_over(
        &self,
        right: &Right,
        policy: &Policy,
        component: &str,
        theirs: &UnderWay,
    ) {
        let wait = theirs.act_until.saturating_sub(self.clock.now());
        sleep(Duration::from_millis(wait)).await;
        if !right.lasts() {
            return;
        }
        let ours = UnderWay { fencing: right.fencing(), ..theirs.clone() };
        if let Err(why) = self.freeze(component, &ours, policy.timing.longest()).await {
            tracing::warn!(component, why, "an action that was begun elsewhere waits");
            return;
        }
        let (run, acted) = self.acted_meanwhile(policy, theirs).await;
        let verified = self.verify(component, theirs.tools.as_deref(), &policy.timing).await;
        let (result, note) = match verified {
            Ok(()) => (ActionResult::Success, format!("verified by another replica; {acted}")),
            Err(why) => {
                (ActionResult::Unknown, format!("its replica did not end it; {acted}; {why}"))
            }
        };
        self.end(component, &ours, End { result, note, run }).await;
    }

    /// The run that the target is in, and what that says about the action.
    async fn acted_meanwhile(
        &self,
        policy: &Policy,
        theirs: &UnderWay,
    ) -> (Option<Run>, &'static str) {
        let Some(target) = policy.targets.get(&theirs.target) else {
            return (None, "its target is not listed any more");
        };
        let sight = target.action.look(policy.timing.look).await;
        let run = sight.ok().and_then(|sight| sight.run);
        let acted = match (&run, &theirs.run) {
            (Some(now), Some(before)) if now == before => "it was not done",
            (Some(_), Some(_)) => "it was done",
            _ => "whether it was done is unknown",
        };
        (run, acted)
    }
}
