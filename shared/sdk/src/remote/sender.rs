//! The remote sink, seen from the background thread: takes events off the queue, posts them in
//! batches, and keeps a batch until the exporter has answered for it.
//!
//! A batch keeps its idempotency key over all attempts, so an answer that was lost on the way
//! costs nothing. While a batch is tried again the queue fills to its bound, and no further.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::body::Bytes;
use mcpmon_metrics::label::Observer;
use mcpmon_metrics::{Event, Origin};
use reqwest::StatusCode;
use serde::Serialize;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::client::{Exporter, Failure, Rejected, Verdict};
use super::throttle::Throttle;
use super::{Done, Losses, backoff};
use crate::readings::Readings;
use crate::{random, redact};

/// Connections that change all the time are told this often.
const CONNECTIONS_INTERVAL: Duration = Duration::from_secs(1);

/// How often and how much is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) batch_size: usize,
    pub(crate) flush_interval: Duration,
    pub(crate) heartbeat: Duration,
}

/// The sender's end of the queue, and what it took from there.
pub(crate) struct Queue {
    events: mpsc::Receiver<Event<'static>>,
    flushes: mpsc::Receiver<Done>,
    full: Arc<Notify>,
    /// The next batch, as far as it was gathered.
    batch: Vec<Event<'static>>,
    /// When it goes out even if it is not full.
    due: Instant,
    /// When connections that changed are told, unless someone waits for all there is.
    connections_due: Option<Instant>,
    connections_told: Option<Instant>,
    readings: Arc<Readings>,
    held: Arc<AtomicU64>,
    losses: Arc<Losses>,
    /// Events that the exporter has answered for, or that were given up.
    settled: u64,
    /// Who waits, and until how many events are settled.
    waiters: Vec<(u64, Done)>,
}

/// The task.
pub(crate) struct Sender {
    queue: Queue,
    exporter: Exporter,
    origin: Arc<Origin<'static>>,
    pace: Pace,
    /// Makes keys unlike those of any other process.
    nonce: String,
    keys: u64,
    /// The exporter does not answer: said once, and once more when it does again.
    down: bool,
    refusals: HashSet<StatusCode>,
    rejections: Throttle,
}

#[derive(Serialize)]
struct Body<'a> {
    server: &'a str,
    source: &'a str,
    observer: Observer,
    events: &'a [Event<'static>],
}

impl Queue {
    pub(crate) fn new(
        events: mpsc::Receiver<Event<'static>>,
        flushes: mpsc::Receiver<Done>,
        full: Arc<Notify>,
        readings: Arc<Readings>,
        held: Arc<AtomicU64>,
        losses: Arc<Losses>,
    ) -> Self {
        Self {
            events,
            flushes,
            full,
            batch: Vec::new(),
            due: Instant::now(),
            connections_due: None,
            connections_told: None,
            readings,
            held,
            losses,
            settled: 0,
            waiters: Vec::new(),
        }
    }

    fn take(&mut self, event: Event<'static>) {
        self.held.fetch_add(1, Ordering::Relaxed);
        self.batch.push(event);
    }

    /// Returns when a batch is full or due, or when someone waits for it. Keeps what it has
    /// when it is cancelled.
    async fn gather(&mut self, pace: Pace) {
        while self.waiters.is_empty() {
            let gathering = !self.batch.is_empty();
            if gathering && self.batch.len() + self.events.len() >= pace.batch_size {
                return;
            }
            let batch_due = gathering.then_some(self.due);
            let due = batch_due.into_iter().chain(self.connections_due).min();
            tokio::select! {
                Some(event) = self.events.recv(), if !gathering => {
                    self.due = Instant::now() + pace.flush_interval;
                    self.take(event);
                }
                () = self.full.notified(), if gathering => {}
                () = self.readings.gauges.connections_moved(), if self.connections_due.is_none() => {
                    let next = self.connections_told.map(|told| told + CONNECTIONS_INTERVAL);
                    self.connections_due = Some(next.unwrap_or_else(Instant::now));
                }
                Some(done) = self.flushes.recv() => self.ask(done),
                () = until(due) => return,
            }
        }
    }

    /// The next batch: what was gathered and what else waits, up to `size`, and connections.
    /// Empty when those are as they were.
    fn next_batch(&mut self, size: usize) -> Vec<Event<'static>> {
        while self.batch.len() < size {
            let Ok(event) = self.events.try_recv() else { break };
            self.take(event);
        }
        if self.connections_due.is_some_and(|due| due <= Instant::now()) {
            self.take_connections();
        }
        std::mem::take(&mut self.batch)
    }

    fn take_connections(&mut self) {
        self.connections_due = None;
        self.connections_told = Some(Instant::now());
        for event in self.readings.gauges.moved_connections() {
            self.take(event);
        }
    }

    /// Someone waits for all that was recorded so far.
    fn ask(&mut self, done: Done) {
        self.take_connections();
        let pending = self.held.load(Ordering::Relaxed) + self.events.len() as u64;
        self.waiters.push((self.settled + pending, done));
        self.answer();
    }

    /// Tells those whose events are settled.
    fn answer(&mut self) {
        for (_, done) in self.waiters.extract_if(.., |(target, _)| *target <= self.settled) {
            done();
        }
    }

    fn settle(&mut self, events: usize) {
        self.held.fetch_sub(events as u64, Ordering::Relaxed);
        self.settled += events as u64;
        self.answer();
    }

    /// Waits before the next attempt. A flush cuts the wait short, unless the exporter asked
    /// for it.
    async fn pause(&mut self, wait: Duration, asked_for: bool) {
        let over = sleep(wait);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return,
                Some(done) = self.flushes.recv() => {
                    self.ask(done);
                    if !asked_for {
                        return;
                    }
                }
            }
        }
    }
}

