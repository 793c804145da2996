//! The data path's end of the queue: what one exchange tells the observer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};
use hyper::http::request;
use hyper::{Method, Response};
use mcpmon_metrics::label::ProtocolVersion;

use super::body::Upload;
use super::headers::text;
use crate::clock::Clock;
use crate::observer::Direction;
use crate::observer::http::{Answered, Asked, Coding, Content, Fate, Form, Marks, Verb, place_of};
use crate::queue::{Kind, Queue, Told};

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// Where the exchanges with one server are told.
#[derive(Debug)]
pub struct Feed {
    queue: Arc<Queue>,
    marks: Marks,
    clock: Clock,
    next: AtomicU64,
}

/// One exchange under observation. When it goes without having ended, the client has left.
#[derive(Debug)]
pub(super) struct Watch {
    copier: Copier,
    /// The head of the response, which is told with the first bytes that come with it.
    answered: Option<Answered>,
    ended: bool,
}

/// Copies the bytes of an exchange.
#[derive(Debug, Clone)]
pub(super) struct Copier {
    feed: Arc<Feed>,
    exchange: u64,
}

impl Feed {
    /// A feed into `queue`; the observer has the same `marks`.
    pub fn new(queue: Arc<Queue>, marks: Marks, clock: Clock) -> Self {
        Self { queue, marks, clock, next: AtomicU64::new(1) }
    }

    /// Begins to observe a request; none when the observer is too far behind.
    pub(super) fn begin(
        self: &Arc<Self>,
        request: &request::Parts,
        target: &str,
        body: &Upload,
    ) -> Option<Watch> {
        let headers = &request.headers;
        let asked = Asked {
            verb: match request.method {
                Method::GET => Verb::Get,
                Method::POST => Verb::Post,
                Method::DELETE => Verb::Delete,
                _ => Verb::Other,
            },
            session: self.session(headers),
            place: self.marks.mark(place_of(target)),
            version: text(headers, PROTOCOL_VERSION).map(ProtocolVersion::named),
            authorized: headers.contains_key(AUTHORIZATION),
            form: form(headers),
        };
        let exchange = self.next.fetch_add(1, Ordering::Relaxed);
        let wake = self.queue.begin(&Told {
            exchange,
            direction: Direction::ToServer,
            at: self.clock.now(),
            before: Some(Kind::Asked(asked)),
            bytes: body.begun(),
            after: body.is_whole().then_some(Kind::Closed),
        })?;
        self.queue.wake(wake);
        let copier = Copier { feed: self.clone(), exchange };
        Some(Watch { copier, answered: None, ended: false })
    }

    fn session(&self, headers: &HeaderMap) -> Option<u64> {
        text(headers, SESSION_ID).map(|session| self.marks.mark(session))
    }
}

impl Watch {
    pub(super) fn copier(&self) -> Copier {
        self.copier.clone()
    }

    pub(super) fn answered<B>(&mut self, response: &Response<B>) {
        let headers = response.headers();
        self.answered = Some(Answered {
            status: response.status().as_u16(),
            session: self.copier.feed.session(headers),
            form: form(headers),
        });
    }

    /// The next bytes of the response, and whether they are the last.
    pub(super) fn bytes(&mut self, bytes: &[u8], last: bool) {
        self.tell(bytes, last.then_some(Fate::Whole));
    }

    /// There are none for now.
    pub(super) fn pause(&mut self) {
        if self.answered.is_some() {
            self.tell(&[], None);
        }
    }

    pub(super) fn end(&mut self, fate: Fate) {
        self.tell(&[], Some(fate));
    }

    fn tell(&mut self, bytes: &[u8], fate: Option<Fate>) {
        if !self.ended {
            self.ended = fate.is_some();
            let answered = self.answered.take().map(Kind::Answered);
            self.copier.tell(Direction::ToClient, answered, bytes, fate.map(Kind::Ended));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end(Fate::ClientLeft);
    }
}

impl Copier {
    /// Copies bytes of the request, before they are passed on.
    pub(super) fn bytes(&self, bytes: &[u8], last: bool) {
        self.tell(Direction::ToServer, None, bytes, last.then_some(Kind::Closed));
    }

    fn tell(&self, direction: Direction, before: Option<Kind>, bytes: &[u8], after: Option<Kind>) {
        let Feed { queue, clock, .. } = &*self.feed;
        let (exchange, at) = (self.exchange, clock.now());
        queue.wake(queue.tell(&Told { exchange, direction, at, before, bytes, after }));
    }
}

fn form(headers: &HeaderMap) -> Form {
    let kind = text(headers, CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().as_bytes();
    let suffix = |length: usize| &kind[kind.len().saturating_sub(length)..];
    let content = if kind.eq_ignore_ascii_case(b"text/event-stream") {
        Content::Events
    } else if suffix(4).eq_ignore_ascii_case(b"json") {
        Content::Json
    } else {
        Content::Other
    };
    let coding = match text(headers, CONTENT_ENCODING).map(str::trim) {
        None | Some("" | "identity") => Coding::Identity,
        Some("gzip" | "x-gzip") => Coding::Gzip,
        Some("deflate") => Coding::Deflate,
        Some(_) => Coding::Unknown,
    };
    Form { content, coding }
}
