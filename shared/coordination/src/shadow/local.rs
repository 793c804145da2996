//! What this process knows: the documents that it wrote, in memory and in the journal, and for a
//! few minutes those that it read.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::MutexGuard as Quiet;

use crate::journal::{Journal, JournalError, Line};
use crate::memory::Memory;
use crate::store::{Document, Error, Key, Put, Store};

/// How long a document that another process wrote is believed: it may have an end that only the
/// primary knows.
const READ_TTL: Duration = Duration::from_secs(10 * 60);

#[derive(Debug)]
pub(super) struct Local {
    memory: Memory,
    notes: Mutex<Notes>,
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Notes {
    journal: Journal,
    epoch: Option<String>,
    /// The documents that we wrote: what the journal holds.
    own: BTreeMap<Key, Own>,
    /// What we removed while the primary was away.
    removed: BTreeMap<Key, u64>,
}

#[derive(Debug, Clone, Copy)]
struct Own {
    /// Unix milliseconds: a journal outlives our monotonic clock.
    until: Option<u64>,
    /// The primary has not seen it.
    unseen: bool,
}

/// A removal that the primary has not seen.
#[derive(Debug)]
pub(super) struct Unseen {
    pub(super) key: Key,
    pub(super) position: u64,
}

impl Local {
    pub(super) fn open(directory: &Path) -> Result<Self, JournalError> {
        let (journal, lines) = Journal::open(directory)?;
        let memory = Memory::new();
        let mut notes =
            Notes { journal, epoch: None, own: BTreeMap::new(), removed: BTreeMap::new() };
        let now = unix_ms();
        for line in lines {
            match line {
                Line::Epoch(epoch) => notes.epoch = Some(epoch),
                Line::Kept { key, position, value, until, unseen } => {
                    let key = Key::parse(&key);
                    let left = until.map(|until| until.saturating_sub(now));
                    notes.removed.remove(&key);
                    notes.own.insert(key.clone(), Own { until, unseen });
                    let ttl = left.map(Duration::from_millis);
                    memory.install(&key, Document { position, value }, ttl);
                }
                Line::Gone { key, unseen } => {
                    let key = Key::parse(&key);
                    memory.uninstall(&key);
                    notes.own.remove(&key);
                    notes.removed.extend(unseen.map(|position| (key, position)));
                }
            }
        }
        Ok(Self { memory, notes: Mutex::new(notes), writing: tokio::sync::Mutex::default() })
    }

    /// While this is held no document changes locally.
    pub(super) async fn writing(&self) -> Quiet<'_, ()> {
        self.writing.lock().await
    }

    pub(super) fn epoch(&self) -> Option<String> {
        self.notes().epoch.clone()
    }

    pub(super) async fn get(&self, key: &Key) -> Result<Option<Document>, Error> {
        self.memory.get(key).await
    }

    pub(super) async fn list(&self, prefix: &Key) -> Result<Vec<(Key, Document)>, Error> {
        self.memory.list(prefix).await
    }

    /// Writes while the primary is away.
    pub(super) async fn put(
        &self,
        key: &Key,
        expected: Option<u64>,
        document: &Document,
        ttl: Option<Duration>,
    ) -> Result<Put, Error> {
        let put = self.memory.put(key, expected, document, ttl).await?;
        if put == Put::Stored {
            self.notes().keep(key, document, Own { until: ttl.map(end), unseen: true });
            self.shorten();
        }
        Ok(put)
    }

    /// Removes while the primary is away.
    pub(super) async fn remove(&self, key: &Key, expected: u64) -> Result<bool, Error> {
        let gone = self.memory.remove(key, expected).await?;
        if gone {
            self.notes().forget(key, Some(expected));
        }
        Ok(gone)
    }

    /// Mirrors what we wrote to the primary.
    pub(super) fn write(&self, key: &Key, document: &Document, ttl: Option<Duration>) {
        self.memory.install(key, document.clone(), ttl);
        self.notes().keep(key, document, Own { until: ttl.map(end), unseen: false });
        self.shorten();
    }

