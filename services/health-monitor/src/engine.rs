//! Checks on a schedule: one task for each component, which sleeps until its slot, takes the lease
//! of the component, checks, and gives the lease back.
//!
//! Who sleeps waits for nobody, and wakes early when there is a [`doubt`](crate::doubt), so one component that hangs delays no other. Replicas wake at the
//! same slot; the one that gets the lease checks, the others find the slot done.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcpmon_coordination::{Holder, Key, Lease};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::check::{Checked, Checker};
use crate::clock;
use crate::component::Component;
use crate::doubt::Doubts;
use crate::record;
use crate::schedule::{Cadence, Slot};

/// A lease outlives its check by this much: what the store may take before and after.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// How long to wait for the replica that is checking, before looking again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What a check leaves for the metrics.
#[derive(Debug)]
pub struct Done {
    pub component: Component,
    pub checked: Checked,
    /// Slots that passed without a check before this one.
    pub missed: u64,
}

/// When a slot was done last, by this replica or another: the sign that checks go on.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<Option<Instant>>>);

impl Progress {
    /// The last time that a slot was found done.
    #[must_use]
    pub fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// Checks components until it is told to stop.
#[derive(Debug)]
pub struct Engine {
    pub checker: Checker,
    pub holder: Holder,
    /// What is to be checked out of turn.
    pub doubts: watch::Receiver<Doubts>,
    pub done: mpsc::UnboundedSender<Done>,
    pub progress: Progress,
}

impl Engine {
    /// Checks all of them, each on its own schedule, until `stop`; a check that runs then is let
    /// to its end.
    pub async fn run(self: Arc<Self>, components: Vec<Component>, stop: CancellationToken) {
        let mut watching = JoinSet::new();
        for component in components {
            let (engine, stop) = (self.clone(), stop.clone());
            watching.spawn(async move {
                engine.watch(&component, &stop).await;
                component.probe.close().await;
            });
        }
        while let Some(ended) = watching.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the watch over a component broke down");
            }
        }
    }

    async fn watch(&self, component: &Component, stop: &CancellationToken) {
        let cadence = Cadence::new(&component.name, component.interval, component.recheck);
        let mut doubts = self.doubts.clone();
        let mut waiting_for = None;
        loop {
            let record = match record::read(&**self.checker.store(), &component.name).await {
                Ok(record) => record,
                Err(error) => {
                    tracing::error!(component = component.name, %error, "its record is not used");
                    if wait(stop, component.deadline).await {
                        return;
                    }
                    continue;
                }
            };
            let doubt = doubts.borrow().about(&component.name);
            let slot = cadence.next(record.as_ref(), doubt, clock::now()).not_put_off(waiting_for);
            waiting_for = Some(slot);
            let pause = Duration::from_millis(slot.due.saturating_sub(clock::now()));
            // Meanwhile another replica, `--once` or somebody who asked for a check may find what
            // has to be confirmed, and be gone before that.
            let nap = pause.min(component.recheck);
            let in_doubt = tokio::select! {
                is_over = wait(stop, nap) => {
                    if is_over {
                        return;
                    }
                    false
                }
                Ok(_) = doubts.wait_for(|doubts| doubts.about(&component.name) > doubt) => true,
            };
            if in_doubt || nap < pause {
                continue;
            }
            let pause = match self.take(component, slot).await {
                Taken::Done => {
                    self.progress.note();
                    continue;
                }
                Taken::ByAnother => LOOK_AGAIN,
                // Without a record the slot would be due again at once.
                Taken::Lost => component.recheck,
            };
            if wait(stop, pause).await {
                return;
            }
        }
    }

    /// Checks as the check of `slot`, unless another replica is doing that or did it.
    async fn take(&self, component: &Component, slot: Slot) -> Taken {
        let store = &**self.checker.store();
        let name = Key::new(&["probe", &component.name]);
        let ttl = component.patience() + LEASE_MARGIN;
        let lease = match Lease::acquire(store, &name, &self.holder, ttl).await {
            Ok(Some(lease)) => Some(lease),
            Ok(None) => return Taken::ByAnother,
            // Without the store nobody can say who checks: each for itself.
            Err(error) => {
                tracing::debug!(component = component.name, %error, "checking without a lease");
                None
            }
        };
        // Another replica may have done it while we asked for the lease.
        let record = record::read(store, &component.name).await.ok().flatten();
        let done = record.as_ref().is_some_and(|record| slot.is_done(record));
        let taken = if done { Taken::Done } else { self.check(component, slot).await };
        if let Some(lease) = lease
            && let Err(error) = lease.release(store).await
        {
            tracing::debug!(component = component.name, %error, "the lease ends by itself");
        }
        taken
    }

    async fn check(&self, component: &Component, slot: Slot) -> Taken {
        match self.checker.check(component, slot.number).await {
            Ok(checked) => {
                let done = Done { component: component.clone(), checked, missed: slot.missed };
                // Nobody counts any more when the service stops.
                let _ = self.done.send(done);
                Taken::Done
            }
            Err(error) => {
                tracing::error!(component = component.name, %error, "a result was not kept");
                Taken::Lost
            }
        }
    }
}

/// What became of a slot.
enum Taken {
    Done,
    /// Another replica is checking.
    ByAnother,
    /// It was checked, and what was found could not be kept.
    Lost,
}

/// Waits; says whether it is over before that.
async fn wait(stop: &CancellationToken, time: Duration) -> bool {
    tokio::select! {
        () = stop.cancelled() => true,
        () = sleep(time) => false,
    }
}
