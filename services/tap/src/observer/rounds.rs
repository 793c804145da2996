//! Calls that wait for their client's input: an `input_required` reply came, and the client will
//! send the same request again under a new id.

use std::collections::VecDeque;
use std::time::Duration;

use super::call::Call;
use super::{ConnectionId, Direction};

/// At most so many calls, oldest first. Calls that nothing tells apart are taken in that order.
#[derive(Debug)]
pub(super) struct Rounds {
    capacity: usize,
    waiting: VecDeque<Round>,
}

#[derive(Debug)]
struct Round {
    link: u64,
    since: Duration,
    call: Call,
}

impl Rounds {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, waiting: VecDeque::new() }
    }

    /// Adds a call and returns the oldest when there was no room.
    pub(super) fn insert(&mut self, link: u64, since: Duration, call: Call) -> Option<Call> {
        let full = self.waiting.len() >= self.capacity;
        let evicted = if full { self.waiting.pop_front() } else { None };
        self.waiting.push_back(Round { link, since, call });
        evicted.map(|round| round.call)
    }

    /// The call that a request with this link goes on with.
    pub(super) fn take(&mut self, link: u64) -> Option<Call> {
        let position = self.waiting.iter().position(|round| round.link == link)?;
        self.waiting.remove(position).map(|round| round.call)
    }

    /// Takes out one call whose client has been silent for longer than `age`.
    pub(super) fn pop_expired(&mut self, now: Duration, age: Duration) -> Option<Call> {
        self.waiting.pop_front_if(|round| round.since + age <= now).map(|round| round.call)
    }

    /// Takes out the calls of a connection.
    pub(super) fn take_of(&mut self, id: ConnectionId, direction: Direction) -> Vec<Call> {
        let is_theirs = |call: &Call| call.connection == id && call.direction == direction;
        let (mut theirs, mut others) = (Vec::new(), VecDeque::new());
        for round in std::mem::take(&mut self.waiting) {
            if is_theirs(&round.call) { theirs.push(round.call) } else { others.push_back(round) }
        }
        self.waiting = others;
        theirs
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
