//! The observer for HTTP: from the bytes of exchanges to messages of connections.
//!
//! A request is one exchange; to which connection it belongs depends on the era. With
//! `Mcp-Session-Id` the session is the connection: a reply may come on another exchange than its
//! request, and the server asks the client over whatever stream is open. In the older HTTP+SSE
//! the event stream is, and what is posted to its endpoint belongs to it. Without either, as
//! since 2026-07-28, every exchange is a connection of its own: its end is the end of what was
//! asked in it, and clients may all use the same ids.

mod exchange;
mod kept;
mod reader;
mod sessions;
mod sse;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use fnv::FnvBuildHasher;
use mcpmon_metrics::label::{AuthFailure, LimitType, Transport};
use mcpmon_metrics::{Ending, Event};

use self::exchange::{Exchange, Place};
use self::reader::{Input, Reader};
use self::sessions::Sessions;
use super::{Call, ConnectionId, Direction, Key, Observer, Reading, Stats, TICK};
use crate::rules::Rules;
use crate::sink::EventSink;

pub use self::exchange::{Answered, Asked, Coding, Content, Fate, Form, Marks, Verb, place_of};

/// The most sessions, and the most event streams of HTTP+SSE, that are followed.
const MAX_SESSIONS: usize = 4_096;
/// A session in which nothing happened and no stream was open for so long is no longer active.
/// Clients leave without a word; one that comes back is known again by its next success.
const IDLE: Duration = Duration::from_secs(300);
/// How long a client has to resume a stream before what it asked there is given up.
const RESUME: Duration = Duration::from_secs(30);
/// The most broken streams that may still be resumed.
const MAX_PARKED: usize = 1_024;
/// How often sessions are looked at while nothing else happens.
const LOOK: Duration = Duration::from_secs(15);

/// Pairs what passes in HTTP exchanges and tells `sink` what ended.
#[derive(Debug)]
pub struct HttpObserver<S> {
    observer: Observer<S>,
    marks: Marks,
    /// By their number, which the data path gives. Each step takes one out and puts it back.
    exchanges: HashMap<u64, Box<Exchange>, FnvBuildHasher>,
    sessions: Sessions,
    /// The event streams of HTTP+SSE, by the mark of their endpoint.
    channels: HashMap<u64, ConnectionId>,
    /// Open response streams of exchanges without a session, since 2026-07-28.
    streams: HashSet<u64>,
    parked: Vec<Parked>,
    next: u64,
    told: [u64; 2],
}

/// Requests whose stream broke and may be resumed.
#[derive(Debug)]
struct Parked {
    until: Duration,
    exchange: u64,
    connection: ConnectionId,
    keys: Vec<Key>,
    why: Ending<'static>,
}

impl<S: EventSink> HttpObserver<S> {
    /// An observer without exchanges; `marks` are the data path's.
    pub fn new(sink: S, marks: Marks) -> Self {
        Self {
            observer: Observer::new(sink),
            marks,
            exchanges: HashMap::default(),
            sessions: Sessions::default(),
            channels: HashMap::new(),
            streams: HashSet::new(),
            parked: Vec::new(),
            next: 0,
            told: [0; 2],
        }
    }

    /// See [`Observer::with_rules`].
    pub fn with_rules(self, rules: Rules) -> Self {
        Self { observer: self.observer.with_rules(rules), ..self }
    }

    /// See [`Observer::lost`].
    pub fn lost(&self, count: u64) {
        self.observer.lost(count);
    }

    /// See [`Observer::stats`].
    pub fn stats(&self) -> Stats {
        self.observer.stats()
    }

