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
use mcpmon_coordination::{Incident, Store, inventory};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use self::end::End;
use crate::action::{Order, Run, Sight, Trouble};
use crate::audit::{Audit, Event};
use crate::budgets;
use crate::case::{self, ActionResult, Case, UnderWay};
use crate::clock::Clock;
use crate::decide::{a_check_decides, approved, compare, storm};
use crate::host_lock::{Acted, HostLock, Taken};
use crate::lead::Right;
use crate::metrics::Counts;
use crate::monitor::{Monitor, Outcome};
use crate::policy::{Mode, Policy, Rule, Target, failure_name};
use crate::verdict::{Reason, Verdict};
use crate::words::milliseconds;

/// An action that knows its deadline ends by itself; one that does not is given up after this.
pub(crate) const OVERTIME: Duration = Duration::from_secs(1);

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
    /// By what it was decided.
    pub policy: Arc<Policy>,
    /// What is configured by now.
    pub configured: watch::Receiver<Arc<Policy>>,
    pub incident: Incident,
    pub case: Case,
    pub rule: Rule,
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
        compare(incident, &job.case, &job.rung, &before, &policy.guards)?;
        let action = job.target.action.describe();
        if job.rule.mode == Mode::DryRun {
            return Err(Verdict::new(Reason::DryRun, format!("it would {action}")));
        }
        let still = self.still_there(job).await?;
        approved(self.clock.now(), incident, &job.case, &job.rule, &job.target)?;
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
            act_until: began + milliseconds(policy.timing.longest_until_acted()),
            run: before,
            tools: job.tools.clone(),
        };
        let end = match self.begin(job, &under_way).await {
            Ok(()) => self.act(job, &under_way).await,
            Err(why) => End::refused(why, self.clock.now()),
        };
        let result = end.result;
        self.end(&incident.component, &under_way, end).await;
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
        let now = self.clock.now();
        match checked.outcome {
            Outcome::Unknown => {
                let why = checked.error.unwrap_or_default();
                return Err(unknown(format!("a fresh check cannot say: {why}")));
            }
            Outcome::Ok if a_check_decides(&job.incident, &job.case, now) => {
                return Err(Verdict::new(Reason::Recovered, "a fresh check finds it well"));
            }
            Outcome::Fail(failure) if !job.rule.failures.contains(&failure) => {
                let failure = failure_name(failure);
                let why =
                    format!("by now it is {failure}, which rule {} does not answer", job.rule.name);
                return Err(Verdict::new(Reason::NoRule, why));
            }
            Outcome::Ok | Outcome::Fail(_) => {}
        }
        Ok(json!({
            "state": checked.state, "error": checked.error, "latency_ms": checked.latency_ms,
        }))
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
            rule: Some(job.rule.name.clone()),
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
        appended.map_err(|error| Verdict::new(Reason::AuditUnavailable, error.to_string()))?;
        self.counts.decided(&incident.component, Reason::Act);
        Ok(())
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
    async fn act(&self, job: &Job, under_way: &UnderWay) -> End {
        let Job { incident, policy, .. } = job;
        if let Err(why) = self.may_act(job, under_way).await {
            return End::refused(why, self.clock.now());
        }
        let order = Order {
            component: incident.component.clone(),
            incident: incident.key.clone(),
            attempt: under_way.attempt.clone(),
            fencing: under_way.fencing,
        };
        let (component, action) = (incident.component.as_str(), under_way.action.as_str());
        tracing::info!(component, attempt = order.attempt, action, "acting");
        let deadline = policy.timing.act;
        let acted = timeout(deadline + OVERTIME, job.target.action.act(&order, deadline)).await;
        let acted = acted.unwrap_or_else(|_| Err(Trouble::Unknown("it took too long".to_owned())));
        let acted_at = self.clock.now();
        let end = |result, note| End { result, note, acted_at };
        match &acted {
            Ok(()) | Err(Trouble::Unknown(_)) => {}
            Err(trouble @ Trouble::Failed(_)) => {
                return end(ActionResult::Failed, trouble.to_string());
            }
            Err(trouble) => return end(ActionResult::Refused, trouble.to_string()),
        }
        sleep(policy.timing.grace).await;
        let tools = under_way.tools.as_deref();
        let verified = self.verify(component, tools, &policy.timing).await;
        match (verified, acted) {
            (Ok(()), Ok(())) => end(ActionResult::Success, "verified".to_owned()),
            (Ok(()), Err(trouble)) => {
                end(ActionResult::Success, format!("verified, although {trouble}"))
            }
            (Err(why), Ok(())) => end(ActionResult::Unverified, format!("it did not help: {why}")),
            (Err(why), Err(trouble)) => end(ActionResult::Unknown, format!("{trouble}; {why}")),
        }
    }

    /// What speaks against it at the last moment: another run of the target, a person's pause, a storm,
    /// another configuration, another replica.
    async fn may_act(&self, job: &Job, under_way: &UnderWay) -> Result<(), String> {
        let Job { incident, policy, .. } = job;
        let (store, component) = (&*self.store, incident.component.as_str());
        let now = self.look(job).await;
        compare(incident, &job.case, &job.rung, &now, &policy.guards)
            .map_err(|verdict| verdict.to_string())?;
        if now.ok().and_then(|sight| sight.run) != under_way.run {
            return Err("the target started anew meanwhile".to_owned());
        }
        // After the look, which may take its time.
        let paused = marks::is_in_maintenance(store, component, self.clock.now()).await;
        if paused.map_err(|error| error.to_string())? {
            return Err("it is in maintenance by now".to_owned());
        }
        let inventory = inventory::read(store).await.map_err(|error| error.to_string())?;
        if !storm(&policy.guards, &inventory, self.clock.now()).is_empty() {
            return Err("by now many components fail at once".to_owned());
        }
        if !Arc::ptr_eq(policy, &job.configured.borrow()) {
            return Err("the configuration is another by now".to_owned());
        }
        let ends_by = self.clock.now() + milliseconds(policy.timing.act + OVERTIME);
        if !job.right.lasts() || ends_by > under_way.act_until {
            return Err("it is no longer this replica's turn".to_owned());
        }
        Ok(())
    }

    /// Brings to its end what another replica, or this one before it died, has begun. It does not
    /// act: whether the action was done can be seen by what it was for. Says whether it is ended.
    pub async fn take_over(
        &self,
        right: &Right,
        policy: &Policy,
        component: &str,
        theirs: &UnderWay,
    ) -> bool {
        let timing = &policy.timing;
        // Not longer than a call can take, whatever their clock said.
        let left = Duration::from_millis(theirs.act_until.saturating_sub(self.clock.now()));
        sleep(left.min(timing.longest_until_acted())).await;
        if !right.lasts() {
            return false;
        }
        let ours = UnderWay { fencing: right.fencing(), ..theirs.clone() };
        // A mark that stands serves as well as ours.
        if let Err(why) = self.freeze(component, &ours, timing.longest()).await {
            tracing::debug!(component, why, "another mark keeps the monitor from counting");
        }
        let acted_at = self.clock.now().min(theirs.act_until);
        let end = |result, note| End { result, note, acted_at };
        let end = match self.acted_meanwhile(policy, theirs).await {
            Some(false) => {
                end(ActionResult::Refused, "its replica ended before it acted".to_owned())
            }
            acted => {
                let acted = acted.map_or("whether it was done is unknown", |_| "it was done");
                match self.verify(component, theirs.tools.as_deref(), timing).await {
                    Ok(()) => {
                        let note = format!("verified by another replica; {acted}");
                        end(ActionResult::Success, note)
                    }
                    Err(why) => {
                        let note = format!("its replica did not end it; {acted}; {why}");
                        end(ActionResult::Unknown, note)
                    }
                }
            }
        };
        self.end(component, &ours, end).await
    }

    /// Whether the action was done, as far as the run of its target tells.
    async fn acted_meanwhile(&self, policy: &Policy, theirs: &UnderWay) -> Option<bool> {
        let target = policy.targets.get(&theirs.target)?;
        let sight = target.action.look(policy.timing.look).await;
        Some(sight.ok()?.run? != *theirs.run.as_ref()?)
    }
}
