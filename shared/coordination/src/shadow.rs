//! The monitor's store: it goes on while Redis is away, from what it knows itself.
//!
//! Documents are written to the primary and mirrored into memory and a journal. While the primary
//! cannot be used they are read and written locally. When it is back, of each document the greater
//! position wins; when it came back as another set of data, it is seeded from here. A primary that
//! was emptied breaks no connection, so it is also asked for its name while it is in use: now and
//! then, and before a document of ours is believed to be gone. Leases and streams are the primary's
//! alone: without it nobody can promise that nobody else acts.
//!
//! Who must not act without the primary opens it strictly: then nothing is done locally, and while
//! the primary is away each operation on a document says so. Journal and seeding are the same.
//!
//! Over [`crate::Memory`] the same gives one process a state that outlives it: each start is
//! another, empty set of data.

mod local;

use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::time::Instant;

use self::local::{Local, Unseen};
pub use crate::journal::JournalError;
use crate::store::{Backend, Document, Entry, Error, Fencing, Key, Left, Put, Store};

/// How often a primary that is away is asked again, by whatever operation comes along.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// How often a primary in use is asked whether it still has the same set of data.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// Rounds of "the primary is back, no, it is away" within one operation.
const ROUNDS: usize = 3;

/// An operation on a document: by the primary, or else locally. A macro, for a function over async
/// closures would give a future of which the compiler cannot see that it is `Send`. The primary's
/// side gives `None` when its answer was that of another set of data.
macro_rules! either {
    ($self:ident, $by_primary:expr, $locally:expr) => {{
        for _ in 0..ROUNDS {
            if $self.may_ask().await {
                match $self.noted($by_primary.await) {
                    Err(error) if error.is_transient() && !$self.strict => {}
                    // It is seeded first.
                    Ok(None) => continue,
                    Ok(Some(result)) => return Ok(result),
                    Err(error) => return Err(error),
                }
            }
            if $self.strict && !$self.is_up() {
                return Err(Error::Unavailable("it is away, and asked again soon".to_owned()));
            }
            if let Some(_quiet) = $self.locally().await {
                return $locally.await;
            }
        }
        Err(Error::Unavailable("it comes and goes".to_owned()))
    }};
}

/// A primary with a local shadow. All operations of a process go through it, or it would not
/// notice that the primary was away.
#[derive(Debug)]
pub struct Shadow {
    primary: Arc<dyn Store>,
    local: Local,
    up: watch::Sender<bool>,
    /// Nothing is done locally.
    strict: bool,
    /// When the primary was last found with another set of data.
    seeded_at: watch::Sender<Option<Instant>>,
    /// When to ask a primary that is away; whoever holds the lock is asking.
    ask_at: Mutex<Option<Instant>>,
    /// When to ask a primary in use for its name.
    look_at: std::sync::Mutex<Instant>,
}

impl Shadow {
    /// Loads the journal of the state directory. The primary is asked by the first operation.
    ///
    /// # Errors
    /// When the directory cannot be used, or another process does.
    pub fn open(primary: Arc<dyn Store>, directory: &Path) -> Result<Self, JournalError> {
        let local = Local::open(directory)?;
        Ok(Self {
            primary,
            local,
            up: watch::Sender::new(false),
            strict: false,
            seeded_at: watch::Sender::new(None),
            ask_at: Mutex::default(),
            look_at: Instant::now().into(),
        })
    }

    /// The same for who must not act without the primary: while it cannot be used, operations on
    /// documents are [`Error::Unavailable`]. And what it says is not believed when it became another
    /// set of data meanwhile, at the cost of a second question for each reading.
    ///
    /// # Errors
    /// When the directory cannot be used, or another process does.
    pub fn open_strict(primary: Arc<dyn Store>, directory: &Path) -> Result<Self, JournalError> {
        Ok(Self { strict: true, ..Self::open(primary, directory)? })
    }

    /// Whether the primary is in use, now and from now on.
    #[must_use]
    pub fn up(&self) -> watch::Receiver<bool> {
        self.up.subscribe()
    }

    /// When the primary was last found to be another set of data than the one that was known, also
    /// by an earlier process with the same journal; of [`crate::Memory`] each start counts. What
    /// other processes had written there, such as leases, is gone: who acts holds off until it would
    /// have ended. `None` while that did not happen in this process.
    ///
    /// It is set before a reading sees the new set of data; leases and streams do not look.
    #[must_use]
    pub fn seeded_at(&self) -> watch::Receiver<Option<Instant>> {
        self.seeded_at.subscribe()
    }

