//! The audit: an append-only file of JSON lines, one for each decision, action and word of a person.
//! No audit, no action.
//!
//! Replicas on one machine append to the same file, under a lock and with one sequence of numbers.
//! A record is on the disk before what it announces is done.

mod file;
mod record;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use self::file::File;
pub use self::record::{Event, Record};

/// The audit of this machine.
#[derive(Debug, Clone)]
pub struct Audit {
    file: Arc<Mutex<File>>,
    path: PathBuf,
    replica: String,
    /// Whether the last record could be written.
    writable: Arc<AtomicBool>,
}

/// Why a record is not there.
#[derive(Debug, thiserror::Error)]
#[error("the audit {path} cannot be written or read")]
pub struct AuditError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// What became of a record that may be there only once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It has this number.
    New(u64),
    /// The action's end is on record already.
    Known,
}

impl Audit {
    /// Opens or creates `audit.jsonl` in the folder and reads what is there.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(folder: &Path, replica: &str) -> Result<Self, AuditError> {
        let path = folder.join("audit.jsonl");
        let failed = |source| AuditError { path: path.clone(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let file = File::open(&path).map_err(failed)?;
        let writable = Arc::new(AtomicBool::new(true));
        Ok(Self { file: Arc::new(Mutex::new(file)), path, replica: replica.to_owned(), writable })
    }

    /// Appends a record and waits until it is on the disk. An action ends once: a second end of the
    /// same attempt is not written.
    ///
    /// # Errors
    /// When it is not on the disk: then what it announces must not be done.
    pub async fn append(&self, at: u64, event: Event) -> Result<Appended, AuditError> {
        let replica = self.replica.clone();
        let appended = self.blocking(move |file| file.append(at, &replica, event)).await;
        let was = self.writable.swap(appended.is_ok(), Ordering::Relaxed);
        if let Err(error) = &appended
            && was
        {
            tracing::error!(error = %error.source, path = %error.path.display(), "the audit cannot be written: nothing is repaired");
        }
        appended
    }

    /// The newest `limit` records with a number below `before`, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn page(&self, before: Option<u64>, limit: usize) -> Result<Vec<Record>, AuditError> {
        self.blocking(move |file| file.page(before, limit)).await
    }

    /// Whether the last record could be written.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.writable.load(Ordering::Relaxed)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut File) -> io::Result<T> + Send + 'static,
    ) -> Result<T, AuditError> {
        let file = self.file.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Each record is read back from the file, so a panic in between spoils nothing.
            work(&mut file.lock().unwrap_or_else(PoisonError::into_inner))
        });
        let done = done.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        done.map_err(|source| AuditError { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(component: &str) -> Event {
        Event { component: Some(component.to_owned()), ..Event::new("decision") }
    }

    fn ended(attempt: &str) -> Event {
        Event { attempt: Some(attempt.to_owned()), ..Event::new(record::OUTCOME) }
    }

    #[tokio::test]
    async fn two_replicas_write_one_sequence_without_holes() {
        let folder = tempfile::tempdir().unwrap();
        let audits = ["a", "b"].map(|name| Audit::open(folder.path(), name).unwrap());
        for at in 0..20 {
            for audit in &audits {
                audit.append(at, decided("api")).await.unwrap();
            }
        }
        let records = audits[0].page(None, 100).await.unwrap();
        let numbers: Vec<_> = records.iter().map(|record| record.seq).collect();
        assert_eq!(numbers, (1..=40).rev().collect::<Vec<_>>());
        let page = audits[1].page(Some(11), 3).await.unwrap();
        assert_eq!(page.iter().map(|record| record.seq).collect::<Vec<_>>(), [10, 9, 8]);
        assert!(audits[1].page(Some(1), 3).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_action_ends_once_whoever_says_it() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["a", "b"].map(|name| Audit::open(folder.path(), name).unwrap());
        assert_eq!(first.append(1, ended("api@1#1")).await.unwrap(), Appended::New(1));
        assert_eq!(second.append(2, ended("api@1#1")).await.unwrap(), Appended::Known);
        assert_eq!(second.append(3, ended("api@1#2")).await.unwrap(), Appended::New(2));
        let again = Audit::open(folder.path(), "c").unwrap();
        assert_eq!(again.append(4, ended("api@1#2")).await.unwrap(), Appended::Known);
    }

    #[tokio::test]
    async fn a_record_that_was_half_written_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(folder.path(), "a").unwrap();
        audit.append(1, decided("api")).await.unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str(r#"{"seq":2,"at":5,"repl"#);
        std::fs::write(&path, text).unwrap();
        let audit = Audit::open(folder.path(), "b").unwrap();
        assert_eq!(audit.append(6, decided("other")).await.unwrap(), Appended::New(2));
        let records = audit.page(None, 10).await.unwrap();
        let seen: Vec<_> = records.iter().map(|record| (record.seq, record.at)).collect();
        assert_eq!(seen, [(2, 6), (1, 1)]);
    }
}