    /// An exchange begins.
    pub fn asked(&mut self, id: u64, at: Duration, asked: Asked) {
        let session = asked.session.filter(|_| !asked.is_modern());
        let known = session.and_then(|key| Some((key, self.sessions.enter(key, id, at)?)));
        let channel = self.channels.get(&asked.place).filter(|_| asked.verb == Verb::Post);
        let (place, connection) = match (known, channel) {
            (Some((key, connection)), _) => (Place::Session(key), connection),
            (None, Some(connection)) => (Place::Channel, *connection),
            (None, None) => (Place::Own, self.open()),
        };
        // Over HTTP+SSE the revision is what `initialize` agreed on.
        let version = asked.version.filter(|_| place != Place::Channel);
        if let (Some(state), Some(version)) =
            (self.observer.connections.get_mut(&connection), version)
        {
            state.version = Some(version);
        }
        let exchange = Exchange::new(connection, place, asked, at);
        self.exchanges.insert(id, Box::new(exchange));
    }

    /// The head of an exchange's response.
    pub fn answered(&mut self, id: u64, at: Duration, answered: Answered) {
        let Some(mut exchange) = self.exchanges.remove(&id) else { return };
        exchange.answer(answered);
        let key = answered.session.or(exchange.asked.session);
        // Only a success proves a session: servers send its header with a refusal, too.
        let proven = exchange.succeeded()
            && exchange.place == Place::Own
            && !exchange.asked.is_modern()
            && exchange.asked.verb != Verb::Delete;
        if let Some(key) = key.filter(|_| proven) {
            self.adopt(key, id, &mut exchange, at);
        }
        let is_stream = answered.form.content == Content::Events;
        if exchange.succeeded() && is_stream && exchange.asked.is_modern() {
            self.streams.insert(id);
        }
        self.exchanges.insert(id, exchange);
    }

    /// The next bytes of a body.
    pub fn bytes(&mut self, id: u64, direction: Direction, at: Duration, bytes: &[u8]) {
        self.feed(id, direction, at, |reader, each| reader.feed(bytes, each));
    }

    /// A request's body is whole.
    pub fn whole(&mut self, id: u64, direction: Direction, at: Duration) {
        self.feed(id, direction, at, Reader::finish);
    }

    /// Bytes passed unobserved, and nobody knows whose.
    pub fn gap(&mut self, direction: Direction) {
        for exchange in self.exchanges.values_mut() {
            exchange.readers[direction as usize].iter_mut().for_each(Reader::lose);
        }
        let ids: Vec<ConnectionId> = self.observer.connections.keys().copied().collect();
        ids.into_iter().for_each(|id| self.observer.doubt(id, direction));
    }

    /// The rest of an exchange is not seen.
    pub fn lose(&mut self, id: u64) {
        self.observer.reading = None;
        self.streams.remove(&id);
        self.sessions.forget_exchange(id);
        self.exchanges.remove(&id);
        self.observer.doubt_those(|call| call.exchange == id);
    }

    /// An exchange is over.
    pub fn ended(&mut self, id: u64, at: Duration, fate: Fate) {
        if fate == Fate::Whole {
            self.feed(id, Direction::ToClient, at, Reader::finish);
        }
        let Some(mut exchange) = self.exchanges.remove(&id) else { return };
        self.streams.remove(&id);
        let mut open = std::mem::take(&mut exchange.open);
        open.retain(|key| self.observer.pending.get(key).is_some_and(|call| call.exchange == id));
        self.refusal(&exchange, &open);
        if exchange.is_blind() {
            self.observer.doubt_those(|call| call.exchange == id);
        }
        self.settle(id, &exchange, open, at, fate);
        self.depart(id, &exchange, at, fate);
    }

