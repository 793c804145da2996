//! Documents with a type: read, compute, write, and once more when another replica was faster.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

use crate::store::{Document, Error, Key, Put, Store};

/// Each conflict means that somebody else came further, so a few rounds are enough.
const ROUNDS: usize = 32;

/// What a document should become, with what the caller wants to know of it.
pub(crate) enum Change<T, R> {
    Keep(R),
    Write { position: u64, value: T, ttl: Option<Duration>, result: R },
}

/// A value with its position.
pub(crate) type Placed<T> = (u64, T);

pub(crate) async fn read<T: DeserializeOwned>(
    store: &dyn Store,
    key: &Key,
) -> Result<Option<Placed<T>>, Error> {
    store.get(key).await?.map(|document| parse(key, &document)).transpose()
}

/// Applies `decide` to the stored value until nobody else changed it in between.
///
/// After a lost reply the caller may call this again: `decide` then sees what was written, and must
/// recognise it.
pub(crate) async fn change<T: Serialize + DeserializeOwned, R>(
    store: &dyn Store,
    key: &Key,
    decide: impl Fn(Option<Placed<T>>) -> Change<T, R>,
) -> Result<R, Error> {
    let mut document = store.get(key).await?;
    for _ in 0..ROUNDS {
        let stored = document.as_ref().map(|document| parse(key, document)).transpose()?;
        let expected = stored.as_ref().map(|(position, _)| *position);
        let (position, value, ttl, result) = match decide(stored) {
            Change::Keep(result) => return Ok(result),
            Change::Write { position, value, ttl, result } => (position, value, ttl, result),
        };
        let value = serde_json::to_string(&value).expect("our own types are JSON");
        match store.put(key, expected, &Document { position, value }, ttl).await? {
            Put::Stored => return Ok(result),
            Put::Conflict(other) => document = other,
        }
    }
    Err(Error::Unavailable(format!("`{key}` is changed by too many at once")))
}

/// A position for what has no slot of its own: the time, but always greater than the last.
pub(crate) fn position_after(last: Option<u64>, now_ms: u64) -> u64 {
    now_ms.max(last.map_or(0, |last| last.saturating_add(1)))
}

fn parse<T: DeserializeOwned>(key: &Key, document: &Document) -> Result<Placed<T>, Error> {
    let value = serde_json::from_str(&document.value)
        .map_err(|error| Error::Corrupt { key: key.to_string(), problem: error.to_string() })?;
    Ok((document.position, value))
}