    /// Asks a primary that is away, and brings both sides together when it is back. Operations do
    /// this by themselves at most every two seconds.
    ///
    /// # Errors
    /// When it is still away.
    pub async fn recover(&self) -> Result<(), Error> {
        let mut ask_at = self.ask_at.lock().await;
        if self.is_up() {
            return Ok(());
        }
        let result = self.bring_together().await;
        *ask_at = result.is_err().then(|| Instant::now() + ASK_AGAIN);
        result
    }

    fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    /// Whether to use the primary for this operation.
    async fn may_ask(&self) -> bool {
        if self.is_up() {
            if !self.look_is_due() {
                return true;
            }
            match self.is_as_known().await {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) => return !error.is_transient(),
            }
        }
        let is_due = |ask_at: Option<Instant>| ask_at.is_none_or(|at| Instant::now() >= at);
        let due = if self.strict {
            // While another operation is asking, this one waits for the answer.
            is_due(*self.ask_at.lock().await)
        } else {
            // This one goes on locally.
            self.ask_at.try_lock().is_ok_and(|ask_at| is_due(*ask_at))
        };
        due && self.recover().await.is_ok()
    }

    /// Whether this operation is the one that looks.
    fn look_is_due(&self) -> bool {
        let (now, mut look_at) = (Instant::now(), self.look_at());
        let due = now >= *look_at;
        if due {
            *look_at = now + LOOK_AGAIN;
        }
        due
    }

    fn look_at(&self) -> std::sync::MutexGuard<'_, Instant> {
        // One assignment cannot be half done.
        self.look_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the primary still has the set of data that we know. One with another is not used
    /// until it is seeded.
    async fn is_as_known(&self) -> Result<bool, Error> {
        let epoch = self.noted(self.primary.epoch().await)?;
        let same = self.local.epoch().is_some_and(|known| known == epoch);
        if !same && self.up.send_if_modified(std::mem::take) {
            tracing::warn!("coordination finds its store with another set of data");
        }
        Ok(same)
    }

    /// Whether an answer of the primary can be believed, of which `doubted` says that it lacks
    /// something of ours. Who is strict believes none without asking: what others wrote may lack as
    /// well, and that cannot be seen.
    async fn is_believed(&self, doubted: bool) -> Result<bool, Error> {
        Ok(!(doubted || self.strict) || self.is_as_known().await?)
    }

    /// Passes a result on, and takes note when the primary cannot be used.
    fn noted<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result
            && error.is_transient()
            && self.up.send_if_modified(std::mem::take)
        {
            tracing::warn!(%error, "coordination goes on locally");
        }
        result
    }

    /// The permission to work locally, unless the primary came back. Not while both sides are being
    /// brought together: what is written then would be forgotten.
    async fn locally(&self) -> Option<MutexGuard<'_, ()>> {
        let quiet = self.local.writing().await;
        (!self.is_up()).then_some(quiet)
    }

    async fn bring_together(&self) -> Result<(), Error> {
        let epoch = self.primary.epoch().await?;
        // Empty, or the first that we see: what we know is all there is.
        let seed = self.local.epoch().is_none_or(|known| known != epoch);
        let other = self.local.epoch().is_some_and(|known| known != epoch);
        if other || self.primary.backend() == Backend::Memory {
            self.seeded_at.send_replace(Some(Instant::now()));
        }
        let _quiet = self.local.writing().await;
        for (key, document, ttl, unseen) in self.local.own_documents() {
            match self.bring(&key, document, ttl, seed || unseen).await {
                // It must not keep all the others away.
                Err(error @ Error::Corrupt { .. }) => {
                    tracing::warn!(%error, "a document is left as it is");
                }
                result => result?,
            }
        }
        for Unseen { key, position } in self.local.unseen_removals() {
            self.primary.remove(&key, position).await?;
        }
        self.local.seen_by(&epoch);
        *self.look_at() = Instant::now() + LOOK_AGAIN;
        self.up.send_replace(true);
        tracing::info!(seeded = seed, "coordination uses its store");
        Ok(())
    }

    async fn bring(
        &self,
        key: &Key,
        ours: Document,
        ttl: Option<Duration>,
        new: bool,
    ) -> Result<(), Error> {
        let mut theirs = self.primary.get_with_left(key).await?;
        loop {
            match theirs {
                Some((theirs, left)) if theirs.position >= ours.position => {
                    self.local.read(key, Some((&theirs, left)), Some(ours.position));
                    return Ok(());
                }
                // They had it and it ended there.
                None if !new => {
                    self.local.read(key, None, Some(ours.position));
                    return Ok(());
                }
                _ => {}
            }
            let expected = theirs.as_ref().map(|(theirs, _)| theirs.position);
            match self.primary.put(key, expected, &ours, ttl).await? {
                Put::Stored => return Ok(()),
                Put::Conflict(other) => theirs = other.map(|other| (other, Left::Unknown)),
            }
        }
    }
}

