//! The backend for one process: shipped, not a mock. It has the meaning of [`Store`] without a
//! server, and forgets everything with the process; [`crate::shadow`] gives it a journal.

mod stream;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use self::stream::Stream;
use crate::store::{Backend, Document, Entry, Error, Fencing, Key, Put, Store};

/// Shared state of one process.
#[derive(Debug)]
pub struct Memory {
    epoch: String,
    state: Mutex<State>,
    /// Wakes those who wait for an entry of any stream.
    published: Notify,
}

#[derive(Debug, Default)]
struct State {
    documents: BTreeMap<Key, Kept>,
    leases: BTreeMap<Key, Held>,
    fences: BTreeMap<Key, u64>,
    streams: BTreeMap<Key, Stream>,
}

#[derive(Debug)]
struct Kept {
    document: Document,
    until: Option<Instant>,
}

#[derive(Debug)]
struct Held {
    holder: String,
    fencing: Fencing,
    until: Instant,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// Empty, with a name of its own.
    #[must_use]
    pub fn new() -> Self {
        Self { epoch: random_name(), state: Mutex::default(), published: Notify::new() }
    }

    /// Writes without asking for the position: what another backend already decided.
    pub(crate) fn install(&self, key: &Key, document: Document, ttl: Option<Duration>) {
        let until = ttl.map(|ttl| Instant::now() + ttl);
        self.lock().documents.insert(key.clone(), Kept { document, until });
    }

    /// Removes without asking for the position.
    pub(crate) fn uninstall(&self, key: &Key) {
        self.lock().documents.remove(key);
    }

    /// The document, without waiting.
    pub(crate) fn contents_of(&self, key: &Key) -> Option<Document> {
        self.lock().document(key, Instant::now())
    }

