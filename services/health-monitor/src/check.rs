//! One check of one component: ask, remember, and say what follows from it.
//!
//! The order of the writes is what survives a crash: first the result under its slot, which counts
//! once; then the incident, which every failing check reports again; the record last. Whoever comes
//! next makes up for a step that was lost.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mcpmon_coordination::incident::{self, Evidence, Incident, Origin};
use mcpmon_coordination::streak::{self, CheckResult};
use mcpmon_coordination::typed::{self, Change, position_after};
use mcpmon_coordination::{Store, store};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::component::Component;
use crate::drift::{self, Changes};
use crate::finding::{Finding, Outcome, Unknown};
use crate::judge::{Check, next_record};
use crate::lag::{self, Lag};
use crate::marks::{self, Marks};
use crate::record::{self, Record};
use crate::{clock, finding};

/// A probe that does not keep the deadline itself is dropped this much later: its own error says
/// more.
const GRACE: Duration = Duration::from_millis(250);

/// What all checks of a process share.
#[derive(Debug, Clone)]
pub struct Checker {
    store: Arc<dyn Store>,
    /// Bounds the checks that run at once.
    running: Arc<Semaphore>,
    lag: Lag,
    /// The components whose last incident is known to be over, and sent as such.
    settled: Arc<Mutex<BTreeSet<String>>>,
}

/// What a check did.
#[derive(Debug, Clone)]
pub struct Checked {
    pub record: Record,
    /// Whether the result counts; not while the component is repaired, and not when nothing was
    /// seen.
    pub counted: bool,
    /// How the tools' listing changed.
    pub changes: Changes,
}

