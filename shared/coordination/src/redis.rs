//! The backend for several replicas: one Redis (7.0, 8) or Valkey.
//!
//! Operations share one multiplexed connection, which is dropped and opened anew when it may be of
//! no use; a read that blocks takes a connection of its own from a pool. What must be atomic is a
//! script (`scripts`). Every operation ends within [`RedisConfig::deadline`], a read that blocks
//! within its wait and that, each page of a listing within that.

mod config;
mod failure;
mod link;
mod scripts;
mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{FromRedisValue, Pipeline, ScriptInvocation, cmd};
use tokio::try_join;

pub use self::config::{RedisConfig, UrlError};
use self::failure::Failure;
use self::link::Link;
use self::scripts::Scripts;
use crate::memory::random_name;
use crate::store::{Backend, Document, Entry, Error, Fencing, Key, Left, Put, Store};

/// Shared state in one Redis.
#[derive(Debug)]
pub struct Redis {
    prefix: String,
    link: Link,
    scripts: Scripts,
}

/// How many keys a listing looks at, or reads, in one step: some hundred microseconds of Redis.
const PAGE: usize = 1_000;

/// A document as its hash holds it: position, value.
type Fields = (Option<String>, Option<String>);

impl Redis {
    /// Connects at the first operation: a Redis that is away does not keep a service from starting.
    ///
    /// # Errors
    /// When the URL is none of Redis.
    pub fn new(config: &RedisConfig) -> Result<Self, UrlError> {
        let link = Link::new(config)?;
        Ok(Self { prefix: config.prefix.clone(), link, scripts: Scripts::new() })
    }

    fn document_key(&self, key: &Key) -> String {
        format!("{}:{key}", self.prefix)
    }

    /// A name that no document has: no part of a key is empty.
    fn other_key(&self, kind: &str, name: &Key) -> String {
        format!("{}::{kind}:{name}", self.prefix)
    }

    async fn run<T: FromRedisValue + Send>(
        &self,
        key: &str,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, Error> {
        let run = async |mut connection| Ok(script.invoke_async(&mut connection).await?);
        self.link.shared(run).await.map_err(|failure| failure.about(key))
    }
}

#[async_trait]
impl Store for Redis {
    fn backend(&self) -> Backend {
        Backend::Redis
    }

    async fn get(&self, key: &Key) -> Result<Option<Document>, Error> {
        let name = self.document_key(key);
        let mut command = cmd("HMGET");
        command.arg(&name).arg(&["p", "v"]);
        let ask = async |mut connection| Ok(command.query_async(&mut connection).await?);
        let fields: Fields = self.link.shared(ask).await.map_err(|it| it.about(&name))?;
        document(&name, fields)
    }

    async fn get_with_left(&self, key: &Key) -> Result<Option<(Document, Left)>, Error> {
        let name = self.document_key(key);
        let (mut read, mut left) = (cmd("HMGET"), cmd("PTTL"));
        read.arg(&name).arg(&["p", "v"]);
        left.arg(&name);
        let ask = async |connection: MultiplexedConnection| {
            let (mut connection, mut other) = (connection.clone(), connection);
            // Two requests in one round trip; an error keeps the code that it would lose in a
            // pipeline.
            let both = try_join!(read.query_async(&mut connection), left.query_async(&mut other));
            Ok(both?)
        };
        let (fields, left): (Fields, i64) =
            self.link.shared(ask).await.map_err(|it| it.about(&name))?;
        Ok(document(&name, fields)?.zip(self::left(left)))
    }

    async fn list(&self, prefix: &Key) -> Result<Vec<(Key, Document)>, Error> {
        let found = self.list_with_left(prefix).await?.into_iter();
        Ok(found.map(|(key, document, _)| (key, document)).collect())
    }

    async fn list_with_left(&self, prefix: &Key) -> Result<Vec<(Key, Document, Left)>, Error> {
        let below = format!("{}:{prefix}:", self.prefix);
        let ask = async |mut connection: MultiplexedConnection| {
            let mut names = BTreeSet::new();
            let mut cursor = 0u64;
            loop {
                let mut scan = cmd("SCAN");
                scan.arg(cursor).arg("MATCH").arg(format!("{}*", literal(&below)));
                scan.arg("COUNT").arg(PAGE).arg("TYPE").arg("hash");
                let page = async { Ok(scan.query_async(&mut connection).await?) };
                // There are as many pages as the keys of all who share this Redis fill.
                let page: (u64, Vec<String>) = self.link.step(page).await?;
                // A key may come twice.
                names.extend(page.1);
                cursor = page.0;
                if cursor == 0 {
                    break;
                }
            }
            let names: Vec<_> = names.into_iter().collect();
            let mut found = Vec::with_capacity(names.len());
            for names in names.chunks(PAGE) {
                let mut read = Pipeline::with_capacity(2 * names.len());
                for name in names {
                    read.cmd("HMGET").arg(name).arg(&["p", "v"]).cmd("PTTL").arg(name);
                }
                let page = async { Ok(read.query_async(&mut connection).await?) };
                let fields: Vec<(Fields, i64)> = self.link.step(page).await?;
                found.extend(names.iter().cloned().zip(fields));
            }
            Ok(found)
        };
        let found: Vec<(String, (Fields, i64))> =
            self.link.stepwise(ask).await.map_err(|failure| failure.about(&below))?;
        let mut documents = BTreeMap::new();
        for (name, (fields, left)) in found {
            // What ended between the steps is not there.
            if let Some(found) = document(&name, fields)?.zip(self::left(left)) {
                documents.insert(Key::parse(&name[self.prefix.len() + 1..]), found);
            }
        }
        let documents = documents.into_iter();
        Ok(documents.map(|(key, (document, left))| (key, document, left)).collect())
    }