#[async_trait]
impl Store for Shadow {
    fn backend(&self) -> Backend {
        self.primary.backend()
    }

    async fn get(&self, key: &Key) -> Result<Option<Document>, Error> {
        let by_primary = || async {
            let before = self.local.position(key);
            let found = self.primary.get_with_left(key).await?;
            let seen = found.as_ref().map(|(document, left)| (document, *left));
            let doubted = self.local.has_more(key, seen.map(|seen| seen.0));
            if !self.is_believed(doubted).await? {
                return Ok(None);
            }
            self.local.read(key, seen, before);
            Ok(Some(found.map(|found| found.0)))
        };
        either!(self, by_primary(), self.local.get(key))
    }

    async fn list(&self, prefix: &Key) -> Result<Vec<(Key, Document)>, Error> {
        let by_primary = || async {
            let before = self.local.positions(prefix).await?;
            let found = self.primary.list_with_left(prefix).await?;
            let doubted = self.local.has_more_below(prefix, &found).await?;
            if !self.is_believed(doubted).await? {
                return Ok(None);
            }
            self.local.read_all(prefix, &found, &before).await?;
            Ok(Some(found.into_iter().map(|(key, document, _)| (key, document)).collect()))
        };
        either!(self, by_primary(), self.local.list(prefix))
    }

    async fn put(
        &self,
        key: &Key,
        expected: Option<u64>,
        document: &Document,
        ttl: Option<Duration>,
    ) -> Result<Put, Error> {
        let by_primary = || async {
            let before = self.local.position(key);
            let put = self.primary.put(key, expected, document, ttl).await?;
            match &put {
                Put::Stored => self.local.write(key, document, ttl, before),
                Put::Conflict(other) => {
                    let doubted = self.local.has_more(key, other.as_ref());
                    if !self.is_believed(doubted).await? {
                        return Ok(None);
                    }
                    let other = other.as_ref().map(|other| (other, Left::Unknown));
                    self.local.read(key, other, before);
                }
            }
            Ok(Some(put))
        };
        either!(self, by_primary(), self.local.put(key, expected, document, ttl))
    }

    async fn remove(&self, key: &Key, expected: u64) -> Result<bool, Error> {
        let by_primary = || async {
            let gone = self.primary.remove(key, expected).await?;
            if gone {
                self.local.removed(key, expected);
            }
            Ok(Some(gone))
        };
        either!(self, by_primary(), self.local.remove(key, expected))
    }

    async fn acquire(
        &self,
        name: &Key,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Fencing>, Error> {
        self.noted(self.primary.acquire(name, holder, ttl).await)
    }

    async fn renew(
        &self,
        name: &Key,
        holder: &str,
        fencing: Fencing,
        ttl: Duration,
    ) -> Result<bool, Error> {
        self.noted(self.primary.renew(name, holder, fencing, ttl).await)
    }

    async fn release(&self, name: &Key, holder: &str, fencing: Fencing) -> Result<bool, Error> {
        self.noted(self.primary.release(name, holder, fencing).await)
    }

    async fn publish(&self, stream: &Key, value: &str) -> Result<String, Error> {
        self.noted(self.primary.publish(stream, value).await)
    }

    async fn consume(
        &self,
        stream: &Key,
        group: &str,
        consumer: &str,
        patience: Duration,
        wait: Duration,
    ) -> Result<Vec<Entry>, Error> {
        self.noted(self.primary.consume(stream, group, consumer, patience, wait).await)
    }

    async fn acknowledge(&self, stream: &Key, group: &str, id: &str) -> Result<(), Error> {
        self.noted(self.primary.acknowledge(stream, group, id).await)
    }

    async fn epoch(&self) -> Result<String, Error> {
        self.noted(self.primary.epoch().await)
    }
}
