//! The one trait that both backends implement, and what each of its operations promises.
//!
//! A command that timed out at the client may still have been applied. Every operation is therefore
//! one that can be repeated: a document carries the position that its writer chose, a lease
//! names its holder, an entry of a stream carries the key that its reader recognises.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

/// How many entries a stream keeps at least, and how many one read gives at most.
pub(crate) const STREAM_ENTRIES: usize = 10_000;
pub(crate) const STREAM_READ: usize = 64;

/// Where shared state lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Memory,
    Redis,
}

/// The name of a document, a lease or a stream: parts joined by `:`, for instance `streak:api`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

/// A value with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Chosen by the writer; grows with every change. For a streak it is the slot of the check.
    pub position: u64,
    /// JSON.
    pub value: String,
}

/// How long a document will be there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    Time(Duration),
    /// Until it is removed.
    Forever,
    /// The store does not say.
    Unknown,
}

/// What became of a [`Store::put`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    Stored,
    /// The document had another position than the writer expected; this is what it is now.
    Conflict(Option<Document>),
}

/// A number that grows with each grant of a lease. Who sees a greater one must not follow a
/// lesser one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fencing(pub u64);

/// One entry that a consumer was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The backend's name for the entry, to acknowledge it with.
    pub id: String,
    /// JSON.
    pub value: String,
    /// How often it was delivered, this time included: more than 1 after a crashed consumer.
    pub deliveries: u64,
}

/// Shared state. Object-safe, so that a service holds an `Arc<dyn Store>`.
///
/// All operations end within the backend's timeouts.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    fn backend(&self) -> Backend;

    /// The document, or `None` when there is none or its time is over.
    ///
    /// # Errors
    /// When the backend cannot be asked.
    async fn get(&self, key: &Key) -> Result<Option<Document>, Error>;

    /// Every document whose key begins with `prefix` and a `:`, in the order of the keys.
    ///
    /// # Errors
    /// When the backend cannot be asked.
    async fn list(&self, prefix: &Key) -> Result<Vec<(Key, Document)>, Error>;

    /// As [`Store::get`], with the time that the document has left, for whoever keeps a copy.
    ///
    /// # Errors
    /// When the backend cannot be asked.
    async fn get_with_left(&self, key: &Key) -> Result<Option<(Document, Left)>, Error> {
        Ok(self.get(key).await?.map(|document| (document, Left::Unknown)))
    }

    /// As [`Store::list`], with the time that each document has left.
    ///
    /// # Errors
    /// When the backend cannot be asked.
    async fn list_with_left(&self, prefix: &Key) -> Result<Vec<(Key, Document, Left)>, Error> {
        let found = self.list(prefix).await?.into_iter();
        Ok(found.map(|(key, document)| (key, document, Left::Unknown)).collect())
    }

    /// Writes `document` when the stored position is `expected` (`None`: there is none) and the new
    /// one is greater. Repeating it after a lost reply gives [`Put::Conflict`] with the
    /// document as written, which the caller recognises.
    ///
    /// With `ttl` the document ends by itself.
    ///
    /// # Errors
    /// When the backend cannot be asked, or whether it was applied is unknown.
    async fn put(
        &self,
        key: &Key,
        expected: Option<u64>,
        document: &Document,
        ttl: Option<Duration>,
    ) -> Result<Put, Error>;

    /// Removes the document when its position is `expected`; says whether there is none now, so
    /// that a repeated call gives the same answer.
    ///
    /// # Errors
    /// When the backend cannot be asked.
    async fn remove(&self, key: &Key, expected: u64) -> Result<bool, Error>;

    /// Grants the lease `name` to `holder` for `ttl` from now, unless another holds it. The holder
    /// asks again and gets the same number: that is how a call without an answer is resolved. A
    /// holder's name belongs to one process: it must not survive a restart.
    ///
    /// # Errors
    /// When the backend cannot be asked, or whether it was granted is unknown.
    async fn acquire(
        &self,
        name: &Key,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Fencing>, Error>;

    /// Lengthens the lease to `ttl` from now; false when `holder` no longer has it with this
    /// number.
    ///
    /// # Errors
    /// When the backend cannot be asked.
    async fn renew(
        &self,
        name: &Key,
        holder: &str,
        fencing: Fencing,
        ttl: Duration,
    ) -> Result<bool, Error>;

    /// Gives the lease back; false when `holder` no longer had it with this number.
    ///
    /// # Errors
    /// When the backend cannot be asked.
    async fn release(&self, name: &Key, holder: &str, fencing: Fencing) -> Result<bool, Error>;

    /// Adds an entry to a stream and says its id. A repeated call may add it twice: entries carry
    /// a key of their own.
    ///
    /// # Errors
    /// When the backend cannot be asked, or whether it was added is unknown.
    async fn publish(&self, stream: &Key, value: &str) -> Result<String, Error>;

    /// Entries for `consumer` of `group`: first those that a consumer (also this one) got and did
    /// not acknowledge within `patience`, otherwise new ones; waits up to `wait` for the first new
    /// one. A new group begins with the oldest entry. A stream keeps its last 10,000 entries or
    /// somewhat more.
    ///
    /// # Errors
    /// When the backend cannot be asked.
    async fn consume(
        &self,
        stream: &Key,
        group: &str,
        consumer: &str,
        patience: Duration,
        wait: Duration,
    ) -> Result<Vec<Entry>, Error>;

    /// Takes an entry off the group's list of what is being worked on.
    ///
    /// # Errors
    /// When the backend cannot be asked.
    async fn acknowledge(&self, stream: &Key, group: &str, id: &str) -> Result<(), Error>;

    /// The random name of this set of data: another one says that the backend came back empty.
    /// The first who asks an empty backend gives it its name.
    ///
    /// # Errors
    /// When the backend cannot be asked.
    async fn epoch(&self) -> Result<String, Error>;
}

/// Why an operation has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The backend is away, frozen, read-only, full or busy. It may be back in a moment, and the
    /// operation may have been applied.
    #[error("the coordination store cannot be used: {0}")]
    Unavailable(String),
    /// What is stored cannot be read; somebody else writes under our prefix.
    #[error("`{key}` in the coordination store cannot be read: {problem}")]
    Corrupt { key: String, problem: String },
}

impl Error {
    /// Whether the same operation may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl Backend {
    /// The value of the label `backend`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis => "redis",
        }
    }
}

impl Key {
    /// A key of one or more parts. A `:` in a part would change the meaning and is replaced
    /// by `_`, as is whatever is not printable ASCII, and a part that is empty.
    #[must_use]
    pub fn new(parts: &[&str]) -> Self {
        let clean = |part: &&str| -> String {
            let part = if part.is_empty() { "_" } else { part };
            part.chars().map(|c| if c.is_ascii_graphic() && c != ':' { c } else { '_' }).collect()
        };
        Self(parts.iter().map(clean).collect::<Vec<_>>().join(":"))
    }

    /// The parts, joined by `:`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the last `:`.
    #[must_use]
    pub fn last_part(&self) -> &str {
        self.0.rsplit(':').next().unwrap_or(&self.0)
    }

    /// Reads back what [`Key::as_str`] gave.
    pub(crate) fn parse(text: &str) -> Self {
        Self::new(&text.split(':').collect::<Vec<_>>())
    }

    /// Not after any of the keys below this one.
    pub(crate) fn first_below(&self) -> Self {
        Self(format!("{}:", self.0))
    }

    /// Whether this is one of the keys below `prefix`.
    pub(crate) fn is_below(&self, prefix: &Self) -> bool {
        self.0.strip_prefix(&prefix.0).is_some_and(|rest| rest.starts_with(':'))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
