//! The remote sink, seen from the tool: a bounded queue that never makes it wait.
//!
//! [`sender`] empties the queue on the background thread, in batches, through [`client`].

pub(crate) mod backoff;
pub(crate) mod client;
pub(crate) mod sender;
mod throttle;
#[cfg(feature = "tls")]
mod tls;
pub(crate) mod token;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mcpmon_metrics::Event;
use tokio::sync::{Notify, mpsc, oneshot};

use self::sender::Queue;
use self::throttle::Throttle;
use crate::error::Flushed;
use crate::readings::Readings;

/// Flushes that may wait at one time.
const MAX_FLUSHES: usize = 64;

/// Called when everything recorded before a flush is settled.
pub(crate) type Done = Box<dyn FnOnce() + Send>;

/// Events that no number will ever show, by what became of them.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// The queue was full, or the monitor was shut down.
    overflow: AtomicU64,
    /// The exporter refused one event of an accepted batch.
    pub(crate) rejected: AtomicU64,
    /// The exporter refused the batch.
    pub(crate) refused: AtomicU64,
    /// They were still waiting when the monitor stopped.
    pub(crate) abandoned: AtomicU64,
}

/// The tool's end of the queue.
#[derive(Debug)]
pub(crate) struct Remote {
    events: mpsc::Sender<Event<'static>>,
    flushes: mpsc::Sender<Done>,
    /// Says that a whole batch waits.
    full: Arc<Notify>,
    batch_size: usize,
    /// Events that the sender took and has not settled.
    held: Arc<AtomicU64>,
    closed: AtomicBool,
    pub(crate) losses: Arc<Losses>,
    overflow_log: Throttle,
}

impl Losses {
    /// All of them.
    pub(crate) fn total(&self) -> u64 {
        self.after_queue()
            + self.overflow.load(Ordering::Relaxed)
            + self.rejected.load(Ordering::Relaxed)
    }

    /// Those that were queued and that no exporter took.
    pub(crate) fn after_queue(&self) -> u64 {
        self.refused.load(Ordering::Relaxed) + self.abandoned.load(Ordering::Relaxed)
    }
}

impl Remote {
    /// The two ends of a queue of `capacity` events.
    pub(crate) fn new(
        capacity: usize,
        batch_size: usize,
        readings: Arc<Readings>,
    ) -> (Self, Queue) {
        let (events, queued) = mpsc::channel(capacity);
        let (flushes, asked) = mpsc::channel(MAX_FLUSHES);
        let (full, held, losses) = (Arc::default(), Arc::default(), Arc::default());
        let queue = Queue::new(
            queued,
            asked,
            Arc::clone(&full),
            readings,
            Arc::clone(&held),
            Arc::clone(&losses),
        );
        let remote = Self {
            events,
            flushes,
            full,
            batch_size,
            held,
            closed: AtomicBool::new(false),
            losses,
            overflow_log: Throttle::default(),
        };
        (remote, queue)
    }

    /// Queues an event, or drops and counts it. Never waits.
    pub(crate) fn push(&self, event: Event<'static>) {
        if self.closed.load(Ordering::Relaxed) || self.events.try_send(event).is_err() {
            self.losses.overflow.fetch_add(1, Ordering::Relaxed);
            if let Some(silent) = self.overflow_log.pass() {
                tracing::warn!(
                    dropped = silent + 1,
                    "events are dropped: the queue to the exporter is full or closed"
                );
            }
            return;
        }
        // The sender has taken the batch's first event already, or is about to.
        if self.queued() + 1 >= self.batch_size {
            self.full.notify_one();
        }
    }

    /// Takes nothing more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Waits, blocking, until everything pushed so far is settled.
    pub(crate) fn flush(&self, deadline: Duration) -> Flushed {
        let (done, settled) = std::sync::mpsc::channel();
        // The receiver is gone when the deadline has passed; then nobody needs the word.
        let asked = self.flushes.try_send(Box::new(move || _ = done.send(())));
        if asked.is_ok() && settled.recv_timeout(deadline).is_ok() {
            return Flushed::Everything;
        }
        self.state()
    }

    /// The same without blocking, on the background thread.
    pub(crate) async fn settled(&self, deadline: Duration) -> Flushed {
        let (done, settled) = oneshot::channel();
        // One flush too many drops `done`, and nobody waits in vain.
        let _ = self.flushes.try_send(Box::new(move || _ = done.send(())));
        match tokio::time::timeout(deadline, settled).await {
            Ok(Ok(())) => Flushed::Everything,
            _ => self.state(),
        }
    }

    /// What waits now.
    pub(crate) fn state(&self) -> Flushed {
        let queued = if self.events.is_closed() { 0 } else { self.queued() as u64 };
        match queued + self.held.load(Ordering::Relaxed) {
            0 => Flushed::Everything,
            unsent => Flushed::Partly { unsent },
        }
    }

    fn queued(&self) -> usize {
        self.events.max_capacity() - self.events.capacity()
    }
}
