//! Events from outside: `POST /v1/events` as JSON or NDJSON, parsed and checked at the edge.
//!
//! A batch is parsed in one pass that borrows from the body. Only when that fails is it read
//! again event by event, so that a bad event costs nobody but itself and is told why.

mod event;
mod text;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::event::WireEvent;
use self::text::Text;
use crate::event::{Event, Origin};
use crate::label::Observer;
use crate::name::Name;

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
    /// An envelope's key is wrong.
    #[error("{0}")]
    Envelope(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "E: Deserialize<'de>"))]
struct Envelope<'a, E> {
    #[serde(borrow)]
    server: Text<'a>,
    #[serde(borrow)]
    source: Text<'a>,
    #[serde(borrow)]
    observer: Option<Text<'a>>,
    events: Vec<E>,
}

/// Parses `{"server", "source", "observer", "events": [ … ]}`.
///
/// # Errors
/// When the body is not JSON, or the envelope lacks a key or holds a wrong one.
pub fn parse_batch(body: &[u8]) -> Result<Batch<'_>, BatchError> {
    if let Ok(envelope) = serde_json::from_slice::<Envelope<'_, WireEvent<'_>>>(body) {
        let origin = origin(envelope.server, envelope.source, envelope.observer)
            .map_err(BatchError::Envelope)?;
        let events = envelope.events.into_iter().map(Event::try_from).collect();
        return Ok(Batch { origin, events });
    }
    let envelope: Envelope<'_, &RawValue> =
        serde_json::from_slice(body).map_err(|e| BatchError::Malformed(e.to_string()))?;
    let origin = origin(envelope.server, envelope.source, envelope.observer)
        .map_err(BatchError::Envelope)?;
    let events = envelope.events.into_iter().map(|raw| Event::try_from(parse_event(raw.get())?));
    Ok(Batch { origin, events: events.collect() })
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
        let error = error.into_inner();
        // "at line 1 column 17" counts within the event and would mislead.
        let text = error.to_string();
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
    let observer = observer
        .map_or(Ok(Observer::Api), |o| o.0.parse().map_err(|e| format!("observer: {e}")))?;
    Ok(Origin { server: name("server", server)?, source: name("source", source)?, observer })
}
