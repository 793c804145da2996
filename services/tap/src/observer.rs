//! The observer: from the bytes of two directions to events. Pure — no I/O, the clock passed in.
//!
//! [`Observer::bytes`] takes chunks of a line-based transport, [`Observer::message`] takes whole
//! messages; both end in the same pairing of requests with replies, so every transport shares
//! it. A request is keyed by (connection, direction, typed id). What a server says about a call
//! that goes on — `input_required`, an accepted task — moves the call to another table, and it is
//! counted once when the last reply has come. Whatever a peer sends, memory stays bounded: lines,
//! ids, tables and listings all have limits.

mod call;
mod ending;
mod framing;
pub mod http;
mod inflight;
pub(crate) mod json;
mod listing;
mod message;
mod oversized;
mod replies;
mod rounds;
mod stats;
mod table;
mod tasks;
mod trace;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use mcpmon_metrics::label::{Method, ProtocolVersion, Transport};
use mcpmon_metrics::{Ending, Event, Name};

use self::call::{Call, Params};
use self::framing::{Framer, Line};
use self::inflight::Inflight;
use self::listing::Listing;
use self::message::{Hasher, Id, Message, messages, names_itself};
use self::rounds::Rounds;
use self::table::Table;
use self::tasks::Unread;
use crate::rules::Rules;
use crate::sink::EventSink;

pub use self::framing::MAX_LINE;
pub use self::stats::Stats;

/// The most requests that wait for a reply.
pub const MAX_PENDING: usize = 4_096;
/// The most tasks that are followed, and the most calls that wait for a client's input.
pub const MAX_FOLLOWED: usize = 1_024;
/// A request that has no reply after this long is abandoned.
pub const EXPIRY: Duration = Duration::from_secs(3_600);

/// How often [`Observer::tick`] is wanted while something may expire or is to be told.
const TICK: Duration = Duration::from_secs(1);

/// One client's connection to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// Pairs requests with replies and tells `sink` what ended.
#[derive(Debug)]
pub struct Observer<S> {
    sink: S,
    hasher: Hasher,
    connections: HashMap<ConnectionId, Connection>,
    pending: Table<Key, Call>,
    tasks: Table<u64, Call>,
    /// Tasks that are over and whose result was not seen yet, for the rules.
    unread: Table<u64, Unread>,
    rounds: Rounds,
    inflight: Inflight,
    server: Server,
    stats: Stats,
    /// The HTTP exchange whose messages are being read.
    reading: Option<Reading>,
    /// The listing of those who ask without a session, each request a connection of its own.
    listing: Listing,
    rules: Rules,
}

/// An HTTP exchange under the eyes of the observer.
#[derive(Debug, Default)]
struct Reading {
    exchange: u64,
    /// What was asked in it.
    asked: Vec<Key>,
    /// A refusal without an id is about what was asked here.
    answers: bool,
}

type Key = (ConnectionId, Direction, Id);

#[derive(Debug)]
struct Connection {
    transport: Transport,
    streams: [Stream; 2],
    /// The revision that `initialize` agreed on.
    version: Option<ProtocolVersion>,
    /// None where all that ask without a session share one.
    listing: Option<Listing>,
}

#[derive(Debug, Default)]
struct Stream {
    framer: Framer,
    closed: bool,
}

/// What the server said about itself.
#[derive(Debug, Default, Clone, PartialEq)]
struct Server {
    name: Option<Name<'static>>,
    version: Option<Name<'static>>,
    protocol_version: Option<ProtocolVersion>,
}

