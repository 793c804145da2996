//! Events from outside: `POST /v1/events` as JSON or NDJSON, parsed and checked at the edge.
//!
//! A batch is parsed in one pass that borrows from the body. Only when that fails is it read
//! again event by event, so that a bad event costs nobody but itself and is told why.

mod bounded;
mod event;
mod text;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::bounded::{Bounded, Checked, TOO_MANY};
use self::event::WireEvent;
use self::text::Text;
use crate::event::{Event, Origin};
use crate::label::Observer;
use crate::name::Name;

/// The most events in one batch. A hundred is the best size; a thousand gains little more.
pub const MAX_EVENTS: usize = 10_000;

/// A parsed batch: where it comes from, and each event or what is wrong with it.
#[derive(Debug)]
pub struct Batch<'a> {
    /// The server, the process and the kind of observer.
    pub origin: Origin<'a>,
    /// The events in the order of the body. An error names the key, the value and what would be
    /// right.
    pub events: Vec<Result<Event<'a>, String>>,
}

/// Why a whole body was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The body is not JSON, or not an envelope.
    #[error("the body is not a batch of events: {0}")]
    Malformed(String),
    /// There are more than [`MAX_EVENTS`].
    #[error("the batch holds more than {MAX_EVENTS} events; expected several smaller batches")]
    TooMany,
    /// An envelope's key is wrong.
    #[error("{0}")]
    Envelope(String),
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a batch of events",
    bound(deserialize = "E: Deserialize<'de>")
)]
struct Envelope<'a, E> {
    #[serde(borrow)]
    server: Text<'a>,
    #[serde(borrow)]
    source: Text<'a>,
    #[serde(borrow)]
    observer: Option<Text<'a>>,
    events: Bounded<E>,
}

/// Parses `{"server", "source", "observer", "events": [ … ]}`.
///
/// # Errors
/// When the body is not JSON, the envelope lacks a key or holds a wrong one, or there are more
/// than [`MAX_EVENTS`] events.
pub fn parse_batch(body: &[u8]) -> Result<Batch<'_>, BatchError> {
    if let Ok(envelope) = serde_json::from_slice::<Envelope<'_, Checked<'_>>>(body) {
        let origin = origin(envelope.server, envelope.source, envelope.observer)
            .map_err(BatchError::Envelope)?;
        let events = envelope.events.0.into_iter().map(|event| event.0);
        return Ok(Batch { origin, events: events.collect() });
    }
    let envelope: Envelope<'_, &RawValue> =
        serde_json::from_slice(body).map_err(|error| match error.to_string() {
            text if text.starts_with(TOO_MANY) => BatchError::TooMany,
            text => BatchError::Malformed(text),
        })?;
    let origin = origin(envelope.server, envelope.source, envelope.observer)
        .map_err(BatchError::Envelope)?;
    Ok(Batch { origin, events: parse_all(envelope.events.0) })
}

fn parse_all(raw: Vec<&RawValue>) -> Vec<Result<Event<'_>, String>> {
    raw.into_iter().map(|raw| Event::try_from(parse_event(raw.get())?)).collect()
}

/// Parses one line of NDJSON: an event that carries its own `server` and `source`.
///
/// # Errors
/// Names the key, the value and what would be right.
pub fn parse_line(line: &str) -> Result<(Origin<'_>, Event<'_>), String> {
    let mut event = parse_event(line)?;
    let (server, source) = (event.server.take(), event.source.take());
    let server = server.ok_or("server is missing; every line names its own")?;
    let source = source.ok_or("source is missing; every line names its own")?;
    let origin = origin(server, source, event.observer.take())?;
    Ok((origin, Event::try_from(event)?))
}

fn parse_event(text: &str) -> Result<WireEvent<'_>, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let event = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        // "at line 1 column 17" counts within the event and would mislead.
        let text = error.into_inner().to_string();
        let text = text.split(" at line ").next().unwrap_or(&text).to_owned();
        if path == "." { text } else { format!("{path}: {text}") }
    })?;
    json.end().map_err(|_| "one line holds more than one value; expected one event".to_owned())?;
    Ok(event)
}

fn origin<'a>(
    server: Text<'a>,
    source: Text<'a>,
    observer: Option<Text<'a>>,
) -> Result<Origin<'a>, String> {
    let name = |key, text: Text<'a>| Name::new(text.0).map_err(|e| format!("{key} {e}"));
    let observer = observer.map(|o| o.0.parse().map_err(|e| format!("observer: {e}")));
    Ok(Origin {
        server: name("server", server)?,
        source: name("source", source)?,
        observer: observer.unwrap_or(Ok(Observer::Api))?,
    })
}
