//! The data path's end of the queue: what one exchange tells the observer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, Response};
use mcpmon_metrics::label::ProtocolVersion;

use super::headers::text;
use crate::clock::Clock;
use crate::observer::Direction;
use crate::observer::http::{Answered, Asked, Coding, Content, Fate, Form, Marks, Verb, place_of};
use crate::queue::{Kind, Queue, Record};

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
    pub(super) fn begin<B>(self: &Arc<Self>, request: &Request<B>, target: &str) -> Option<Watch> {
        let headers = request.headers();
        let asked = Asked {
            verb: match *request.method() {
                Method::GET => Verb::Get,
                Method::POST => Verb::Post,
                Method::DELETE => Verb::Delete,
                _ => Verb::Other,
            },
            session: self.session(headers),
            place: self.marks.mark(place_of(target)),
            version: text(headers, "mcp-protocol-version").map(ProtocolVersion::named),
            authorized: headers.contains_key("authorization"),
            form: form(headers),
        };
        let exchange = self.next.fetch_add(1, Ordering::Relaxed);
        let wake = self.queue.begin(exchange, self.clock.now(), asked)?;
        self.queue.wake(wake);
        Some(Watch { copier: Copier { feed: self.clone(), exchange }, ended: false })
    }

    fn session(&self, headers: &HeaderMap) -> Option<u64> {
        text(headers, "mcp-session-id").map(|session| self.marks.mark(session))
    }
}

impl Watch {
    pub(super) fn copier(&self) -> Copier {
        self.copier.clone()
    }

    pub(super) fn answered<B>(&self, response: &Response<B>) {
        let headers = response.headers();
        let answered = Answered {
            status: response.status().as_u16(),
            session: self.copier.feed.session(headers),
            form: form(headers),
        };
        self.copier.tell(Direction::ToClient, Kind::Answered(answered));
    }

    pub(super) fn bytes(&self, bytes: &[u8]) {
        self.copier.bytes(Direction::ToClient, bytes);
    }

    pub(super) fn end(&mut self, fate: Fate) {
        if !std::mem::replace(&mut self.ended, true) {
            self.copier.tell(Direction::ToClient, Kind::Ended(fate));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end(Fate::ClientLeft);
    }
}

impl Copier {
    /// Copies bytes, before they are passed on.
    pub(super) fn bytes(&self, direction: Direction, bytes: &[u8]) {
        let Feed { queue, clock, .. } = &*self.feed;
        queue.wake(queue.push_of(self.exchange, direction, clock.now(), bytes));
    }

    /// The request's body has been passed on.
    pub(super) fn whole(&self) {
        self.tell(Direction::ToServer, Kind::Closed);
    }

    fn tell(&self, direction: Direction, kind: Kind) {
        let Feed { queue, clock, .. } = &*self.feed;
        let record = Record { exchange: self.exchange, direction, at: clock.now(), kind };
        queue.wake(queue.tell(record));
    }
}

fn form(headers: &HeaderMap) -> Form {
    let kind = text(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let content = match kind.as_str() {
        "text/event-stream" => Content::Events,
        kind if kind.ends_with("json") => Content::Json,
        _ => Content::Other,
    };
    let coding = match text(headers, CONTENT_ENCODING.as_str()).map(str::trim) {
        None | Some("" | "identity") => Coding::Identity,
        Some("gzip" | "x-gzip") => Coding::Gzip,
        Some("deflate") => Coding::Deflate,
        Some(_) => Coding::Unknown,
    };
    Form { content, coding }
}