impl Direction {
    /// The other way.
    pub fn opposite(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

impl<S: EventSink> Observer<S> {
    /// An observer without connections.
    pub fn new(sink: S) -> Self {
        Self {
            sink,
            hasher: Hasher::default(),
            connections: HashMap::new(),
            pending: Table::new(MAX_PENDING),
            tasks: Table::new(MAX_FOLLOWED),
            unread: Table::new(MAX_FOLLOWED),
            rounds: Rounds::new(MAX_FOLLOWED),
            inflight: Inflight::default(),
            server: Server::default(),
            stats: Stats::default(),
            reading: None,
            listing: Listing::default(),
            rules: Rules::default(),
        }
    }

    /// The same, with rules about what calls were for.
    pub fn with_rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// Tells that so many observations were lost.
    pub fn lost(&self, count: u64) {
        self.sink.record(Event::ObservationsDropped { count });
    }

    /// What was seen and could not be made an event.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// A connection begins.
    pub fn open(&mut self, connection: ConnectionId, transport: Transport) {
        let state = Connection {
            transport,
            streams: Default::default(),
            version: None,
            listing: Some(Listing::default()),
        };
        self.connections.insert(connection, state);
    }

    /// The next chunk of a line-based transport.
    pub fn bytes(&mut self, id: ConnectionId, direction: Direction, at: Duration, bytes: &[u8]) {
        self.framed(id, direction, at, |framer, each| framer.feed(bytes, each));
    }

    /// Bytes passed unobserved: replies may be among them.
    pub fn gap(&mut self, id: ConnectionId, direction: Direction) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.streams[direction as usize].framer.lose();
            self.doubt(id, direction);
        }
    }

    /// One direction of a connection ended; when both have, the connection is gone.
    pub fn closed(&mut self, id: ConnectionId, direction: Direction, at: Duration) {
        self.framed(id, direction, at, |framer, each| framer.finish(each));
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if std::mem::replace(&mut connection.streams[direction as usize].closed, true) {
            return;
        }
        // These would have been answered by what just ended. Where the side that asked left
        // first, nobody waited for the answer.
        let asked = direction.opposite();
        let both = connection.streams[asked as usize].closed;
        let theirs = |call: &Call| call.connection == id && call.direction == asked;
        self.leave(theirs, at, if both { Ending::Cancelled } else { Ending::Eof });
        for call in self.rounds.take_of(id, asked) {
            self.end(call, at, Ending::Cancelled, None);
        }
        if both {
            // Asked after the side that answers had left.
            self.leave(|call| call.connection == id, at, Ending::Eof);
            for call in self.rounds.take_of(id, direction) {
                self.end(call, at, Ending::Cancelled, None);
            }
            self.connections.remove(&id);
        }
        self.inflight.tell_now(at, &self.sink);
    }

    /// One line or body: a JSON-RPC message, or a batch.
    pub fn message(&mut self, id: ConnectionId, direction: Direction, at: Duration, bytes: &[u8]) {
        self.read(id, direction, at, bytes, None);
    }

    /// Reads messages; `length` is the size of one that is abridged. False when something in
    /// `bytes` is none.
    fn read(
        &mut self,
        id: ConnectionId,
        direction: Direction,
        at: Duration,
        bytes: &[u8],
        length: Option<u64>,
    ) -> bool {
        // The closure borrows the observer, and the hasher is needed beside it.
        let hasher = self.hasher.clone();
        let understood = messages(bytes, &hasher, |message, size| {
            let size = length.unwrap_or(size);
            self.stats.messages += 1;
            match message {
                Message::Request { id: request, method, params } => {
                    let key = (id, direction, request);
                    self.request(key, at, &method, &Params::read(params), size);
                }
                Message::Notification { method, params } => {
                    self.notification(id, direction, at, &method, params);
                }
                Message::Reply { id: request, reply } => {
                    self.reply(id, direction, at, request, &reply, size);
                }
            }
        });
        if !understood {
            self.stats.unreadable += 1;
        }
        understood
    }

    /// Lets calls expire and tells gauges. Wanted every [`Observer::patience`].
    pub fn tick(&mut self, at: Duration) {
        while let Some(call) = self.pending.pop_expired(at, EXPIRY) {
            self.give_up(call, at, Ending::Expired);
        }
        while let Some(call) = self.tasks.pop_expired(at, EXPIRY) {
            self.give_up(call, at, Ending::Expired);
        }
        while let Some(call) = self.rounds.pop_expired(at, EXPIRY) {
            self.end(call, at, Ending::Expired, None);
        }
        while self.unread.pop_expired(at, EXPIRY).is_some() {}
        self.inflight.tell(at, &self.sink);
    }

