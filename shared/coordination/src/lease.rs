//! The right to act, for a while: one replica probes a component, one remediator repairs it.
//!
//! Redis counts a lease's time with its own clock, we with ours. So the holder stops by itself
//! before the end, counted on its monotonic clock from before it asked. Correctness of a repair
//! does not rest on this alone: it compares at the target.

use std::time::Duration;

use tokio::time::Instant;

use crate::memory::random_name;
use crate::store::{Error, Fencing, Key, Store};

/// A process's name as a holder. It is new with every process, so that nobody takes a lease over
/// that a dead predecessor still has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder(String);

/// A granted lease.
#[derive(Debug)]
pub struct Lease {
    name: Key,
    holder: Holder,
    fencing: Fencing,
    ttl: Duration,
    stop_at: Instant,
}

impl Default for Holder {
    fn default() -> Self {
        Self::new()
    }
}

impl Holder {
    /// A new random name.
    #[must_use]
    pub fn new() -> Self {
        Self(random_name())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Lease {
    /// Asks for the lease; `None` when another has it.
    ///
    /// A call without an answer may have been granted. It is asked again at once, and a later call
    /// of the same holder gets the same lease; should nobody call, it ends with its time.
    ///
    /// # Errors
    /// When there is no answer to the second question either.
    pub async fn acquire(
        store: &dyn Store,
        name: &Key,
        holder: &Holder,
        ttl: Duration,
    ) -> Result<Option<Self>, Error> {
        let mut asked = Instant::now();
        let mut answer = store.acquire(name, holder.as_str(), ttl).await;
        if answer.as_ref().is_err_and(Error::is_transient) {
            asked = Instant::now();
            answer = store.acquire(name, holder.as_str(), ttl).await;
        }
        let lease = |fencing| Self {
            name: name.clone(),
            holder: holder.clone(),
            fencing,
            ttl,
            stop_at: stop_at(asked, ttl),
        };
        Ok(answer?.map(lease))
    }

    /// Whether the holder may still act.
    #[must_use]
    pub fn still_held(&self, now: Instant) -> bool {
        now < self.stop_at
    }

    /// When the holder stops by itself.
    #[must_use]
    pub fn held_until(&self) -> Instant {
        self.stop_at
    }

    /// The number to compare at the target: a greater one is newer.
    #[must_use]
    pub fn fencing(&self) -> Fencing {
        self.fencing
    }

    /// What it is the right to.
    #[must_use]
    pub fn name(&self) -> &Key {
        &self.name
    }

    /// How often a holder should renew: twice may fail.
    #[must_use]
    pub fn renew_every(&self) -> Duration {
        self.ttl / 3
    }

    /// Lengthens the lease. Says whether it is still held; when there is no answer the old end
    /// stays.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn renew(&mut self, store: &dyn Store) -> Result<bool, Error> {
        let asked = Instant::now();
        let held = store.renew(&self.name, self.holder.as_str(), self.fencing, self.ttl).await?;
        // Once over, it stays over, even if the store was slower to notice.
        if held && self.still_held(Instant::now()) {
            self.stop_at = stop_at(asked, self.ttl);
        } else {
            self.stop_at = self.stop_at.min(asked);
        }
        Ok(self.still_held(Instant::now()))
    }

    /// Gives the lease back, so that the next need not wait for its end.
    ///
    /// # Errors
    /// When the store cannot be asked: then it ends with its time.
    pub async fn release(self, store: &dyn Store) -> Result<bool, Error> {
        store.release(&self.name, self.holder.as_str(), self.fencing).await
    }
}

/// A fifth of the time is left for clocks that run unlike, and for what the holder is just doing.
fn stop_at(asked: Instant, ttl: Duration) -> Instant {
    asked + ttl * 4 / 5
}