/// Sleeps until then; without end when there is no such time.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.events.close();
        let mut left = self.held.swap(0, Ordering::Relaxed);
        while self.events.try_recv().is_ok() {
            left += 1;
        }
        self.losses.abandoned.fetch_add(left, Ordering::Relaxed);
    }
}

impl Sender {
    pub(crate) fn new(
        queue: Queue,
        exporter: Exporter,
        origin: Arc<Origin<'static>>,
        pace: Pace,
    ) -> Self {
        Self {
            queue,
            exporter,
            origin,
            pace,
            nonce: format!("{:016x}{:016x}", random::bits(), random::bits()),
            keys: 0,
            down: false,
            refusals: HashSet::new(),
            rejections: Throttle::default(),
        }
    }

    /// Sends until the runtime ends.
    pub(crate) async fn run(mut self) {
        let mut heartbeat = interval(self.pace.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = heartbeat.tick() => self.beat().await,
                () = self.queue.gather(self.pace) => self.deliver().await,
            }
        }
    }

    /// Posts the readings. They are not tried again: the next ones will be newer, and repeat
    /// every 0 that was not accepted.
    async fn beat(&mut self) {
        let events = self.queue.readings.heartbeat();
        for events in events.chunks(self.pace.batch_size) {
            let (key, body) = (self.next_key(), self.body(events));
            match self.exporter.post(&key, body).await {
                Ok(Verdict::Accepted(rejected)) => {
                    self.is_up();
                    self.note_rejected(&rejected);
                    self.queue.readings.gauges.told(events);
                }
                Ok(Verdict::Refused(status)) => return self.note_refused(status, 0),
                Ok(Verdict::TooLarge) => {
                    return self.note_refused(StatusCode::PAYLOAD_TOO_LARGE, 0);
                }
                Err(Failure { cause, .. }) => return self.is_down(&cause),
            }
        }
    }

    /// Posts the next batch until the exporter has answered for all of it.
    async fn deliver(&mut self) {
        let batch = self.queue.next_batch(self.pace.batch_size);
        let mut batches = if batch.is_empty() { Vec::new() } else { vec![batch] };
        while let Some(mut batch) = batches.pop() {
            let refused = match self.post(&batch).await {
                Verdict::Accepted(rejected) => {
                    self.queue.losses.rejected.fetch_add(rejected.len() as u64, Ordering::Relaxed);
                    self.note_rejected(&rejected);
                    None
                }
                Verdict::TooLarge if batch.len() > 1 => {
                    let second = batch.split_off(batch.len() / 2);
                    batches.extend([second, batch]);
                    continue;
                }
                Verdict::TooLarge => Some(StatusCode::PAYLOAD_TOO_LARGE),
                Verdict::Refused(status) => Some(status),
            };
            if let Some(status) = refused {
                self.queue.losses.refused.fetch_add(batch.len() as u64, Ordering::Relaxed);
                self.note_refused(status, batch.len());
            }
            self.queue.settle(batch.len());
        }
    }

    /// Posts one batch under one key, as often as it takes.
    async fn post(&mut self, batch: &[Event<'static>]) -> Verdict {
        let (key, body) = (self.next_key(), self.body(batch));
        let mut failures = 0;
        loop {
            let Failure { cause, after } = match self.exporter.post(&key, body.clone()).await {
                Ok(verdict) => {
                    self.is_up();
                    return verdict;
                }
                Err(failure) => failure,
            };
            self.is_down(&cause);
            let wait = after.unwrap_or_else(|| backoff::delay(failures, random::fraction()));
            self.queue.pause(wait, after.is_some()).await;
            failures += 1;
        }
    }

    fn next_key(&mut self) -> String {
        self.keys += 1;
        format!("{}-{}", self.nonce, self.keys)
    }

    fn body(&self, events: &[Event<'static>]) -> Bytes {
        let Origin { server, source, observer } = &*self.origin;
        let body =
            Body { server: server.as_str(), source: source.as_str(), observer: *observer, events };
        serde_json::to_vec(&body).expect("names, numbers and strings always serialise").into()
    }

    fn is_down(&mut self, cause: &str) {
        if !std::mem::replace(&mut self.down, true) {
            tracing::warn!(cause, "the exporter does not take events; trying again");
        }
    }

    fn is_up(&mut self) {
        if std::mem::replace(&mut self.down, false) {
            tracing::info!("the exporter takes events again");
        }
    }

    fn note_refused(&mut self, status: StatusCode, events: usize) {
        if self.refusals.insert(status) {
            tracing::error!(
                status = status.as_u16(),
                events,
                "the exporter refused a batch; its events are dropped, here and from now on"
            );
        }
    }

    fn note_rejected(&self, rejected: &[Rejected]) {
        let Some(first) = rejected.first() else { return };
        if let Some(silent) = self.rejections.pass() {
            tracing::warn!(
                index = first.index,
                error = redact::message(&first.error),
                more = rejected.len() as u64 - 1 + silent,
                "the exporter rejected events"
            );
        }
    }
}