    /// How soon a tick is wanted; `None` while nothing can come due.
    pub fn patience(&self) -> Option<Duration> {
        let idle = self.pending.is_empty()
            && self.tasks.is_empty()
            && self.unread.is_empty()
            && self.rounds.is_empty()
            && !self.inflight.is_due();
        (!idle).then_some(TICK)
    }

    fn framed(
        &mut self,
        id: ConnectionId,
        direction: Direction,
        at: Duration,
        step: impl FnOnce(&mut Framer, &mut dyn FnMut(Line<'_>)),
    ) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        // Taken out, since reading a line needs the whole observer. Should that panic, the
        // framer that was put in its place begins at the next newline.
        let framer = &mut connection.streams[direction as usize].framer;
        let mut taken = std::mem::take(framer);
        framer.lose();
        step(&mut taken, &mut |line| self.line(id, direction, at, line));
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.streams[direction as usize].framer = taken;
        }
    }

    fn line(&mut self, id: ConnectionId, direction: Direction, at: Duration, line: Line<'_>) {
        match line {
            Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => {}
            Line::Whole(line) => self.message(id, direction, at, line),
            Line::Oversized(line) => {
                self.stats.oversized += 1;
                self.stats.oversized_bytes += line.length();
                let message = line.abridged().filter(|message| names_itself(message));
                let length = Some(line.length());
                if !message.is_some_and(|message| self.read(id, direction, at, &message, length)) {
                    self.doubt(id, direction);
                }
            }
        }
    }

    fn request(&mut self, key: Key, at: Duration, method: &str, params: &Params<'_>, bytes: u64) {
        let (id, direction, _) = key;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let kind = match Method::named(method) {
            // Only servers have tools; the name would be counted as the server's.
            Method::ToolsCall if direction == Direction::ToClient => Method::Other,
            kind => kind,
        };
        // Calls have rounds since 2026-07-28, where every request names its revision.
        let modern = params.version().is_some();
        let likeness = if modern { params.likeness(method, &self.hasher) } else { 0 };
        let mut call = Call {
            connection: id,
            direction,
            transport: connection.transport,
            method: kind,
            tool: (kind == Method::ToolsCall).then(|| params.tool()),
            started: at,
            request_bytes: bytes,
            response_bytes: 0,
            version: params.version().or(connection.version),
            trace_id: params.trace_id(),
            likeness,
            cursor: params.cursor(&self.hasher),
            task: params.task(&self.hasher),
            uncertain: false,
            exchange: self.reading.as_ref().map_or(0, |reading| reading.exchange),
        };
        if params.is_next_round() {
            let link = params.link(likeness, &self.hasher);
            if let Some(earlier) = self.rounds.take(link) {
                call.started = earlier.started;
                call.request_bytes += earlier.request_bytes;
                call.response_bytes += earlier.response_bytes;
                call.trace_id = call.trace_id.or(earlier.trace_id);
            }
        }
        self.start(&call);
        if let Some(reading) = &mut self.reading {
            reading.asked.push(key.clone());
        }
        if let Some(evicted) = self.pending.insert(key, at, call) {
            self.give_up(evicted, at, Ending::Expired);
        }
    }

    fn notification(
        &mut self,
        id: ConnectionId,
        direction: Direction,
        at: Duration,
        method: &str,
        params: Option<&str>,
    ) {
        match method {
            "notifications/cancelled" => {
                let params = Params::read(params);
                let request = Id::read(params.request_id, &self.hasher);
                let key = request.map(|request| (id, direction, request));
                if let Some(call) = key.and_then(|key| self.pending.remove(&key)) {
                    self.stop(&call);
                    self.end(call, at, params.withdrawal(), None);
                }
            }
            "notifications/tasks/status" | "notifications/tasks" => {
                if let Some(params) = params {
                    self.task_status(None, at, params, 0);
                }
            }
            _ => {}
        }
    }
}
