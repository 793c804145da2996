//! The bounded queue from the data path to the observer.
//!
//! Each chunk is copied here *before* it is written on: so a request is always queued before its
//! reply can exist, and the queue's order is the order of cause and effect. Waking the observer is
//! a system call, so a pump does it *after* the write. The copy goes into one growing buffer that
//! the observer swaps for an empty one; a message costs no allocation, and under load the observer
//! wakes once in 20 ms, or in 128 KiB, and not once a message. When the queue is full the chunk
//! is dropped and counted, and the next one is preceded by a gap.

mod batch;

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::batch::RECORD_COST;
use crate::observer::Direction;

pub use self::batch::{Batch, Kind, Record};

/// How many bytes wait for the observer before chunks are dropped.
pub const LIMIT: usize = 16 * 1024 * 1024;

/// How long the observer lets chunks gather after it was woken, and how many bytes: no more than a
/// processor's cache holds.
const LINGER: Duration = Duration::from_millis(20);
const GATHERED: usize = 128 * 1024;

/// What is told of an HTTP exchange at a time: bytes, and what comes before and after them.
#[derive(Debug, Clone, Copy)]
pub struct Told<'b> {
    /// The exchange.
    pub exchange: u64,
    /// Which way the bytes go.
    pub direction: Direction,
    /// When all of it came.
    pub at: Duration,
    /// What they follow.
    pub before: Option<Kind>,
    /// They themselves; none is as good as nothing.
    pub bytes: &'b [u8],
    /// What follows them.
    pub after: Option<Kind>,
}

/// Copies that were not made because the observer was behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The number of chunks.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The queue. Pumps push, one observer takes.
#[derive(Debug)]
pub struct Queue {
    limit: usize,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    batch: Batch,
    gap: [bool; 2],
    dropped: Dropped,
    asleep: bool,
    finished: bool,
}

/// Whether the observer must be woken.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake(bool);

impl State {
    fn is_urgent(&self, limit: usize) -> bool {
        self.finished || self.batch.cost() > GATHERED.min(limit / 2)
    }

    fn has_room(&self, length: usize, limit: usize) -> bool {
        self.batch.cost() + length + 4 * RECORD_COST <= limit
    }

    /// Adds a record, which always finds room, after the gap if there is one.
    fn record(&mut self, record: Record) {
        if std::mem::take(&mut self.gap[record.direction as usize]) {
            self.batch.records.push(Record { kind: Kind::Gap, ..record });
        }
        self.batch.records.push(record);
    }

    /// Copies a chunk, if there is room for it.
    fn chunk(&mut self, chunk: Record, bytes: &[u8], limit: usize) {
        if self.has_room(bytes.len(), limit) {
            self.record(chunk);
            grow(&mut self.batch.bytes, bytes.len(), limit);
            self.batch.bytes.extend_from_slice(bytes);
        } else {
            self.gap[chunk.direction as usize] = true;
            self.dropped.chunks += 1;
            self.dropped.bytes += bytes.len() as u64;
        }
    }

    fn tell(&mut self, told: &Told<'_>, limit: usize) -> Wake {
        let Told { exchange, direction, at, before, bytes, after } = *told;
        let was_urgent = self.is_urgent(limit);
        let record = |kind| Record { exchange, direction, at, kind };
        before.into_iter().for_each(|kind| self.record(record(kind)));
        if !bytes.is_empty() {
            self.chunk(record(Kind::Bytes(bytes.len())), bytes, limit);
        }
        after.into_iter().for_each(|kind| self.record(record(kind)));
        let urgent = !was_urgent && self.is_urgent(limit);
        // Who tells of an exchange wakes at once, so one of them is enough.
        Wake(std::mem::take(&mut self.asleep) || urgent)
    }
}

impl Queue {
    /// A queue that holds at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), wake: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No step under the lock can leave the state half done, so a poisoned lock is usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies a chunk, or counts it as dropped when the queue is full. Never waits for space.
    pub fn push(&self, direction: Direction, at: Duration, bytes: &[u8]) -> Wake {
        let mut state = self.lock();
        let was_urgent = state.is_urgent(self.limit);
        let chunk = Record { exchange: 0, direction, at, kind: Kind::Bytes(bytes.len()) };
        state.chunk(chunk, bytes, self.limit);
        // Whoever comes next wakes, too: this one may be held up in its write.
        Wake(state.asleep || (!was_urgent && state.is_urgent(self.limit)))
    }