impl Checker {
    /// `at_once` checks may run at the same time.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, lag: Lag, at_once: usize) -> Self {
        let running = Arc::new(Semaphore::new(at_once));
        Self { store, running, lag, settled: Arc::default() }
    }

    /// The store that all replicas share.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Checks the component now, as the check of `slot`.
    ///
    /// # Errors
    /// When the store cannot be asked: what was found is lost, and the next check reports it.
    pub async fn check(&self, component: &Component, slot: u64) -> Result<Checked, store::Error> {
        let finding = self.probe(component).await;
        self.report(component, slot, &finding).await
    }

    /// Asks, and is never late.
    async fn probe(&self, component: &Component) -> Finding {
        let Ok(_running) = self.running.acquire().await else {
            return Finding::unknown(Unknown::OurSide, "the monitor is stopping");
        };
        let patience = component.patience();
        let probe = component.probe.clone();
        let started = Instant::now();
        // A task of its own, so that a probe that panics is our fault and not our end.
        let mut asking = tokio::spawn(async move { probe.check(patience).await });
        let finding = match timeout(patience + GRACE, &mut asking).await {
            Ok(Ok(finding)) => finding,
            Ok(Err(panic)) => {
                tracing::error!(component = component.name, %panic, "a probe broke down");
                Finding::unknown(Unknown::OurSide, "the monitor's probe broke down")
            }
            Err(_) => {
                asking.abort();
                let within = format!("no result within {} s", patience.as_secs_f64());
                Finding::fail(incident::Failure::Timeout, within)
            }
        };
        self.excused(finding, started)
    }

    /// A failure while we ourselves were not given the processor is none.
    fn excused(&self, finding: Finding, started: Instant) -> Finding {
        let lagged = self.lag.worst_since(started);
        if matches!(finding.outcome, Outcome::Fail(_)) && lagged > lag::TOLERATED {
            let error = finding.error.unwrap_or_default();
            let why = format!("the monitor itself stood still for {:.1} s", lagged.as_secs_f64());
            return Finding::unknown(Unknown::OurSide, format!("{why}; meanwhile: {error}"));
        }
        finding
    }

    async fn report(
        &self,
        component: &Component,
        slot: u64,
        finding: &Finding,
    ) -> Result<Checked, store::Error> {
        let store = &*self.store;
        let name = component.name.as_str();
        let result = match finding.outcome {
            Outcome::Ok => Some(CheckResult::Ok),
            Outcome::Fail(_) => Some(CheckResult::Fail),
            Outcome::Unknown(_) => None,
        };
        let result = match result {
            Some(result) if !marks::is_repairing(store, name).await? => Some(result),
            _ => None,
        };
        let history = match result {
            Some(result) => streak::report(store, name, slot, result).await?,
            None => streak::history(store, name).await?,
        };
        let check = Check { slot, ended_at: clock::now(), finding };
        let previous = record::read(store, name).await?;
        let next = next_record(component, previous.as_ref(), &check, &history);
        if result.is_some()
            && let Err(error) = self.tell(component, previous.as_ref(), &next).await
        {
            if !error.is_transient() {
                return Err(error);
            }
            // Without Redis nothing can be sent to others, and what is known must be kept all the
            // same; the next check tells it.
            tracing::debug!(component = name, %error, "an incident is not sent yet");
        }
        let before = previous.as_ref().and_then(|record| record.tools.as_ref());
        let changes = drift::changes(before, finding.inventory.as_ref());
        let record = self.remember(component, &check, &history).await?;
        log(component, previous.as_ref(), &record);
        Ok(Checked { record, counted: result.is_some(), changes })
    }

    /// Opens the incident while there is trouble, and ends it when it is over.
    async fn tell(
        &self,
        component: &Component,
        previous: Option<&Record>,
        next: &Record,
    ) -> Result<(), store::Error> {
        let store = &*self.store;
        if !next.in_trouble {
            // The record may say that it was over before while that could not be sent.
            let was_over = previous.is_some_and(|record| !record.in_trouble);
            if was_over && self.settled().contains(&component.name) {
                return Ok(());
            }
            self.settled().remove(&component.name);
            incident::resolve(store, &component.name, next.slot).await?;
            self.settled().insert(component.name.clone());
            return Ok(());
        }
        let (Some(failure), Some(first_failed_at)) = (next.failure(), next.first_failed_at) else {
            return Ok(());
        };
        // Nobody is to be told and nothing to be repaired; if it is still so afterwards, the next
        // check says it.
        let marks = Marks::read(store).await?;
        if marks.maintenance_of(&component.name, clock::now()).is_some() {
            return Ok(());
        }
        let mut incident = Incident::new(
            &component.name,
            component.kind,
            failure,
            Origin::Monitor,
            first_failed_at,
            next.slot,
        );
        incident.server.clone_from(&component.server);
        incident.evidence = Evidence { latency_ms: next.latency_ms, error: next.error.clone() };
        incident.group.clone_from(&component.group);
        incident.depends_on.clone_from(&component.depends_on);
        incident::open(store, &incident).await.map(drop)
    }

    fn settled(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the record over whatever is there: the greater slot knows better.
    async fn remember(
        &self,
        component: &Component,
        check: &Check<'_>,
        history: &streak::History,
    ) -> Result<Record, store::Error> {
        typed::change(&*self.store, &record::key(&component.name), |stored| {
            let (last, previous): (Option<u64>, Option<Record>) =
                stored.map_or((None, None), |(position, record)| (Some(position), Some(record)));
            if let Some(newer) = previous.as_ref().filter(|record| record.slot >= check.slot) {
                return Change::Keep(newer.clone());
            }
            let next = next_record(component, previous.as_ref(), check, history);
            let position = position_after(last, check.slot);
            Change::Write { position, value: next.clone(), ttl: None, result: next }
        })
        .await
    }
}

/// One line for each change of state; a failed check that changes nothing is for the curious.
fn log(component: &Component, previous: Option<&Record>, record: &Record) {
    let (name, state) = (component.name.as_str(), record.state.as_str());
    let error = record.error.as_deref().or(record.warning.as_deref()).unwrap_or_default();
    let before = previous.map_or("new", |record| record.state.as_str());
    if before == state {
        tracing::debug!(component = name, state, error, "checked");
    } else if matches!(record.state, record::State::Healthy) {
        tracing::info!(component = name, state, before, "state changed");
    } else {
        tracing::warn!(component = name, state, before, error, "state changed");
    }
}

impl Checked {
    /// One number for all tools and their schemas, of an MCP server that was listed.
    #[must_use]
    pub fn tools_hash(&self) -> Option<u64> {
        let listing = self.record.tools.as_ref()?.listing.as_ref()?;
        Some(finding::Inventory::hash(listing))
    }
}