    async fn put(
        &self,
        key: &Key,
        expected: Option<u64>,
        document: &Document,
        ttl: Option<Duration>,
    ) -> Result<Put, Error> {
        let name = self.document_key(key);
        let mut script = self.scripts.put.key(&name);
        script.arg(expected.map(padded).unwrap_or_default());
        script.arg(padded(document.position)).arg(&document.value);
        script.arg(ttl.map_or(0, milliseconds));
        let (stored, position, value): (bool, Option<String>, Option<String>) =
            self.run(&name, &script).await?;
        if stored {
            return Ok(Put::Stored);
        }
        self::document(&name, (position, value)).map(Put::Conflict)
    }

    async fn remove(&self, key: &Key, expected: u64) -> Result<bool, Error> {
        let name = self.document_key(key);
        let mut script = self.scripts.remove.key(&name);
        script.arg(padded(expected));
        self.run(&name, &script).await
    }

    async fn acquire(
        &self,
        name: &Key,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Fencing>, Error> {
        let lease = self.other_key("lease", name);
        let mut script = self.scripts.acquire.key(&lease);
        script.key(self.other_key("fence", name)).arg(holder).arg(milliseconds(ttl));
        let fencing: Option<u64> = self.run(&lease, &script).await?;
        Ok(fencing.map(Fencing))
    }

    async fn renew(
        &self,
        name: &Key,
        holder: &str,
        fencing: Fencing,
        ttl: Duration,
    ) -> Result<bool, Error> {
        let lease = self.other_key("lease", name);
        let mut script = self.scripts.renew.key(&lease);
        script.arg(holder).arg(fencing.0).arg(milliseconds(ttl));
        self.run(&lease, &script).await
    }

    async fn release(&self, name: &Key, holder: &str, fencing: Fencing) -> Result<bool, Error> {
        let lease = self.other_key("lease", name);
        let mut script = self.scripts.release.key(&lease);
        script.arg(holder).arg(fencing.0);
        self.run(&lease, &script).await
    }

    async fn publish(&self, stream: &Key, value: &str) -> Result<String, Error> {
        let name = self.other_key("stream", stream);
        let publish = async |connection| streams::publish(connection, &name, value).await;
        self.link.shared(publish).await.map_err(|failure| failure.about(&name))
    }

    async fn consume(
        &self,
        stream: &Key,
        group: &str,
        consumer: &str,
        patience: Duration,
        wait: Duration,
    ) -> Result<Vec<Entry>, Error> {
        let name = self.other_key("stream", stream);
        let reader = streams::Reader { stream: &name, group, consumer };
        let read = async |mut connection| reader.read(&mut connection, patience, wait).await;
        self.link.own(wait, read).await.map_err(|failure| failure.about(&name))
    }

    async fn acknowledge(&self, stream: &Key, group: &str, id: &str) -> Result<(), Error> {
        let name = self.other_key("stream", stream);
        let mut command = cmd("XACK");
        command.arg(&name).arg(group).arg(id);
        let ask = async |mut connection| Ok(command.query_async(&mut connection).await?);
        self.link.shared(ask).await.map_err(|failure| failure.about(&name))
    }

    async fn epoch(&self) -> Result<String, Error> {
        let name = format!("{}::epoch", self.prefix);
        let ask = async |mut connection| {
            // Read first: a full or read-only Redis can still say its name.
            let mut get = cmd("GET");
            get.arg(&name);
            if let Some(known) = get.query_async::<Option<String>>(&mut connection).await? {
                return Ok(known);
            }
            let mut set = cmd("SET");
            set.arg(&name).arg(random_name()).arg("NX");
            let () = set.query_async(&mut connection).await?;
            Ok::<String, Failure>(get.query_async(&mut connection).await?)
        };
        self.link.shared(ask).await.map_err(|failure| failure.about(&name))
    }
}

fn document(name: &str, fields: Fields) -> Result<Option<Document>, Error> {
    let corrupt = |problem: &str| Error::Corrupt { key: name.into(), problem: problem.into() };
    let (position, value) = match fields {
        (None, None) => return Ok(None),
        (Some(position), Some(value)) => (position, value),
        _ => return Err(corrupt("a document is a hash of the fields `p` and `v`")),
    };
    let position = position.parse().map_err(|_| corrupt("the field `p` is no position"))?;
    Ok(Some(Document { position, value }))
}

/// What `PTTL` says; `None` when the key ended.
fn left(milliseconds: i64) -> Option<Left> {
    match milliseconds {
        -1 => Some(Left::Forever),
        left => u64::try_from(left).ok().map(|left| Left::Time(Duration::from_millis(left))),
    }
}

/// Twenty digits, so that the scripts compare positions as text: a number in Lua is exact only up
/// to 2^53.
fn padded(position: u64) -> String {
    format!("{position:020}")
}

/// At least 1: Redis takes 0 for "now" or refuses it.
fn milliseconds(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 45)
}

/// The pattern that matches this text alone.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for char in text.chars() {
        if matches!(char, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern
}