    /// Mirrors what the primary has.
    pub(super) fn read(&self, key: &Key, found: Option<&Document>) {
        let mut notes = self.notes();
        let own = notes.own.get(key).copied();
        match (found, own) {
            (None, own) => {
                self.memory.uninstall(key);
                if own.is_some() {
                    notes.forget(key, None);
                }
            }
            // As we wrote it.
            (Some(document), Some(_)) if self.memory.holds(key, document) => {}
            // Another wrote into a document of ours: it ends when ours did.
            (Some(document), Some(own)) => {
                let left = own.until.map(|until| until.saturating_sub(unix_ms()));
                self.memory.install(key, document.clone(), left.map(Duration::from_millis));
                notes.keep(key, document, Own { unseen: false, ..own });
            }
            (Some(document), None) => self.memory.install(key, document.clone(), Some(READ_TTL)),
        }
    }

    /// Mirrors a listing: what is not in it is gone.
    pub(super) async fn read_all(
        &self,
        prefix: &Key,
        found: &[(Key, Document)],
    ) -> Result<(), Error> {
        for (key, _) in self.memory.list(prefix).await? {
            if found.binary_search_by(|(known, _)| known.cmp(&key)).is_err() {
                self.read(&key, None);
            }
        }
        for (key, document) in found {
            self.read(key, Some(document));
        }
        Ok(())
    }

    /// Our documents, with the time that they have left and whether the primary has not seen them.
    pub(super) fn own_documents(&self) -> Vec<(Key, Document, Option<Duration>, bool)> {
        let notes = self.notes();
        let contents = self.memory.contents().into_iter();
        contents
            .filter_map(|(key, document, ttl)| {
                let own = notes.own.get(&key)?;
                Some((key, document, ttl, own.unseen))
            })
            .collect()
    }

    pub(super) fn unseen_removals(&self) -> Vec<Unseen> {
        let removed = self.notes().removed.clone().into_iter();
        removed.map(|(key, position)| Unseen { key, position }).collect()
    }

    /// The primary with this name has seen everything.
    pub(super) fn seen_by(&self, epoch: &str) {
        let mut notes = self.notes();
        notes.epoch = Some(epoch.to_owned());
        notes.removed.clear();
        notes.own.values_mut().for_each(|own| own.unseen = false);
        notes.rewrite(&self.memory);
    }

    fn shorten(&self) {
        let mut notes = self.notes();
        if notes.journal.is_long_for(notes.own.len()) {
            notes.rewrite(&self.memory);
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        // Nothing below panics half-way through a change.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    fn keep(&mut self, key: &Key, document: &Document, own: Own) {
        self.own.insert(key.clone(), own);
        self.removed.remove(key);
        let line = kept(key, document, own);
        said(self.journal.append(&line));
    }

    fn forget(&mut self, key: &Key, unseen: Option<u64>) {
        self.own.remove(key);
        self.removed.extend(unseen.map(|position| (key.clone(), position)));
        said(self.journal.append(&Line::Gone { key: key.to_string(), unseen }));
    }

    fn rewrite(&mut self, memory: &Memory) {
        let mut lines: Vec<_> = self.epoch.iter().cloned().map(Line::Epoch).collect();
        let contents = memory.contents();
        // What ended is no longer ours to say.
        self.own.retain(|key, _| contents.binary_search_by(|(known, ..)| known.cmp(key)).is_ok());
        for (key, document, _) in &contents {
            lines.extend(self.own.get(key).map(|own| kept(key, document, *own)));
        }
        for (key, position) in &self.removed {
            lines.push(Line::Gone { key: key.to_string(), unseen: Some(*position) });
        }
        said(self.journal.rewrite(&lines));
    }
}

fn kept(key: &Key, document: &Document, own: Own) -> Line {
    let Document { position, value } = document.clone();
    Line::Kept { key: key.to_string(), position, value, until: own.until, unseen: own.unseen }
}

/// A full disk must not end the monitoring: what is in memory goes on.
fn said(written: io::Result<()>) {
    if let Err(error) = written {
        tracing::error!(%error, "the coordination journal cannot be written");
    }
}

fn end(ttl: Duration) -> u64 {
    unix_ms().saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX))
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
