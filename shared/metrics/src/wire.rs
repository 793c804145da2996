//! Events from outside: `POST /v1/events` as JSON or NDJSON, parsed and checked at the edge.
//!
//! A batch is read in one pass that borrows from the body, by a reader of what programs send.
//! Whatever that does not take, serde_json reads again: one event, so that a bad one costs nobody
//! but itself and is told why; or the whole body, when it is no batch. What is a batch, and what is
//! wrong with an event, is serde_json's to say.

mod bounded;
mod event;
mod reader;
mod text;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::bounded::{Bounded, TOO_MANY};
use self::event::{WireEvent, put};
use self::reader::Reader;
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
#[serde(deny_unknown_fields, expecting = "a batch of events")]
struct Envelope<'a> {
    #[serde(borrow)]
    server: Text<'a>,
    #[serde(borrow)]
    source: Text<'a>,
    #[serde(borrow)]
    observer: Option<Text<'a>>,
    #[serde(borrow)]
    events: Bounded<&'a RawValue>,
}

/// Parses `{"server", "source", "observer", "events": [ … ]}`.
///
/// # Errors
/// When the body is not JSON, the envelope lacks a key or holds a wrong one, or there are more
/// than [`MAX_EVENTS`] events.
pub fn parse_batch(body: &[u8]) -> Result<Batch<'_>, BatchError> {
    let batch = std::str::from_utf8(body).ok().and_then(|text| read_batch(Reader::new(text)));
    batch.unwrap_or_else(|| parse_batch_with_serde(body))
}

/// The batch in the forms that programs send; nothing when the body is for serde to judge.
fn read_batch(mut reader: Reader<'_>) -> Option<Result<Batch<'_>, BatchError>> {
    let (mut server, mut source, mut observer, mut events) = (None, None, None, None);
    reader.object(|key, reader| match key {
        "server" => put(&mut server, reader.text()),
        "source" => put(&mut source, reader.text()),
        "observer" => put(&mut observer, reader.text()),
        "events" => put(&mut events, read_events(reader)),
        _ => None,
    })?;
    if !reader.is_at_end() {
        return None;
    }
    let events = events?;
    let origin = origin(server?, source?, observer).map_err(BatchError::Envelope);
    Some(origin.map(|origin| Batch { origin, events }))
}

fn read_events<'a>(reader: &mut Reader<'a>) -> Option<Vec<Result<Event<'a>, String>>> {
    let mut events = Vec::new();
    reader.list(b'[', b']', |reader| {
        if events.len() == MAX_EVENTS {
            return None;
        }
        let mut again = reader.clone();
        events.push(match reader.event() {
            Some(event) => Event::try_from(event),
            None => {
                let event = parse_event(again.raw()?).and_then(Event::try_from);
                *reader = again;
                event
            }
        });
        Some(())
    })?;
    Some(events)
}

fn parse_batch_with_serde(body: &[u8]) -> Result<Batch<'_>, BatchError> {
    let envelope: Envelope<'_> =
        serde_json::from_slice(body).map_err(|error| match error.to_string() {
            text if text.starts_with(TOO_MANY) => BatchError::TooMany,
            text => BatchError::Malformed(text),
        })?;
    let origin = origin(envelope.server, envelope.source, envelope.observer)
        .map_err(BatchError::Envelope)?;
    let events = envelope.events.0.into_iter();
    let events = events.map(|raw| parse_event(raw.get()).and_then(Event::try_from)).collect();
    Ok(Batch { origin, events })
}

/// Parses one line of NDJSON: an event that carries its own `server` and `source`.
///
/// # Errors
/// Names the key, the value and what would be right.
pub fn parse_line(line: &str) -> Result<(Origin<'_>, Event<'_>), String> {
    let mut reader = Reader::new(line);
    let read = reader.event().filter(|_| reader.is_at_end());
    let mut event = read.map_or_else(|| parse_event(line), Ok)?;
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

#[cfg(test)]
mod tests;
