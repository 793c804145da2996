//! The observer's thread: takes batches from the queue and steps the observer through them.
//!
//! A panic in a step is caught and counted, the direction that it happened in begins again at
//! its next newline, and the traffic does not notice. What was lost that way, by a full queue, or
//! because a reply may have been lost is told like everything else: nobody reads the log of a
//! process that a client started.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::setpriority_process;

use crate::clock::Clock;
use crate::observer::http::HttpObserver;
use crate::observer::{ConnectionId, Observer, Stats};
use crate::queue::{Batch, Dropped, Kind, Queue, Record};
use crate::sink::EventSink;

/// The shortest time between two reports of losses.
const PERIOD: Duration = Duration::from_secs(1);

/// The observer's niceness.
const NICE: i32 = 5;

/// What an observer's thread did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// The observer's own counts.
    pub observer: Stats,
    /// Steps that panicked.
    pub panics: u64,
    /// Chunks that the queue had no room for.
    pub dropped: Dropped,
}

/// What the thread steps through a queue's records.
pub trait Watch {
    /// Takes in a record with its bytes.
    fn step(&mut self, record: Record, bytes: &[u8]);
    /// Part of this record was not seen.
    fn lose(&mut self, record: Record);
    /// See [`Observer::tick`].
    fn tick(&mut self, at: Duration);
    /// See [`Observer::patience`].
    fn patience(&self) -> Option<Duration>;
    /// Nothing more will come.
    fn finish(&mut self, at: Duration);
    /// See [`Observer::lost`].
    fn lost(&self, count: u64);
    /// See [`Observer::stats`].
    fn stats(&self) -> Stats;
}

/// The one connection of a stdio server.
#[derive(Debug)]
pub struct Lines<S>(pub Observer<S>, pub ConnectionId);

/// How much of what was lost has been told, and when.
#[derive(Debug, Default)]
struct Losses {
    told: u64,
    last: Option<Duration>,
    waiting: bool,
}

impl Report {
    /// Chunks, calls and steps that came to nothing.
    fn lost(&self) -> u64 {
        self.dropped.chunks + self.observer.uncertain + self.panics
    }
}

impl Losses {
    /// What is to be told of `lost` now: nothing new, or too soon, is nothing.
    fn news(&mut self, lost: u64, at: Duration) -> Option<u64> {
        let rested = self.last.is_none_or(|last| at >= last + PERIOD);
        self.waiting = lost > self.told && !rested;
        (lost > self.told && rested).then(|| {
            self.last = Some(at);
            lost - std::mem::replace(&mut self.told, lost)
        })
    }

    /// How soon [`Losses::news`] is wanted, beside what else is.
    fn patience(&self, other: Option<Duration>) -> Option<Duration> {
        if self.waiting { Some(other.map_or(PERIOD, |other| other.min(PERIOD))) } else { other }
    }

    /// What was not told yet.
    fn rest(&self, lost: u64) -> Option<u64> {
        Some(lost - self.told).filter(|rest| *rest > 0)
    }
}

impl<S: EventSink> Watch for Lines<S> {
    fn step(&mut self, Record { direction, at, kind, .. }: Record, bytes: &[u8]) {
        let Self(observer, connection) = self;
        match kind {
            Kind::Bytes(_) => observer.bytes(*connection, direction, at, bytes),
            Kind::Gap => observer.gap(*connection, direction),
            Kind::Closed => observer.closed(*connection, direction, at),
            Kind::Asked(_) | Kind::Answered(_) | Kind::Ended(_) => {}
        }
    }

    fn lose(&mut self, record: Record) {
        // The rest of the chunk was not seen.
        self.0.gap(self.1, record.direction);
    }

    fn tick(&mut self, at: Duration) {
        self.0.tick(at);
    }

    fn finish(&mut self, _at: Duration) {
        // Both directions were closed.
    }

    fn patience(&self) -> Option<Duration> {
        self.0.patience()
    }

    fn lost(&self, count: u64) {
        self.0.lost(count);
    }

    fn stats(&self) -> Stats {
        self.0.stats()
    }
}

impl<S: EventSink> Watch for HttpObserver<S> {
    fn step(&mut self, Record { exchange, direction, at, kind }: Record, bytes: &[u8]) {
        match kind {
            Kind::Bytes(_) => self.bytes(exchange, direction, at, bytes),
            Kind::Gap => self.gap(direction),
            Kind::Closed => self.whole(exchange, direction, at),
            Kind::Asked(asked) => self.asked(exchange, at, asked),
            Kind::Answered(answered) => self.answered(exchange, at, answered),
            Kind::Ended(fate) => self.ended(exchange, at, fate),
        }
    }

    fn lose(&mut self, record: Record) {
        self.lose(record.exchange);
    }

    fn tick(&mut self, at: Duration) {
        self.tick(at);
    }

    fn finish(&mut self, at: Duration) {
        self.finish(at);
    }

    fn patience(&self) -> Option<Duration> {
        self.patience()
    }

    fn lost(&self, count: u64) {
        self.lost(count);
    }

    fn stats(&self) -> Stats {
        self.stats()
    }
}