    /// Says that a direction ended. Always finds room.
    pub fn close(&self, direction: Direction, at: Duration) {
        self.lock().record(Record { exchange: 0, direction, at, kind: Kind::Closed });
        self.wake.notify_one();
    }

    /// Begins to observe an exchange; none when there is no room, and so no use in telling more
    /// of it.
    pub fn begin(&self, told: &Told<'_>) -> Option<Wake> {
        let mut state = self.lock();
        if state.has_room(told.bytes.len(), self.limit) {
            return Some(state.tell(told, self.limit));
        }
        state.dropped.chunks += 1;
        state.dropped.bytes += told.bytes.len() as u64;
        None
    }

    /// Goes on with an exchange that [began](Queue::begin). A full queue drops its bytes and not
    /// its records, of which there are a few for each. A gap is everybody's in that direction: who
    /// lost the bytes is not remembered.
    pub fn tell(&self, told: &Told<'_>) -> Wake {
        self.lock().tell(told, self.limit)
    }

    /// Wakes the observer, if it was found asleep or the queue filling.
    pub fn wake(&self, wake: Wake) {
        if wake.0 {
            self.wake.notify_one();
        }
    }

    /// Lets [`Queue::take`] return what is left and then `None`.
    pub fn finish(&self) {
        self.lock().finished = true;
        self.wake.notify_one();
    }

    /// What was dropped so far.
    pub fn dropped(&self) -> Dropped {
        self.lock().dropped
    }

