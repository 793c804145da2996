//! One HTTP request with its response, as far as the observer must know them.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use mcpmon_metrics::Ending;
use mcpmon_metrics::label::ProtocolVersion;

use super::super::{ConnectionId, Direction, Key};
use super::reader::Reader;

/// The request's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Asks for an event stream.
    Get,
    /// Carries messages.
    Post,
    /// Ends a session.
    Delete,
    /// Nothing that MCP has a use for.
    Other,
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// One message, or a batch.
    Json,
    /// A message in each event.
    Events,
    /// Nothing of interest.
    Other,
}

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// `gzip`.
    Gzip,
    /// `deflate`, which is zlib.
    Deflate,
    /// A way that the observer cannot read.
    Unknown,
}

/// A body's content and coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// From `Content-Type`.
    pub content: Content,
    /// From `Content-Encoding`.
    pub coding: Coding,
}

/// The head of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Its method.
    pub verb: Verb,
    /// The mark of `Mcp-Session-Id`.
    pub session: Option<u64>,
    /// The mark of [`place_of`] its target.
    pub place: u64,
    /// `MCP-Protocol-Version`.
    pub version: Option<ProtocolVersion>,
    /// Whether it has an `Authorization`.
    pub authorized: bool,
    /// Its body.
    pub form: Form,
}

/// The head of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// The status code.
    pub status: u16,
    /// The mark of `Mcp-Session-Id`.
    pub session: Option<u64>,
    /// Its body.
    pub form: Form,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The response was delivered to its end.
    Whole,
    /// The server, or the way to it, failed.
    Broken(Ending<'static>),
    /// The client went away first.
    ClientLeft,
}

impl Asked {
    /// Whether the request stands for itself, without a session.
    pub(super) fn is_modern(&self) -> bool {
        self.version == Some(ProtocolVersion::V2026_07_28)
    }
}

/// Turns texts that peers choose into marks that nobody can guess, of a fixed size.
#[derive(Debug, Clone, Default)]
pub struct Marks(RandomState);

impl Marks {
    /// The text's mark.
    pub fn mark(&self, text: &str) -> u64 {
        self.0.hash_one(text)
    }
}

/// What tells the endpoint of an HTTP+SSE stream from all others: its query, where servers put
/// the session, else its path. Servers behind a prefix are not sure of their path.
pub fn place_of(target: &str) -> &str {
    let target = target.split_once('#').map_or(target, |(target, _)| target);
    if let Some((_, query)) = target.split_once('?').filter(|(_, query)| !query.is_empty()) {
        return query;
    }
    let path = target
        .split_once("://")
        .map_or(target, |(_, rest)| rest.find('/').map_or("/", |slash| &rest[slash..]));
    path.trim_end_matches('?')
}

/// To which connection an exchange belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// One of its own.
    Own,
    /// That of a session.
    Session(u64),
    /// That of an HTTP+SSE stream, which it posts to.
    Channel,
    /// It is itself the stream.
    Stream(u64),
}

#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) connection: ConnectionId,
    pub(super) place: Place,
    pub(super) asked: Asked,
    pub(super) at: Duration,
    answered: Option<Answered>,
    /// Of the request's body and the response's, by direction.
    pub(super) readers: [Option<Reader>; 2],
    /// Requests that were made here and may be open.
    pub(super) open: Vec<Key>,
    /// The stream's events have ids, so a client can ask for those that it missed.
    pub(super) resumable: bool,
}

impl Exchange {
    pub(super) fn new(connection: ConnectionId, place: Place, asked: Asked, at: Duration) -> Self {
        let body = if asked.verb == Verb::Post { Reader::of(asked.form) } else { None };
        Self {
            connection,
            place,
            asked,
            at,
            answered: None,
            readers: [body, None],
            open: Vec::new(),
            resumable: false,
        }
    }

    pub(super) fn answer(&mut self, answered: Answered) {
        self.answered = Some(answered);
        // A status that says everything needs no body; neither does a page.
        let is_told = matches!(answered.status, 200..=299 | 400 | 402 | 404..=428 | 430..=499);
        let reader = Reader::of(answered.form).filter(|_| is_told);
        self.readers[Direction::ToClient as usize] = reader;
    }

    pub(super) fn status(&self) -> u16 {
        self.answered.map_or(0, |answered| answered.status)
    }

    pub(super) fn succeeded(&self) -> bool {
        (200..300).contains(&self.status())
    }

    pub(super) fn is_redirect(&self) -> bool {
        (300..400).contains(&self.status())
    }

    /// Whether the response is one document, which answers what was asked here and nothing else.
    pub(super) fn is_plain_reply(&self) -> bool {
        self.answered.is_some_and(|answered| answered.form.content == Content::Json)
    }

    /// How the status alone ends what was asked; `None` for a success.
    pub(super) fn verdict(&self) -> Option<Ending<'static>> {
        let status = self.answered?.status;
        (status >= 300).then_some(Ending::Http(status))
    }

    /// Whether replies may have passed that the observer could not read.
    pub(super) fn is_blind(&self) -> bool {
        self.readers.iter().flatten().any(Reader::is_lost)
    }

    pub(super) fn may_be_resumed(&self) -> bool {
        self.resumable && matches!(self.place, Place::Session(_))
    }

    /// Who left first, when this exchange is the end of its session.
    pub(super) fn ends_session(&self) -> Option<Direction> {
        match (self.asked.verb, self.status()) {
            // 405: the server does not let go of it, but the client has.
            (Verb::Delete, 200..=299 | 404 | 405) => Some(Direction::ToServer),
            (_, 404) => Some(Direction::ToClient),
            _ => None,
        }
    }

    /// What the server asked outlives this exchange, where the connection does.
    pub(super) fn keep_clients(&mut self) {
        if self.place != Place::Own {
            self.open.retain(|(_, direction, _)| *direction == Direction::ToServer);
        }
    }
}