/// Observes `queue` until it is finished.
///
/// # Errors
/// When the system has no thread left.
pub fn spawn(
    mut watch: impl Watch + Send + 'static,
    queue: Arc<Queue>,
    clock: Clock,
) -> std::io::Result<JoinHandle<Report>> {
    thread::Builder::new().name("observer".into()).spawn(move || {
        yield_to_traffic();
        let mut report = Report::default();
        let mut losses = Losses::default();
        let mut batch = Batch::default();
        while let Some(next) = queue.take(batch, losses.patience(watch.patience())) {
            for (record, bytes) in next.iter() {
                report.panics += u64::from(!step(&mut watch, record, bytes));
            }
            let now = clock.now();
            report.panics += u64::from(!guard(|| watch.tick(now)));
            batch = next;
            report = Report { observer: watch.stats(), dropped: queue.dropped(), ..report };
            if let Some(count) = losses.news(report.lost(), now) {
                report.panics += u64::from(!guard(|| watch.lost(count)));
            }
        }
        let now = clock.now();
        report.panics += u64::from(!guard(|| watch.finish(now)));
        report = Report { observer: watch.stats(), dropped: queue.dropped(), ..report };
        if let Some(count) = losses.rest(report.lost()) {
            guard(|| watch.lost(count));
        }
        report
    })
}

/// Gives this thread a lower priority than those that pass traffic: on a machine that is short of
/// processors a batch would hold them up for milliseconds.
fn yield_to_traffic() {
    // On Linux this is the calling thread's alone.
    if let Err(error) = setpriority_process(None, NICE) {
        tracing::debug!(%error, "the observer keeps its priority");
    }
}

fn step(watch: &mut impl Watch, record: Record, bytes: &[u8]) -> bool {
    let whole = guard(|| watch.step(record, bytes));
    if !whole {
        guard(|| watch.lose(record));
    }
    whole
}

/// Runs `step`; false when it panicked. The observer's tables are changed by whole operations,
/// so what a panic leaves behind is at worst a call that is never counted.
fn guard(step: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(step)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use mcpmon_metrics::Event;
    use mcpmon_metrics::label::Transport;

    use super::*;
    use crate::observer::Direction;

    /// Takes events, and breaks at a tool named `boom`.
    #[derive(Debug, Default)]
    struct Fragile(Mutex<Vec<String>>);

    impl EventSink for Fragile {
        fn record(&self, event: Event<'static>) {
            let told = match event {
                Event::ToolCall(call) => call.tool.as_str().to_owned(),
                Event::ObservationsDropped { count } => format!("{count} lost"),
                _ => return,
            };
            assert_ne!(told, "boom");
            self.0.lock().unwrap().push(told);
        }
    }

    fn report(lines: &[(Direction, &str)], limit: usize) -> (Vec<String>, Report) {
        let sink = Arc::new(Fragile::default());
        let mut observer = Observer::new(sink.clone());
        observer.open(ConnectionId(0), Transport::Stdio);
        let queue = Arc::new(Queue::new(limit));
        for (direction, line) in lines {
            let _ = queue.push(*direction, Duration::ZERO, format!("{line}\n").as_bytes());
        }
        queue.finish();
        let worker = spawn(Lines(observer, ConnectionId(0)), queue, Clock::start()).unwrap();
        let report = worker.join().unwrap();
        (sink.0.lock().unwrap().clone(), report)
    }

    const BOOM: &str = r#"{"id":1,"method":"tools/call","params":{"name":"boom"}}"#;
    const FINE: &str = r#"{"id":2,"method":"tools/call","params":{"name":"fine"}}"#;
    const BOTH: &str = "{\"id\":1,\"result\":{}}\n{\"id\":2,\"result\":{}}";

    #[test]
    fn a_panic_is_caught_and_counted_and_the_next_call_is_observed() {
        let lines = [
            (Direction::ToServer, BOOM),
            (Direction::ToServer, FINE),
            (Direction::ToClient, r#"{"id":1,"result":{}}"#),
            (Direction::ToClient, "a line whose start nobody knows"),
            (Direction::ToClient, r#"{"id":2,"result":{}}"#),
        ];
        let (told, report) = report(&lines, 1 << 20);
        assert_eq!((told, report.panics), (vec!["fine".to_owned(), "1 lost".to_owned()], 1));
    }

    #[test]
    fn the_rest_of_a_chunk_that_panicked_is_a_gap() {
        let lines =
            [(Direction::ToServer, BOOM), (Direction::ToServer, FINE), (Direction::ToClient, BOTH)];
        let (told, report) = report(&lines, 1 << 20);
        assert_eq!((told, report.panics), (vec!["1 lost".to_owned()], 1));
    }

    #[test]
    fn what_had_no_room_is_reported() {
        let (told, report) = report(&[(Direction::ToServer, FINE)], 10);
        assert_eq!((told, report.dropped.chunks), (vec!["1 lost".to_owned()], 1));
    }

    #[test]
    fn losses_are_told_once_and_once_a_second_at_most() {
        let mut losses = Losses::default();
        let at = Duration::from_millis;
        assert_eq!(losses.news(0, at(0)), None);
        assert_eq!(losses.news(2, at(10)), Some(2));
        assert_eq!((losses.news(5, at(900)), losses.patience(None)), (None, Some(PERIOD)));
        assert_eq!((losses.news(5, at(1_010)), losses.patience(None)), (Some(3), None));
        assert_eq!(losses.news(6, at(1_020)), None);
        assert_eq!((losses.rest(6), losses.rest(5)), (Some(1), None));
    }
}
