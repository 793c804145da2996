//! The observer's thread: takes batches from the queue and steps the observer through them.
//!
//! A panic in a step is caught and counted, the direction that it happened in begins again at
//! its next newline, and the traffic does not notice.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::clock::Clock;
use crate::observer::{ConnectionId, Observer};
use crate::queue::{Batch, Dropped, Kind, Queue, Record};
use crate::sink::EventSink;

/// What an observer's thread did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// The observer's own counts.
    pub observer: crate::observer::Stats,
    /// Steps that panicked.
    pub panics: u64,
    /// Chunks that the queue had no room for.
    pub dropped: Dropped,
}

/// Observes `queue` as `connection` until it is finished.
///
/// # Errors
/// When the system has no thread left.
pub fn spawn<S: EventSink + Send + 'static>(
    mut observer: Observer<S>,
    connection: ConnectionId,
    queue: Arc<Queue>,
    clock: Clock,
) -> std::io::Result<JoinHandle<Report>> {
    thread::Builder::new().name("observer".into()).spawn(move || {
        let mut panics = 0;
        let mut batch = Batch::default();
        while let Some(next) = queue.take(batch, observer.patience()) {
            for (record, bytes) in next.iter() {
                panics += u64::from(!step(&mut observer, connection, record, bytes));
            }
            panics += u64::from(!guard(|| observer.tick(clock.now())));
            batch = next;
        }
        Report { observer: observer.stats(), panics, dropped: queue.dropped() }
    })
}

fn step<S: EventSink>(
    observer: &mut Observer<S>,
    connection: ConnectionId,
    Record { direction, at, kind }: Record,
    bytes: &[u8],
) -> bool {
    let whole = guard(|| match kind {
        Kind::Bytes(_) => observer.bytes(connection, direction, at, bytes),
        Kind::Gap => observer.gap(connection, direction),
        Kind::Closed => observer.closed(connection, direction, at),
    });
    if !whole {
        // The rest of the chunk was not seen.
        guard(|| observer.gap(connection, direction));
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
    use std::time::Duration;

    use mcpmon_metrics::Event;
    use mcpmon_metrics::label::Transport;

    use super::*;
    use crate::observer::Direction;

    /// Takes events, and breaks at a tool named `boom`.
    #[derive(Debug, Default)]
    struct Fragile(Mutex<Vec<String>>);

    impl EventSink for Fragile {
        fn record(&self, event: Event<'static>) {
            if let Event::ToolCall(call) = event {
                assert_ne!(call.tool.as_str(), "boom");
                self.0.lock().unwrap().push(call.tool.as_str().to_owned());
            }
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
        let worker = spawn(observer, ConnectionId(0), queue, Clock::start()).unwrap();
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
        assert_eq!((told, report.panics), (vec!["fine".to_owned()], 1));
    }

    #[test]
    fn the_rest_of_a_chunk_that_panicked_is_a_gap() {
        let lines =
            [(Direction::ToServer, BOOM), (Direction::ToServer, FINE), (Direction::ToClient, BOTH)];
        let (told, report) = report(&lines, 1 << 20);
        assert_eq!((told, report.panics), (vec![], 1));
    }

    #[test]
    fn what_had_no_room_is_reported() {
        let (told, report) = report(&[(Direction::ToServer, FINE)], 10);
        assert_eq!((told, report.dropped.chunks), (vec![], 1));
    }
}
