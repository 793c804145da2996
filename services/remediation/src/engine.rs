//! The loop: what is known, what follows from it, and one action at a time.
//!
//! It looks at the state and not at messages, so a message that is lost or comes twice changes
//! nothing: an incident that is open is decided on again and again. The stream only wakes it. Every
//! replica looks, for its page and its gauges; the one with the lease decides and acts.

mod say;
pub(crate) mod state;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mcpmon_coordination::{Incident, Store, incident, store};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::state::State;
use crate::audit::Event;
use crate::board::Board;
use crate::budgets;
use crate::case::{Case, UnderWay};
use crate::decide::{self, Facts};
use crate::lead::{Held, Right};
use crate::policy::Policy;
use crate::repair::{Job, Repairer};
use crate::verdict::{Reason, Verdict};

/// The group that shares the stream.
const GROUP: &str = "remediation";
/// What a consumer has not acknowledged by then goes to another.
const PATIENCE: Duration = Duration::from_secs(30);
const WAIT: Duration = Duration::from_secs(1);
/// A component against whose repair something stood at last is left alone for so many pauses.
const QUIET: u32 = 5;
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// What the loop works with.
#[derive(Debug)]
pub struct Engine {
    pub repairer: Repairer,
    pub policy: watch::Receiver<Arc<Policy>>,
    pub held: watch::Receiver<Option<Held>>,
    /// Whether the store can be used.
    pub up: watch::Receiver<bool>,
    /// When the store was last found with another set of data.
    pub seeded_at: watch::Receiver<Option<Instant>>,
    /// How long leases of before may still be believed in.
    pub hold_off: Duration,
    pub board: watch::Sender<Arc<Board>>,
    /// Something happened.
    pub wake: Arc<Notify>,
}

/// What one replica remembers from step to step.
#[derive(Debug, Default)]
pub struct Memory {
    /// The action that this replica does, or brings to its end.
    running: JoinSet<Ended>,
    /// The component that it is about.
    busy: Option<String>,
    /// When each component was last about to be acted on.
    tried: BTreeMap<String, Instant>,
    /// The incidents that were open when that was last known.
    open: Vec<Incident>,
    /// What was said of being held.
    held: Option<Reason>,
}

/// What a job leaves.
#[derive(Debug)]
struct Ended {
    incident: Option<Incident>,
    /// Why nothing was done, if so.
    verdict: Option<Verdict>,
}

