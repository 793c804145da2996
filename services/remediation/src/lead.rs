//! Who may act: one replica at a time, by a lease.
//!
//! With one that decides, one action at a time and one writer of the audit come by themselves. The
//! lease's fencing number goes with every action.

use std::time::Duration;

use mcpmon_coordination::{Holder, Key, Lease, Store};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// The right to act, as long as it lasts.
#[derive(Debug, Clone)]
pub struct Right {
    fencing: u64,
    held: watch::Receiver<Option<Held>>,
}

/// A lease that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub fencing: u64,
    /// On our clock that never jumps; it goes on while the process stands still.
    until: Instant,
}

impl Held {
    /// Whether it still is.
    #[must_use]
    pub fn now(&self) -> bool {
        Instant::now() < self.until
    }
}

impl Right {
    /// The right that is held now, if there is one.
    #[must_use]
    pub fn of(held: &watch::Receiver<Option<Held>>) -> Option<Self> {
        let now = *held.borrow();
        now.filter(Held::now).map(|now| Self { fencing: now.fencing, held: held.clone() })
    }

    #[must_use]
    pub fn fencing(&self) -> u64 {
        self.fencing
    }

    /// Whether it was held without a break until now.
    #[must_use]
    pub fn lasts(&self) -> bool {
        let held = *self.held.borrow();
        held.is_some_and(|held| held.fencing == self.fencing && held.now())
    }
}

/// Tries to hold the lease until `stop`, and then gives it back.
pub async fn run(
    store: &dyn Store,
    ttl: Duration,
    held: watch::Sender<Option<Held>>,
    stop: CancellationToken,
) {
    let (name, holder) = (Key::new(&["remediation"]), Holder::new());
    let mut lease: Option<Lease> = None;
    loop {
        lease = next(store, &name, &holder, ttl, lease).await;
        let now = lease
            .as_ref()
            .map(|lease| Held { fencing: lease.fencing().0, until: lease.held_until() });
        held.send_if_modified(|held| {
            let other = held.map(|held| held.fencing) != now.map(|now| now.fencing);
            if other {
                tracing::info!(leads = now.is_some(), "who may act changed");
            }
            std::mem::replace(held, now) != now
        });
        if stop.run_until_cancelled(sleep(ttl / 3)).await.is_none() {
            break;
        }
    }
    held.send_replace(None);
    if let Some(lease) = lease
        && let Err(error) = lease.release(store).await
    {
        tracing::debug!(%error, "the lease ends with its time");
    }
}

async fn next(
    store: &dyn Store,
    name: &Key,
    holder: &Holder,
    ttl: Duration,
    lease: Option<Lease>,
) -> Option<Lease> {
    if let Some(mut lease) = lease {
        match lease.renew(store).await {
            Ok(true) => return Some(lease),
            // Without an answer it lasts until its end.
            Err(_) if lease.still_held(Instant::now()) => return Some(lease),
            Ok(false) | Err(_) => {}
        }
    }
    match Lease::acquire(store, name, holder, ttl).await {
        Ok(lease) => lease,
        Err(error) => {
            tracing::debug!(%error, "nobody can say who may act");
            None
        }
    }
}