    /// Lets calls and sessions expire and tells gauges. Wanted every [`HttpObserver::patience`].
    pub fn tick(&mut self, at: Duration) {
        for (_, connection) in self.sessions.take_idle(at, IDLE) {
            self.close(connection, at, Direction::ToServer);
        }
        let waiting = std::mem::take(&mut self.parked);
        for parked in waiting {
            let resumed = self.exchanges.values().any(|exchange| {
                exchange.connection == parked.connection && exchange.asked.verb == Verb::Get
            });
            if at < parked.until {
                self.parked.push(parked);
            } else if resumed {
                self.parked.push(Parked { until: at + RESUME, ..parked });
            } else {
                self.give_up(parked.exchange, parked.keys, at, parked.why);
            }
        }
        self.observer.tick(at);
        let readings = [
            (Transport::Http, self.sessions.len() + self.streams.len()),
            (Transport::Sse, self.channels.len()),
        ];
        for (told, (transport, value)) in self.told.iter_mut().zip(readings) {
            let value = value as u64;
            if std::mem::replace(told, value) != value {
                self.observer.sink.record(Event::Connections { transport, value });
            }
        }
    }

    /// The tap ends: nobody will resume anything.
    pub fn finish(&mut self, at: Duration) {
        for parked in std::mem::take(&mut self.parked) {
            self.give_up(parked.exchange, parked.keys, at, parked.why);
        }
        let ids: Vec<ConnectionId> = self.observer.connections.keys().copied().collect();
        ids.into_iter().for_each(|id| self.close(id, at, Direction::ToServer));
        self.observer.inflight.tell_now(at, &self.observer.sink);
    }

    /// How soon a tick is wanted; `None` while nothing can come due.
    pub fn patience(&self) -> Option<Duration> {
        let parked = (!self.parked.is_empty()).then_some(TICK);
        let sessions = (self.sessions.len() > 0).then_some(LOOK);
        self.observer.patience().or(parked).or(sessions)
    }

    /// A connection of its own for an exchange.
    fn open(&mut self) -> ConnectionId {
        let connection = ConnectionId(self.next);
        self.next += 1;
        self.observer.open(connection, Transport::Http);
        self.keeps_listing(connection, false);
        connection
    }

    fn keeps_listing(&mut self, connection: ConnectionId, keeps: bool) {
        if let Some(state) = self.observer.connections.get_mut(&connection) {
            state.listing = keeps.then(Default::default);
        }
    }

    /// Makes the exchange's own connection the session's.
    fn adopt(&mut self, key: u64, id: u64, exchange: &mut Exchange, at: Duration) {
        let Some(evicted) = self.sessions.add(key, exchange.connection, id, at, MAX_SESSIONS)
        else {
            return;
        };
        exchange.place = Place::Session(key);
        exchange.keep_clients();
        self.keeps_listing(exchange.connection, true);
        if let Some(connection) = evicted {
            self.close(connection, at, Direction::ToServer);
        }
    }

