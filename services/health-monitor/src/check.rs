//! One check of one component: ask, remember, and say what follows from it.
//!
//! The order of the writes is what survives a crash: first the result under its slot, which counts
//! once; then the incident, which every failing check reports again; the record last. Whoever comes
//! next makes up for a step that was lost.

use std::sync::Arc;
use std::time::Duration;

use mcpmon_coordination::incident::{self, Evidence, Incident, Opened, Origin};
use mcpmon_coordination::streak::{self, CheckResult};
use mcpmon_coordination::typed::{self, Change, position_after};
use mcpmon_coordination::{Store, marks, store};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::component::Component;
use crate::drift::{self, Changes};
use crate::finding::{Finding, Outcome, Unknown};
use crate::judge::{Check, next_record};
use crate::lag::{self, Lag};
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
        Self { store, running: Arc::new(Semaphore::new(at_once)), lag }
    }

    /// The same, with another bound for the checks that begin from now on.
    #[must_use]
    pub fn limited_to(&self, at_once: usize) -> Self {
        Self { running: Arc::new(Semaphore::new(at_once)), ..self.clone() }
    }

    /// The store that all replicas share.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Checks the component now, beside its schedule: in a slot of its own behind the last one, also
    /// when that was given by a clock that runs ahead of ours.
    ///
    /// # Errors
    /// When the store cannot be asked: what was found is lost.
    pub async fn check_now(&self, component: &Component) -> Result<Checked, store::Error> {
        let name = component.name.as_str();
        let record = record::read(&*self.store, name).await?.map(|record| record.slot);
        let counted = streak::history(&*self.store, name).await?.last_slot();
        let behind = record.max(counted).map_or(0, |last| last.saturating_add(1));
        self.check(component, clock::now().max(behind)).await
    }

    /// Checks the component now, as the check of `slot`.
    ///
    /// # Errors
    /// When the store cannot be asked: what was found is lost, and the next check reports it.
    pub async fn check(&self, component: &Component, slot: u64) -> Result<Checked, store::Error> {
        let finding = self.probe(component).await;
        self.report(component, slot, &finding).await
    }

    /// Ends what is known of a component that nobody watches any more.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn forget(&self, component: &str) -> Result<(), store::Error> {
        let now = clock::now();
        incident::resolve_own(&*self.store, component, now, Origin::Monitor).await?;
        let key = record::key(component);
        while let Some(document) = self.store.get(&key).await? {
            if self.store.remove(&key, document.position).await? {
                break;
            }
        }
        Ok(())
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
            && let Err(error) = self.tell(component, &next).await
        {
            if !error.is_transient() {
                return Err(error);
            }
            // Without Redis nothing can be sent to others, and what is known must be kept all the
            // same; the next check tells it.
            tracing::debug!(component = name, %error, "an incident is not sent yet");
        }
        let (record, changes) = self.remember(component, &check, &history).await?;
        log(component, previous.as_ref(), &record);
        // A slot that is not behind the last one counts for nothing.
        let counted = result.is_some() && history.last_slot() == Some(slot);
        Ok(Checked { record, counted, changes })
    }

    /// Opens the incident while there is trouble, and ends it when it is over.
    async fn tell(&self, component: &Component, next: &Record) -> Result<(), store::Error> {
        let store = &*self.store;
        if !next.in_trouble {
            // Also when the record says that it was over before: whoever wrote that may have died
            // before the incident was closed, or could not send it.
            return incident::resolve_own(store, &component.name, next.slot, Origin::Monitor)
                .await
                .map(drop);
        }
        let (Some(failure), Some(first_failed_at)) = (next.failure(), next.first_failed_at) else {
            return Ok(());
        };
        // Nobody is to be told and nothing to be repaired; if it is still so afterwards, the next
        // check says it.
        if marks::is_in_maintenance(store, &component.name, clock::now()).await? {
            return Ok(());
        }
        let incident = |began| {
            let mut incident = Incident::new(
                &component.name,
                component.kind,
                failure,
                Origin::Monitor,
                began,
                next.slot,
            );
            incident.server.clone_from(&component.server);
            incident.evidence = Evidence { latency_ms: next.latency_ms, error: next.error.clone() };
            incident.group.clone_from(&component.group);
            incident.depends_on.clone_from(&component.depends_on);
            incident
        };
        let opened = incident::open(store, &incident(first_failed_at)).await?;
        if opened == Opened::Over {
            // It was closed, and whoever closed it died before the record said so: this is another.
            incident::open(store, &incident(next.slot)).await?;
        }
        Ok(())
    }

    /// Writes the record over whatever is there: the greater slot knows better.
    async fn remember(
        &self,
        component: &Component,
        check: &Check<'_>,
        history: &streak::History,
    ) -> Result<(Record, Changes), store::Error> {
        typed::change(&*self.store, &record::key(&component.name), |stored| {
            let (last, previous): (Option<u64>, Option<Record>) =
                stored.map_or((None, None), |(position, record)| (Some(position), Some(record)));
            if let Some(newer) = previous.as_ref().filter(|record| record.slot >= check.slot) {
                return Change::Keep((newer.clone(), Changes::default()));
            }
            let before = previous.as_ref().and_then(|record| record.tools.as_ref());
            let changes = drift::changes(before, check.finding.inventory.as_ref());
            let next = next_record(component, previous.as_ref(), check, history);
            let position = position_after(last, check.slot);
            Change::Write { position, value: next.clone(), ttl: None, result: (next, changes) }
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
