//! What this process knows: the documents that it wrote, in memory and in the journal, and those
//! that it read, for as long as the primary would have them.
//!
//! Operations overlap, so an answer of the primary may be older than what is known when it is
//! mirrored. Whoever asks takes the positions along that were known before: what was written since
//! is newer than the answer.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::MutexGuard as Quiet;

use crate::journal::{Journal, JournalError, Line};
use crate::memory::Memory;
use crate::store::{Document, Error, Key, Left, Put, Store};

/// How long a document that another process wrote is believed when its end is not known, as after a
/// write that met another's.
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

    /// Whether the primary has no such document although we wrote one, or has it at a lesser
    /// position: an empty Redis answers so as well, and mirroring it would empty the journal.
    pub(super) fn has_more(&self, key: &Key, found: Option<&Document>) -> bool {
        let ours = self.notes().own.contains_key(key);
        let known = if ours { self.memory.contents_of(key) } else { None };
        known.map(|known| known.position) > found.map(|found| found.position)
    }

    /// The same about a listing.
    pub(super) async fn has_more_below(
        &self,
        prefix: &Key,
        found: &[(Key, Document, Left)],
    ) -> Result<bool, Error> {
        let known = self.memory.list(prefix).await?;
        Ok(known.iter().any(|(key, _)| self.has_more(key, in_listing(found, key))))
    }

    /// The position that is known now.
    pub(super) fn position(&self, key: &Key) -> Option<u64> {
        self.memory.contents_of(key).map(|known| known.position)
    }

    /// The positions that are known now below `prefix`.
    pub(super) async fn positions(&self, prefix: &Key) -> Result<BTreeMap<Key, u64>, Error> {
        let known = self.memory.list(prefix).await?.into_iter();
        Ok(known.map(|(key, document)| (key, document.position)).collect())
    }

    /// Mirrors what we wrote to the primary.
    pub(super) fn write(
        &self,
        key: &Key,
        document: &Document,
        ttl: Option<Duration>,
        before: Option<u64>,
    ) {
        let mut notes = self.notes();
        // Another write went further, and was mirrored first.
        let newer = self
            .memory
            .contents_of(key)
            .filter(|known| known.position > document.position && Some(known.position) != before);
        let document = newer.as_ref().unwrap_or(document);
        self.memory.install(key, document.clone(), ttl);
        notes.keep(key, document, Own { until: ttl.map(end), unseen: false });
        drop(notes);
        self.shorten();
    }

    /// Mirrors what the primary has.
    pub(super) fn read(&self, key: &Key, found: Option<(&Document, Left)>, before: Option<u64>) {
        let mut notes = self.notes();
        let known = self.memory.contents_of(key);
        let position = known.as_ref().map(|known| known.position);
        let theirs = found.map(|(found, _)| found.position);
        let further = position.is_some() && theirs > position;
        let back = theirs.is_some() && theirs < position;
        if back || (position != before && !further) {
            return;
        }
        let own = notes.own.get(key).copied();
        match (found, own) {
            (None, own) => {
                self.memory.uninstall(key);
                if own.is_some() {
                    notes.forget(key, None);
                }
            }
            // As we know it: it ends when ours did.
            (Some((document, _)), Some(_)) if known.as_ref() == Some(document) => {}
            (Some((document, left)), Some(own)) => {
                let until = match left {
                    Left::Time(left) => Some(end(left)),
                    Left::Forever => None,
                    Left::Unknown => own.until,
                };
                let left = until.map(|until| until.saturating_sub(unix_ms()));
                self.memory.install(key, document.clone(), left.map(Duration::from_millis));
                notes.keep(key, document, Own { unseen: false, until });
            }
            (Some((document, left)), None) => {
                let ttl = match left {
                    Left::Time(left) => Some(left),
                    Left::Forever => None,
                    Left::Unknown => Some(READ_TTL),
                };
                self.memory.install(key, document.clone(), ttl);
            }
        }
    }

    /// Mirrors a listing: what is not in it is gone.
    pub(super) async fn read_all(
        &self,
        prefix: &Key,
        found: &[(Key, Document, Left)],
        before: &BTreeMap<Key, u64>,
    ) -> Result<(), Error> {
        for (key, _) in self.memory.list(prefix).await? {
            if in_listing(found, &key).is_none() {
                self.read(&key, None, before.get(&key).copied());
            }
        }
        for (key, document, left) in found {
            self.read(key, Some((document, *left)), before.get(key).copied());
        }
        Ok(())
    }

    /// Mirrors that the primary removed what stood at that position.
    pub(super) fn removed(&self, key: &Key, position: u64) {
        let mut notes = self.notes();
        if self.position(key).is_some_and(|known| known > position) {
            return;
        }
        self.memory.uninstall(key);
        if notes.own.contains_key(key) {
            notes.forget(key, None);
        }
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

fn in_listing<'a>(found: &'a [(Key, Document, Left)], key: &Key) -> Option<&'a Document> {
    let at = found.binary_search_by(|(known, ..)| known.cmp(key)).ok()?;
    Some(&found[at].1)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn document(position: u64) -> Document {
        Document { position, value: position.to_string() }
    }

    fn key(name: &str) -> Key {
        Key::new(&["test", name])
    }

    /// What is known of `a`, and what a process that starts now finds in the journal.
    fn known(directory: &Path, local: Local) -> [Option<u64>; 2] {
        let now = local.position(&key("a"));
        drop(local);
        [now, Local::open(directory).unwrap().position(&key("a"))]
    }

    #[tokio::test]
    async fn an_answer_that_others_overtook_takes_nothing_back() {
        let prefix = Key::new(&["test"]);
        let old = [(key("a"), document(1), Left::Forever)];
        for (first, answer) in
            [(None, &[][..]), (Some(1), &[]), (Some(1), &old[..]), (None, &old[..])]
        {
            let directory = tempfile::tempdir().unwrap();
            let local = Local::open(directory.path()).unwrap();
            if let Some(first) = first {
                local.write(&key("a"), &document(first), None, None);
            }
            let before = local.positions(&prefix).await.unwrap();
            local.write(&key("a"), &document(2), None, first);
            local.read_all(&prefix, answer, &before).await.unwrap();
            local.read(&key("a"), answer.first().map(|(_, it, left)| (it, *left)), first);
            let known = known(directory.path(), local);
            assert_eq!(known, [Some(2); 2], "{first:?}, then {answer:?}");
        }
    }

    #[tokio::test]
    async fn what_was_removed_meanwhile_does_not_come_back() {
        let directory = tempfile::tempdir().unwrap();
        let local = Local::open(directory.path()).unwrap();
        local.write(&key("a"), &document(1), None, None);
        local.removed(&key("a"), 1);
        local.read(&key("a"), Some((&document(1), Left::Forever)), Some(1));
        assert_eq!(known(directory.path(), local), [None; 2]);
    }

    #[tokio::test]
    async fn writes_that_are_mirrored_in_another_order_end_with_the_last() {
        let directory = tempfile::tempdir().unwrap();
        let local = Local::open(directory.path()).unwrap();
        local.write(&key("a"), &document(3), None, Some(1));
        local.write(&key("a"), &document(2), None, Some(1));
        // Nor does the removal of an older one take it away.
        local.removed(&key("a"), 2);
        assert_eq!(known(directory.path(), local), [Some(3); 2]);
    }

    #[tokio::test]
    async fn an_answer_about_what_nobody_touched_is_mirrored() {
        let directory = tempfile::tempdir().unwrap();
        let local = Local::open(directory.path()).unwrap();
        local.write(&key("a"), &document(1), None, None);
        local.read(&key("a"), Some((&document(4), Left::Forever)), Some(1));
        local.write(&key("b"), &document(1), None, None);
        local.read(&key("b"), None, Some(1));
        assert_eq!(local.position(&key("b")), None);
        assert_eq!(known(directory.path(), local), [Some(4); 2]);
    }
}
