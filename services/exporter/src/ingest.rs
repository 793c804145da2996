//! From a body to numbers: parse, tell duplicates apart, record, reply.
//!
//! Nothing here waits. Whatever is refused is named in the reply, and only what was recorded is
//! acknowledged.

mod observers;
mod replay;

use std::mem;

use actix_web::web::Bytes;
use mcpmon_metrics::catalogue::{INGEST_BODY_BYTES, INGEST_EVENTS};
use mcpmon_metrics::wire::{self, BatchError};
use mcpmon_metrics::{Counter, Event, Metrics, Origin, ServerMetrics};
use serde::Serialize;
use tokio::time::Instant;

use self::observers::Observers;
use self::replay::Replays;
use crate::failures::Failures;

/// The rejections that a reply lists; a client that gets more wrong has one thing to fix.
const MAX_LISTED: usize = 1_000;
/// An error may quote what was sent, which is the sender's to make long.
const MAX_ERROR_CHARS: usize = 500;

/// What became of a batch.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Reply {
    /// Events that were recorded.
    pub(crate) accepted: usize,
    /// Events that were not, and why.
    pub(crate) rejected: Vec<Rejection>,
    /// Rejections beyond those listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) rejected_unlisted: usize,
}

/// One refused event.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Rejection {
    /// Its place in the batch, or its line, from 0.
    pub(crate) index: usize,
    /// The key, the value and what would be right.
    pub(crate) error: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Reply {
    fn reject(&mut self, index: usize, error: String) {
        if self.rejected.len() < MAX_LISTED {
            self.rejected.push(Rejection { index, error: short(error) });
        } else {
            self.rejected_unlisted += 1;
        }
    }

    fn refused(&self) -> u64 {
        (self.rejected.len() + self.rejected_unlisted) as u64
    }

    fn into_bytes(self) -> Bytes {
        serde_json::to_vec(&self).expect("a reply holds numbers and text only").into()
    }
}

/// The text, cut where it would be too long to send back and to keep.
pub(crate) fn short(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_ERROR_CHARS) {
        text.replace_range(end.., "…");
    }
    text
}

/// The way in for events.
#[derive(Debug)]
pub(crate) struct Ingest {
    metrics: Metrics,
    observers: Observers,
    replays: Replays,
    failures: Failures,
    accepted: Counter,
    rejected: Counter,
    replayed: Counter,
    body_bytes: Counter,
}

impl Ingest {
    /// Records into `metrics`; failures are also kept in `failures`.
    pub(crate) fn new(metrics: Metrics, failures: Failures) -> Self {
        let events = |result| metrics.counter(INGEST_EVENTS, &[result]);
        Self {
            accepted: events("accepted"),
            rejected: events("rejected"),
            replayed: events("replayed"),
            body_bytes: metrics.counter(INGEST_BODY_BYTES, &[]),
            observers: Observers::default(),
            replays: Replays::default(),
            failures,
            metrics,
        }
    }

    /// Counts a body as it came over the wire.
    pub(crate) fn received(&self, bytes: usize) {
        self.body_bytes.add(bytes as u64);
    }

    /// Records a JSON batch. One that was recorded under the same key is answered again.
    ///
    /// # Errors
    /// When the body as a whole is no batch; then nothing was recorded.
    pub(crate) fn batch(&self, body: &[u8], key: Option<&str>) -> Result<Bytes, BatchError> {
        let mut batch = wire::parse_batch(body)?;
        let source = batch.origin.source.as_str().to_owned();
        Ok(self.once(&source, key, || {
            let mut turn = self.turn(&batch.origin);
            let mut reply = Reply::default();
            // In their places: an event is large to move.
            for (index, event) in batch.events.iter_mut().enumerate() {
                match event {
                    Ok(event) => {
                        self.record(&mut turn, event);
                        reply.accepted += 1;
                    }
                    Err(error) => reply.reject(index, mem::take(error)),
                }
            }
            reply
        }))
    }

    /// Records NDJSON, a line at a time. Its key belongs to the first line's source.
    ///
    /// # Errors
    /// When there are more lines than a batch may hold; then nothing was recorded.
    pub(crate) fn lines(&self, body: &str, key: Option<&str>) -> Result<Bytes, BatchError> {
        let lines = || body.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        if lines().nth(wire::MAX_EVENTS).is_some() {
            return Err(BatchError::TooMany);
        }
        let first = lines().find_map(|(_, line)| wire::parse_line(line).ok());
        let source = first.map_or_else(String::new, |(origin, _)| origin.source.to_string());
        Ok(self.once(&source, key, || {
            let mut reply = Reply::default();
            for (index, line) in lines() {
                match wire::parse_line(line) {
                    Ok((origin, event)) => {
                        self.record(&mut self.turn(&origin), &event);
                        reply.accepted += 1;
                    }
                    Err(error) => reply.reject(index, error),
                }
            }
            reply
        }))
    }

    fn once(&self, source: &str, key: Option<&str>, apply: impl FnOnce() -> Reply) -> Bytes {
        let count = || {
            let reply = apply();
            self.accepted.add(reply.accepted as u64);
            self.rejected.add(reply.refused());
            let accepted = reply.accepted;
            (reply.into_bytes(), accepted)
        };
        match key {
            None => count().0,
            Some(key) => self.replays.once(source, key, count).unwrap_or_else(|(again, events)| {
                self.replayed.add(events as u64);
                again
            }),
        }
    }

    fn record(&self, turn: &mut Turn<'_>, event: &Event<'_>) {
        if turn.is_duplicate(event) {
            return;
        }
        let Turn { recorder, origin, .. } = turn;
        recorder.record(origin.observer, origin.source.as_str(), event);
        self.failures.keep(recorder, event);
    }

    fn turn<'o>(&'o self, origin: &'o Origin<'o>) -> Turn<'o> {
        let recorder = self.metrics.server(&origin.server);
        recorder.touch(origin.source.as_str());
        Turn { recorder, origin, observers: &self.observers, counts: None }
    }
}

/// The events of one origin, one after another.
struct Turn<'o> {
    recorder: ServerMetrics,
    origin: &'o Origin<'o>,
    observers: &'o Observers,
    // Asked once for all events of the batch.
    counts: Option<bool>,
}

impl Turn<'_> {
    /// Whether another kind of observer has the say over what this event counts.
    fn is_duplicate(&mut self, event: &Event<'_>) -> bool {
        let (label, observer) = (self.recorder.label(), self.origin.observer);
        match event {
            Event::ToolCall(_) | Event::Operation { .. } => {
                let claim = || self.observers.claim(label, observer, Instant::now());
                let duplicate = !*self.counts.get_or_insert_with(claim);
                if duplicate && matches!(event, Event::ToolCall(_)) {
                    self.recorder.duplicates(1);
                }
                duplicate
            }
            // A reading would be summed with the other observer's reading of the same thing.
            Event::Connections { .. } | Event::Inflight { .. } => {
                !self.observers.may_read(label, observer, Instant::now())
            }
            _ => false,
        }
    }
}