    /// Steps the reader of one body and reads the messages that come out.
    fn feed(
        &mut self,
        id: u64,
        direction: Direction,
        at: Duration,
        step: impl FnOnce(&mut Reader, &mut dyn FnMut(Input<'_>)),
    ) {
        let Some(mut exchange) = self.exchanges.remove(&id) else { return };
        if let Some(mut reader) = exchange.readers[direction as usize].take() {
            step(&mut reader, &mut |input| self.input(id, &mut exchange, direction, at, input));
            exchange.resumable |= reader.has_ids();
            exchange.readers[direction as usize] = Some(reader);
        }
        self.exchanges.insert(id, exchange);
    }

    fn input(
        &mut self,
        id: u64,
        exchange: &mut Exchange,
        direction: Direction,
        at: Duration,
        input: Input<'_>,
    ) {
        let line = match input {
            Input::Message(line) => line,
            Input::Endpoint(target) => return self.channel(exchange, target),
        };
        // A request arrived when its first byte did.
        let at = if direction == Direction::ToServer { exchange.at } else { at };
        let asked = std::mem::take(&mut exchange.open);
        let answers = exchange.is_plain_reply();
        self.observer.reading = Some(Reading { exchange: id, asked, answers });
        self.observer.line(exchange.connection, direction, at, line);
        exchange.open = self.observer.reading.take().unwrap_or_default().asked;
        exchange.keep_clients();
    }

    /// An event stream of HTTP+SSE named the place to post to.
    fn channel(&mut self, exchange: &mut Exchange, target: &str) {
        let free = self.channels.len() < MAX_SESSIONS;
        if exchange.place != Place::Own || exchange.asked.verb != Verb::Get || !free {
            return;
        }
        let mark = self.marks.mark(place_of(target));
        self.channels.insert(mark, exchange.connection);
        exchange.place = Place::Stream(mark);
        if let Some(state) = self.observer.connections.get_mut(&exchange.connection) {
            state.transport = Transport::Sse;
        }
        self.keeps_listing(exchange.connection, true);
    }

    /// Counts a refusal that no tool call carries.
    fn refusal(&self, exchange: &Exchange, open: &[Key]) {
        let is_call = |key: &Key| self.observer.pending.get(key).is_some_and(Call::is_tool_call);
        if open.iter().any(is_call) {
            return;
        }
        let sink = &self.observer.sink;
        let reason = match exchange.status() {
            401 if !exchange.asked.authorized => AuthFailure::MissingToken,
            401 => AuthFailure::InvalidToken,
            403 => AuthFailure::InsufficientScope,
            429 => {
                let limit_type = LimitType::Upstream;
                return sink.record(Event::RateLimit { limit_type, tool: None, count: 1 });
            }
            _ => return,
        };
        sink.record(Event::AuthFailure { reason, count: 1 });
    }

    /// Says what becomes of requests that this exchange has not answered.
    fn settle(&mut self, id: u64, exchange: &Exchange, open: Vec<Key>, at: Duration, fate: Fate) {
        if open.is_empty() {
            return;
        }
        let why = match (exchange.verdict(), fate) {
            (Some(verdict), _) => verdict,
            (None, Fate::Whole) => Ending::Eof,
            (None, Fate::Broken(why)) => why,
            (None, Fate::ClientLeft) => Ending::Cancelled,
        };
        let accepted = exchange.place == Place::Channel
            && exchange.verdict().is_none()
            && !matches!(fate, Fate::Broken(_));
        if accepted {
            // The reply comes on the event stream.
        } else if exchange.is_redirect() {
            // The client asks again, elsewhere.
            self.observer.forget(open);
        } else if exchange.may_be_resumed() && self.parked.len() < MAX_PARKED {
            let (until, connection) = (at + RESUME, exchange.connection);
            self.parked.push(Parked { until, exchange: id, connection, keys: open, why });
        } else {
            self.give_up(id, open, at, why);
        }
    }

    fn give_up(&mut self, id: u64, keys: Vec<Key>, at: Duration, why: Ending<'static>) {
        for key in keys {
            if self.observer.pending.get(&key).is_some_and(|call| call.exchange == id) {
                let call = self.observer.pending.remove(&key);
                call.into_iter().for_each(|call| self.observer.give_up(call, at, why));
            }
        }
    }

    /// What the end of the exchange means for its connection.
    fn depart(&mut self, id: u64, exchange: &Exchange, at: Duration, fate: Fate) {
        let connection = exchange.connection;
        match exchange.place {
            Place::Own => drop(self.observer.connections.remove(&connection)),
            Place::Channel => {}
            Place::Stream(mark) => {
                self.channels.remove(&mark);
                let client_left = fate == Fate::ClientLeft;
                let first = if client_left { Direction::ToServer } else { Direction::ToClient };
                self.close(connection, at, first);
            }
            Place::Session(key) => {
                self.sessions.leave(key, connection, id, at);
                if let Some(first) = exchange.ends_session()
                    && self.sessions.remove(key, connection)
                {
                    self.close(connection, at, first);
                }
            }
        }
    }

    /// Ends a connection; who left `first` decides how its open calls are counted.
    fn close(&mut self, connection: ConnectionId, at: Duration, first: Direction) {
        self.observer.closed(connection, first, at);
        self.observer.closed(connection, first.opposite(), at);
    }
}
