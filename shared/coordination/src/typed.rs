//! Documents with a type: read, compute, write, and once more when another replica was faster.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{Document, Error, Key, Put, Store};

/// Each conflict means that somebody else came further, so a few rounds are enough.
const ROUNDS: usize = 32;

/// What a document should become, with what the caller wants to know of it.
#[derive(Debug)]
pub enum Change<T, R> {
    /// Nothing changes.
    Keep(R),
    /// It becomes `value`. The position must be greater than the stored one.
    Write { position: u64, value: T, ttl: Option<Duration>, result: R },
}

/// A value with its position.
pub type Placed<T> = (u64, T);

/// The document, if there is one.
///
/// # Errors
/// When the store cannot be asked, or what it holds is no `T`.
pub async fn read<T: DeserializeOwned>(
    store: &dyn Store,
    key: &Key,
) -> Result<Option<Placed<T>>, Error> {
    store.get(key).await?.map(|document| parse(key, &document)).transpose()
}

/// Every document below `prefix`, by the last part of its key. One that is no `T` is left out and
/// logged: it must not hide the others.
///
/// # Errors
/// When the store cannot be asked.
pub async fn list<T: DeserializeOwned>(
    store: &dyn Store,
    prefix: &Key,
) -> Result<BTreeMap<String, T>, Error> {
    let mut values = BTreeMap::new();
    for (key, document) in store.list(prefix).await? {
        match parse(&key, &document) {
            Ok((_, value)) => _ = values.insert(key.last_part().to_owned(), value),
            Err(error) => tracing::warn!(%error, "a document is left out"),
        }
    }
    Ok(values)
}

/// Applies `decide` to the stored value until nobody else changed it in between.
///
/// After a lost reply the caller may call this again: `decide` then sees what was written, and must
/// recognise it.
///
/// # Errors
/// When the store cannot be asked, or what it holds is no `T`.
pub async fn change<T: Serialize + DeserializeOwned, R>(
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
#[must_use]
pub fn position_after(last: Option<u64>, now_ms: u64) -> u64 {
    now_ms.max(last.map_or(0, |last| last.saturating_add(1)))
}

fn parse<T: DeserializeOwned>(key: &Key, document: &Document) -> Result<Placed<T>, Error> {
    let value = serde_json::from_str(&document.value)
        .map_err(|error| Error::Corrupt { key: key.to_string(), problem: error.to_string() })?;
    Ok((document.position, value))
}