    /// Swaps `done` for the next batch and waits for one: at most `patience` when there is any,
    /// else for ever. The batch may be empty; `None` means that no more will come.
    pub fn take(&self, mut done: Batch, patience: Option<Duration>) -> Option<Batch> {
        done.clear();
        // Whoever finds it asleep takes the claim to wake it. Should that be for nothing, it is asleep
        // again.
        let idle = |state: &mut State| {
            state.asleep = state.batch.records.is_empty() && !state.finished;
            state.asleep
        };
        let mut state = self.lock();
        if idle(&mut state) {
            state = match patience {
                None => self.wake.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner),
                Some(patience) => {
                    let woken = self.wake.wait_timeout_while(state, patience, idle);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.asleep = false;
        }
        if !state.batch.records.is_empty() {
            let gather = |state: &mut State| !state.is_urgent(self.limit);
            let gathered = self.wake.wait_timeout_while(state, LINGER, gather);
            state = gathered.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.finished && state.batch.records.is_empty() {
            return None;
        }
        Some(std::mem::replace(&mut state.batch, done))
    }
}

/// Makes room for `more` bytes: twice as much each time, but no more than `limit` in all, which a
/// vector by itself would overshoot by as much again.
pub(crate) fn grow(buffer: &mut Vec<u8>, more: usize, limit: usize) {
    let needed = buffer.len() + more;
    if needed > buffer.capacity() {
        let wanted = needed.max((2 * buffer.capacity()).min(limit));
        buffer.reserve_exact(wanted - buffer.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observer::http::Fate;

    const AT: Duration = Duration::from_secs(1);

    fn told(before: Kind, bytes: &[u8]) -> Told<'_> {
        let (direction, after) = (Direction::ToClient, Some(Kind::Closed));
        Told { exchange: 1, direction, at: AT, before: Some(before), bytes, after }
    }

    fn kinds(batch: &Batch) -> Vec<(Kind, Vec<u8>)> {
        batch.iter().map(|(record, bytes)| (record.kind, bytes.to_vec())).collect()
    }

    #[test]
    fn chunks_come_out_in_order_with_their_bytes() {
        let queue = Queue::new(LIMIT);
        let _ = queue.push(Direction::ToServer, AT, b"ask");
        let _ = queue.push(Direction::ToClient, AT, b"tell");
        queue.close(Direction::ToServer, AT);
        let batch = queue.take(Batch::default(), None).unwrap();
        assert_eq!(
            kinds(&batch),
            [
                (Kind::Bytes(3), b"ask".to_vec()),
                (Kind::Bytes(4), b"tell".to_vec()),
                (Kind::Closed, vec![]),
            ]
        );
    }

    #[test]
    fn a_full_queue_drops_counts_and_marks_the_gap() {
        let queue = Queue::new(4096);
        let _ = queue.push(Direction::ToServer, AT, &[0; 3000]);
        let _ = queue.push(Direction::ToServer, AT, &[1; 3000]);
        let _ = queue.push(Direction::ToClient, AT, b"fits");
        assert_eq!(queue.dropped(), Dropped { chunks: 1, bytes: 3000 });
        let first = queue.take(Batch::default(), None).unwrap();
        assert_eq!(first.iter().count(), 2);

        let _ = queue.push(Direction::ToServer, AT, b"later");
        let second = queue.take(first, None).unwrap();
        assert_eq!(kinds(&second), [(Kind::Gap, vec![]), (Kind::Bytes(5), b"later".to_vec())]);
    }

    #[test]
    fn an_exchange_loses_bytes_in_a_full_queue_and_begins_in_none() {
        let queue = Queue::new(1024);
        let told = told(Kind::Ended(Fate::Whole), &[0; 4096]);
        assert_eq!(queue.begin(&told), None);
        let _ = queue.tell(&told);
        assert_eq!(queue.dropped(), Dropped { chunks: 2, bytes: 8192 });
        let batch = queue.take(Batch::default(), None).unwrap();
        let ended = (Kind::Ended(Fate::Whole), vec![]);
        assert_eq!(kinds(&batch), [ended, (Kind::Gap, vec![]), (Kind::Closed, vec![])]);
    }

    #[test]
    fn a_closed_direction_finds_room_in_a_full_queue() {
        let queue = Queue::new(64);
        let _ = queue.push(Direction::ToClient, AT, &[0; 100]);
        queue.close(Direction::ToClient, AT);
        let batch = queue.take(Batch::default(), None).unwrap();
        assert_eq!(kinds(&batch), [(Kind::Gap, vec![]), (Kind::Closed, vec![])]);
    }

    #[test]
    fn tiny_chunks_are_bounded_by_their_records() {
        let queue = Queue::new(4096);
        for _ in 0..10_000 {
            let _ = queue.push(Direction::ToServer, AT, b"x");
        }
        assert!(queue.take(Batch::default(), None).unwrap().cost() <= 4096);
    }

    #[test]
    fn a_finished_queue_gives_what_is_left_and_then_none() {
        let queue = Queue::new(LIMIT);
        let _ = queue.push(Direction::ToServer, AT, b"last");
        queue.finish();
        let batch = queue.take(Batch::default(), None).unwrap();
        assert_eq!(batch.iter().count(), 1);
        assert!(queue.take(batch, None).is_none());
    }

    #[test]
    fn patience_ends_with_an_empty_batch() {
        let queue = Queue::new(LIMIT);
        let batch = queue.take(Batch::default(), Some(Duration::from_millis(1))).unwrap();
        assert_eq!(batch.iter().count(), 0);
    }

    #[test]
    fn only_a_sleeping_observer_needs_a_wake() {
        let queue = Queue::new(LIMIT);
        assert_eq!(queue.push(Direction::ToServer, AT, b"x"), Wake(false));
        queue.lock().asleep = true;
        // A pump may be held up before it wakes anybody; an exchange wakes at once, and once.
        assert_eq!(queue.push(Direction::ToServer, AT, b"x"), Wake(true));
        assert_eq!(queue.push(Direction::ToClient, AT, b"x"), Wake(true));
        let told = told(Kind::Ended(Fate::Whole), b"x");
        assert_eq!((queue.tell(&told), queue.tell(&told)), (Wake(true), Wake(false)));
    }

    #[test]
    fn an_observer_that_was_woken_for_nothing_is_woken_again() {
        let queue = Queue::new(LIMIT);
        std::thread::scope(|scope| {
            let observer = scope.spawn(|| queue.take(Batch::default(), None));
            for bytes in [&b""[..], b"x"] {
                while !queue.lock().asleep {
                    std::thread::yield_now();
                }
                let told = Told { before: None, after: None, ..told(Kind::Closed, bytes) };
                queue.wake(queue.tell(&told));
            }
            assert_eq!(observer.join().unwrap().unwrap().iter().count(), 1);
        });
    }

    #[test]
    fn what_has_gathered_is_worth_a_wake_once() {
        let queue = Queue::new(LIMIT);
        let chunk = [0; GATHERED / 2];
        let wakes = [(); 4].map(|()| queue.push(Direction::ToServer, AT, &chunk));
        assert_eq!(wakes, [Wake(false), Wake(true), Wake(false), Wake(false)]);
    }
}