impl Engine {
    /// Runs until `stop`. An action that is under way then is brought to its end.
    pub async fn run(self, stop: CancellationToken) {
        let mut memory = Memory::default();
        while !stop.is_cancelled() {
            self.step(&mut memory).await;
            let pause = self.policy.borrow().timing.verify_every;
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => {}
                Some(ended) = memory.running.join_next(), if !memory.running.is_empty() => {
                    self.ended(ended).await;
                }
                () = sleep(pause) => {}
            }
        }
        while let Some(ended) = memory.running.join_next().await {
            self.ended(ended).await;
        }
    }

    /// Looks once, and acts if that follows.
    pub async fn step(&self, memory: &mut Memory) {
        while let Some(ended) = memory.running.try_join_next() {
            self.ended(ended).await;
        }
        let right = Right::of(&self.held);
        let state = self.look(memory).await;
        let held = self.hold(state.is_err()).await;
        if held != memory.held {
            if right.is_none() {
                memory.open.clear();
            }
            self.say_held(memory, held).await;
            memory.held = held;
        }
        self.show(memory, state.as_ref().ok(), held, right.is_some());
        let (Ok(state), Some(right), None) = (state, right, held) else { return };
        memory.open.clone_from(&state.open);
        if let Err(error) = self.decide(memory, &state, &right).await {
            tracing::warn!(%error, "nothing is decided for now");
        }
    }

    async fn look(&self, memory: &Memory) -> Result<State, store::Error> {
        let state = State::read(self.store()).await;
        if let Err(error) = &state
            && memory.held != Some(Reason::CoordinationUnavailable)
        {
            tracing::warn!(%error, "coordination is away: nothing is repaired");
        }
        state
    }

    /// Why nothing may be repaired at all, if so.
    async fn hold(&self, away: bool) -> Option<Reason> {
        if away || !*self.up.borrow() {
            return Some(Reason::CoordinationUnavailable);
        }
        let seeded = *self.seeded_at.borrow();
        if seeded.is_some_and(|seeded| Instant::now() < seeded + self.hold_off) {
            return Some(Reason::HoldOff);
        }
        let audit = &self.repairer.audit;
        if !audit.is_writable() {
            let again = Event {
                note: Some("the audit can be written again".to_owned()),
                ..Event::new("operator")
            };
            if audit.append(self.now(), again).await.is_err() {
                return Some(Reason::AuditUnavailable);
            }
        }
        None
    }

    async fn decide(
        &self,
        memory: &mut Memory,
        state: &State,
        right: &Right,
    ) -> Result<(), store::Error> {
        let policy = self.policy.borrow().clone();
        self.over(state).await?;
        let calm_at = self.storm(state, &policy).await?;
        let in_flight = state.cases.values().any(|case| case.under_way.is_some());
        if memory.running.is_empty() {
            let begun =
                state.cases.iter().find_map(|(name, case)| Some((name, case.under_way.as_ref()?)));
            if let Some((component, under_way)) = begun {
                self.take_over(memory, right, &policy, component, under_way);
            }
        }
        let mut ready = Vec::new();
        for incident in &state.open {
            let component = incident.component.as_str();
            let case = Case::of(incident, state.cases.get(component).cloned());
            // An action that begins has spent its budget before all know that it is under way.
            let busy = memory.busy.as_deref() == Some(component) && !memory.running.is_empty();
            if case.under_way.is_some() || busy {
                continue;
            }
            let (spent, system_spent) = match budgets::spent(self.store(), component).await {
                Ok(spent) => spent,
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    // It must not keep the others from being repaired.
                    let verdict = Verdict::new(Reason::CoordinationUnavailable, error.to_string());
                    self.say(incident, &case, &verdict, &policy).await?;
                    continue;
                }
            };
            if let Some(mark) = state.marks.repairing.get(component)
                && mark.fencing > right.fencing()
            {
                let detail = format!("the mark of {} has not ended", mark.attempt);
                let verdict = Verdict::new(Reason::ActionInFlight, detail);
                self.say(incident, &case, &verdict, &policy).await?;
                continue;
            }
            let facts = Facts {
                now: self.now(),
                policy: &policy,
                incident,
                case: &case,
                inventory: &state.inventory,
                maintenance: state.marks.maintenance_of(component, self.now()),
                spent: &spent,
                system_spent: &system_spent,
                calm_at,
                in_flight,
            };
            match decide::plan(&facts) {
                Ok(plan) => ready.push(Job {
                    right: right.clone(),
                    policy: policy.clone(),
                    configured: self.policy.clone(),
                    incident: incident.clone(),
                    rule: plan.rule.clone(),
                    rung: plan.rung.to_owned(),
                    target: plan.target.clone(),
                    tools: state.tools(incident),
                    case,
                }),
                Err(verdict) => self.say(incident, &case, &verdict, &policy).await?,
            }
        }
        let now = Instant::now();
        memory.tried.retain(|_, tried| now < *tried + FORGOTTEN);
        if memory.running.is_empty() {
            let quiet = policy.timing.verify_every * QUIET;
            // Whoever was not looked at for the longest time: one of which nothing comes must not
            // keep the others waiting.
            let tried = |job: &Job| memory.tried.get(&job.incident.component).copied();
            ready.retain(|job| tried(job).is_none_or(|tried| now >= tried + quiet));
            if let Some(job) = ready.into_iter().min_by_key(tried) {
                memory.tried.insert(job.incident.component.clone(), now);
                self.start(memory, job);
            }
        }
        Ok(())
    }

    fn start(&self, memory: &mut Memory, job: Job) {
        memory.busy = Some(job.incident.component.clone());
        let repairer = self.repairer.clone();
        memory.running.spawn(async move {
            let verdict = repairer.run(&job).await.err();
            Ended { incident: Some(job.incident), verdict }
        });
    }

    fn take_over(
        &self,
        memory: &mut Memory,
        right: &Right,
        policy: &Arc<Policy>,
        component: &str,
        under_way: &UnderWay,
    ) {
        memory.busy = Some(component.to_owned());
        tracing::warn!(
            component,
            attempt = under_way.attempt,
            "bringing to its end what another began"
        );
        let (repairer, right, policy) = (self.repairer.clone(), right.clone(), policy.clone());
        let (component, under_way) = (component.to_owned(), under_way.clone());
        memory.running.spawn(async move {
            if !repairer.take_over(&right, &policy, &component, &under_way).await {
                // It is tried again, but not at once.
                sleep(policy.timing.verify_every).await;
            }
            Ended { incident: None, verdict: None }
        });
    }

    async fn ended(&self, ended: Result<Ended, JoinError>) {
        let Ended { incident, verdict } = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // Its case says that it is under way; it is taken over.
                tracing::error!(%error, "a repair broke down");
                return;
            }
        };
        let (Some(incident), Some(verdict)) = (incident, verdict) else { return };
        let policy = self.policy.borrow().clone();
        let said = async {
            let stored = crate::case::read(self.store(), &incident.component).await?;
            self.say(&incident, &Case::of(&incident, stored), &verdict, &policy).await
        };
        if let Err(error) = said.await {
            tracing::warn!(component = incident.component, %verdict, %error, "it is decided again");
        }
    }

    fn store(&self) -> &dyn Store {
        &*self.repairer.store
    }

    fn now(&self) -> u64 {
        self.repairer.clock.now()
    }
}

/// Wakes the engine when the stream has something, and takes it off the stream: the incident's
/// document holds what is true.
pub async fn listen(store: Arc<dyn Store>, consumer: String, wake: Arc<Notify>) {
    loop {
        let delivered = incident::consume(&*store, GROUP, &consumer, PATIENCE, WAIT).await;
        let Ok(delivered) = delivered else {
            sleep(WAIT).await;
            continue;
        };
        for delivered in delivered {
            wake.notify_one();
            if let Err(error) = incident::acknowledge(&*store, GROUP, &delivered.id).await {
                tracing::debug!(%error, "it will come again");
            }
        }
    }
}