    /// Everything that has not ended, with the time that it has left.
    pub(crate) fn contents(&self) -> Vec<(Key, Document, Option<Duration>)> {
        let now = Instant::now();
        let mut state = self.lock();
        state.forget_documents(now);
        let left = |kept: &Kept| kept.until.map(|until| until.duration_since(now));
        let documents = state.documents.iter();
        documents.map(|(key, kept)| (key.clone(), kept.document.clone(), left(kept))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing below panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 128 random bits: the name of a set of data, or of a process that holds leases.
pub(crate) fn random_name() -> String {
    format!("{:032x}", fastrand::u128(..))
}

#[async_trait]
impl Store for Memory {
    fn backend(&self) -> Backend {
        Backend::Memory
    }

    async fn get(&self, key: &Key) -> Result<Option<Document>, Error> {
        Ok(self.lock().document(key, Instant::now()))
    }

    async fn list(&self, prefix: &Key) -> Result<Vec<(Key, Document)>, Error> {
        let now = Instant::now();
        let (mut present, mut over) = (Vec::new(), Vec::new());
        let mut state = self.lock();
        // They stand together; the others may be thousands.
        let from_there = state.documents.range(prefix.first_below()..);
        for (key, kept) in from_there.take_while(|(key, _)| key.is_below(prefix)) {
            if kept.is_over(now) {
                over.push(key.clone());
            } else {
                present.push((key.clone(), kept.document.clone()));
            }
        }
        for key in over {
            state.documents.remove(&key);
        }
        Ok(present)
    }

    async fn put(
        &self,
        key: &Key,
        expected: Option<u64>,
        document: &Document,
        ttl: Option<Duration>,
    ) -> Result<Put, Error> {
        let now = Instant::now();
        let mut state = self.lock();
        let stored = state.document(key, now);
        let position = stored.as_ref().map(|stored| stored.position);
        if position != expected || position.is_some_and(|old| document.position <= old) {
            return Ok(Put::Conflict(stored));
        }
        let kept = Kept { document: document.clone(), until: ttl.map(|ttl| now + ttl) };
        state.documents.insert(key.clone(), kept);
        Ok(Put::Stored)
    }

    async fn remove(&self, key: &Key, expected: u64) -> Result<bool, Error> {
        let mut state = self.lock();
        match state.document(key, Instant::now()) {
            Some(stored) if stored.position != expected => Ok(false),
            _ => {
                state.documents.remove(key);
                Ok(true)
            }
        }
    }

    async fn acquire(
        &self,
        name: &Key,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Fencing>, Error> {
        let now = Instant::now();
        let mut state = self.lock();
        let fencing = match state.lease(name, now) {
            Some(held) if held.holder == holder => held.fencing,
            Some(_) => return Ok(None),
            None => {
                let last = state.fences.entry(name.clone()).or_default();
                *last += 1;
                Fencing(*last)
            }
        };
        let held = Held { holder: holder.to_owned(), fencing, until: now + ttl };
        state.leases.insert(name.clone(), held);
        Ok(Some(fencing))
    }

    async fn renew(
        &self,
        name: &Key,
        holder: &str,
        fencing: Fencing,
        ttl: Duration,
    ) -> Result<bool, Error> {
        let now = Instant::now();
        let mut state = self.lock();
        let Some(held) = state.lease(name, now) else { return Ok(false) };
        let ours = held.holder == holder && held.fencing == fencing;
        if ours {
            held.until = now + ttl;
        }
        Ok(ours)
    }

    async fn release(&self, name: &Key, holder: &str, fencing: Fencing) -> Result<bool, Error> {
        let mut state = self.lock();
        let held = state.lease(name, Instant::now());
        let ours = held.is_some_and(|held| held.holder == holder && held.fencing == fencing);
        if ours {
            state.leases.remove(name);
        }
        Ok(ours)
    }

    async fn publish(&self, stream: &Key, value: &str) -> Result<String, Error> {
        let id = self.lock().streams.entry(stream.clone()).or_default().push(value);
        self.published.notify_waiters();
        Ok(id)
    }

    async fn consume(
        &self,
        stream: &Key,
        group: &str,
        _consumer: &str,
        patience: Duration,
        wait: Duration,
    ) -> Result<Vec<Entry>, Error> {
        let deadline = Instant::now() + wait;
        let claimed = {
            let mut state = self.lock();
            let stream = state.streams.entry(stream.clone()).or_default();
            stream.claim(group, patience, Instant::now())
        };
        if !claimed.is_empty() {
            return Ok(claimed);
        }
        loop {
            // Registered before looking, so that an entry in between wakes us.
            let mut published = std::pin::pin!(self.published.notified());
            published.as_mut().enable();
            let new = {
                let mut state = self.lock();
                let stream = state.streams.entry(stream.clone()).or_default();
                stream.deliver(group, Instant::now())
            };
            if !new.is_empty() || timeout_at(deadline, published).await.is_err() {
                return Ok(new);
            }
        }
    }

    async fn acknowledge(&self, stream: &Key, group: &str, id: &str) -> Result<(), Error> {
        if let Some(stream) = self.lock().streams.get_mut(stream) {
            stream.acknowledge(group, id);
        }
        Ok(())
    }

    async fn epoch(&self) -> Result<String, Error> {
        Ok(self.epoch.clone())
    }
}

impl Kept {
    fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl State {
    fn document(&mut self, key: &Key, now: Instant) -> Option<Document> {
        if self.documents.get(key).is_some_and(|kept| kept.is_over(now)) {
            self.documents.remove(key);
        }
        self.documents.get(key).map(|kept| kept.document.clone())
    }

    fn forget_documents(&mut self, now: Instant) {
        self.documents.retain(|_, kept| !kept.is_over(now));
    }

    fn lease(&mut self, name: &Key, now: Instant) -> Option<&mut Held> {
        if self.leases.get(name).is_some_and(|held| held.until <= now) {
            self.leases.remove(name);
        }
        self.leases.get_mut(name)
    }
}
