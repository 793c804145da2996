//! The documents of one process in its state directory: JSON lines, one per change, read at start.
//!
//! One process at a time has the directory, by a lock that ends with the process. A line is in the
//! file when [`Journal::append`] returns, so a killed process loses nothing; a machine without
//! power may lose the last lines.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

/// It is written anew when it has this many lines more than twice what they say.
const SLACK: usize = 1_000;

/// One line. A later one about the same key replaces an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Line {
    /// The set of data in the primary that the documents belong to.
    Epoch(String),
    /// A document as it is now.
    Kept {
        key: String,
        position: u64,
        value: String,
        /// Unix milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<u64>,
        /// The primary has not seen it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unseen: bool,
    },
    /// The document is gone; with a position: the primary has not seen that.
    Gone { key: String, unseen: Option<u64> },
}

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Two processes would overwrite each other's state.
    #[error("the state directory `{0}` is used by another process; give each its own")]
    Locked(PathBuf),
    /// The file system refuses.
    #[error("the journal `{path}` cannot be used")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        #[source]
        source: io::Error,
    },
    /// Somebody else wrote into it.
    #[error("line {line} of the journal `{path}` cannot be read; move the file away to start anew")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// The open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    lines: usize,
    /// The length of the whole lines.
    whole: u64,
    /// Behind them may stand a part of one.
    torn: bool,
    _lock: File,
}

impl Journal {
    /// Opens the journal of that directory, which is made when there is none, and gives its lines.
    ///
    /// A last line without an end is what a process left that was killed while it wrote; it is
    /// dropped, and the log says so.
    pub(crate) fn open(directory: &Path) -> Result<(Self, Vec<Line>), JournalError> {
        let path = directory.join("coordination.jsonl");
        let failed = |source| JournalError::Io { path: path.clone(), source };
        fs::create_dir_all(directory).map_err(failed)?;
        let lock = directory.join("coordination.lock");
        let lock = OpenOptions::new().create(true).append(true).open(lock).map_err(failed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => JournalError::Locked(directory.to_owned()),
            other => failed(other.into()),
        })?;
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).read(true).open(&path).map_err(failed)?;
        let bytes = fs::read(&path).map_err(failed)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < bytes.len() {
            let dropped = bytes.len() - whole;
            tracing::warn!(path = %path.display(), dropped, "the journal's last line is torn");
            // Or the next line would continue it.
            file.set_len(whole as u64).map_err(failed)?;
        }
        let mut lines = Vec::new();
        for (number, line) in bytes[..whole].split(|byte| *byte == b'\n').enumerate() {
            if !line.is_empty() {
                lines.push(serde_json::from_slice(line).map_err(|source| {
                    JournalError::Corrupt { path: path.clone(), line: number + 1, source }
                })?);
            }
        }
        let whole = whole as u64;
        Ok((Self { path, file, lines: lines.len(), whole, torn: false, _lock: lock }, lines))
    }

    /// A line that a full disk took only a part of is taken back: the next one would continue it,
    /// and the journal could not be read at the next start.
    pub(crate) fn append(&mut self, line: &Line) -> io::Result<()> {
        self.mend()?;
        let text = text(line);
        if let Err(error) = self.file.write_all(&text) {
            self.torn = true;
            // What cannot be taken back now is before the next line.
            return self.mend().and(Err(error));
        }
        self.lines += 1;
        self.whole += text.len() as u64;
        Ok(())
    }

    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            // The file is open for appending: the next line begins at the new end.
            self.file.set_len(self.whole)?;
            self.torn = false;
        }
        Ok(())
    }

    /// Whether it is worth to write it anew with `needed` lines.
    pub(crate) fn is_long_for(&self, needed: usize) -> bool {
        self.lines > needed * 2 + SLACK
    }

    /// Writes it anew. Whoever reads it later finds the old one or the new one, never a part.
    pub(crate) fn rewrite(&mut self, lines: &[Line]) -> io::Result<()> {
        let path = self.path.with_extension("new");
        let text: Vec<u8> = lines.iter().flat_map(text).collect();
        match written(&path, &text).and_then(|new| fs::rename(&path, &self.path).map(|()| new)) {
            Ok(new) => self.file = new,
            Err(error) => {
                // Half of it would only take the space that is wanting. It may not even be there.
                let _ = fs::remove_file(&path);
                return Err(error);
            }
        }
        (self.lines, self.whole, self.torn) = (lines.len(), text.len() as u64, false);
        Ok(())
    }
}

/// A new file with that text, open for appending.
fn written(path: &Path, text: &[u8]) -> io::Result<File> {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut new = OpenOptions::new().create_new(true).append(true).open(path)?;
    new.write_all(text)?;
    new.sync_all()?;
    Ok(new)
}

fn text(line: &Line) -> Vec<u8> {
    let mut text = serde_json::to_vec(line).expect("a line is JSON");
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;

    fn kept(key: &str, position: u64) -> Line {
        let (key, value) = (key.to_owned(), "\"x\ny\"".to_owned());
        Line::Kept { key, position, value, until: Some(9), unseen: true }
    }

    #[test]
    fn lines_come_back_and_a_torn_one_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let written = [
            Line::Epoch("e".to_owned()),
            kept("a", 1),
            Line::Gone { key: "b".to_owned(), unseen: None },
        ];
        let (mut journal, lines) = Journal::open(directory.path()).unwrap();
        assert_eq!(lines, []);
        for line in &written {
            journal.append(line).unwrap();
        }
        journal.file.write_all(b"{\"kept\":{\"key\":\"a").unwrap();
        drop(journal);
        let (mut journal, lines) = Journal::open(directory.path()).unwrap();
        assert_eq!(lines, written);
        journal.append(&kept("a", 2)).unwrap();
        drop(journal);
        assert_eq!(Journal::open(directory.path()).unwrap().1.last(), Some(&kept("a", 2)));
    }

    /// A file that may not grow takes a part of a line, as a full disk does. The limit is the whole
    /// process's, so the test runs itself once more, with the signal ignored that comes with it.
    #[test]
    fn a_line_that_a_full_disk_tore_is_taken_back() {
        const CHILD: &str = "MCPMON_TEST_FULL_DISK";
        if let Some(directory) = env::var_os(CHILD) {
            return on_a_full_disk(Path::new(&directory));
        }
        let directory = tempfile::tempdir().unwrap();
        let name = "journal::tests::a_line_that_a_full_disk_tore_is_taken_back";
        let run = Command::new("sh")
            .args(["-c", r#"trap '' XFSZ && exec "$0" --exact "$1""#])
            .args([env::current_exe().unwrap().as_os_str(), name.as_ref()])
            .env(CHILD, directory.path())
            .output()
            .unwrap();
        assert!(run.status.success(), "{run:?}");
        let (mut journal, lines) = Journal::open(directory.path()).unwrap();
        assert_eq!(lines, [kept("a", 1), kept("a", 4), kept("a", 5), kept("a", 7)]);
        journal.append(&kept("a", 8)).unwrap();
    }

    fn on_a_full_disk(directory: &Path) {
        let limit = |bytes| {
            let all = getrlimit(Resource::Fsize);
            setrlimit(Resource::Fsize, Rlimit { current: bytes, ..all }).unwrap();
        };
        let (mut journal, _) = Journal::open(directory).unwrap();
        journal.append(&kept("a", 1)).unwrap();
        let whole = fs::metadata(&journal.path).unwrap().len();
        for position in [2, 3] {
            limit(Some(whole + 5));
            journal.append(&kept("a", position)).unwrap_err();
            assert_eq!(fs::metadata(&journal.path).unwrap().len(), whole);
        }
        limit(None);
        journal.append(&kept("a", 4)).unwrap();
        // What could not be taken back at once is before the next line.
        journal.append(&kept("a", 5)).unwrap();
        journal.file.write_all(b"{\"kept\"").unwrap();
        journal.torn = true;
        limit(Some(journal.whole + 5));
        journal.append(&kept("a", 6)).unwrap_err();
        // Neither can it be written anew, and what there is stays.
        journal.rewrite(&vec![kept("b", 9); 9]).unwrap_err();
        assert!(!journal.path.with_extension("new").exists());
        limit(None);
        journal.append(&kept("a", 7)).unwrap();
    }

    #[test]
    fn rewriting_keeps_what_is_said_and_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(directory.path()).unwrap();
        for position in 0..=SLACK as u64 + 2 {
            journal.append(&kept("a", position)).unwrap();
        }
        assert!(journal.is_long_for(1) && !journal.is_long_for(2));
        journal.rewrite(&[kept("a", 7)]).unwrap();
        journal.append(&kept("a", 8)).unwrap();
        drop(journal);
        assert_eq!(Journal::open(directory.path()).unwrap().1, [kept("a", 7), kept("a", 8)]);
    }

    #[test]
    fn one_process_has_it_and_a_strange_line_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(directory.path()).unwrap();
        let second = Journal::open(directory.path()).unwrap_err();
        assert!(matches!(second, JournalError::Locked(_)), "{second}");
        fs::write(&journal.path, "{\"epoch\":\"e\"}\nwhat?\n").unwrap();
        drop(journal);
        let error = Journal::open(directory.path()).unwrap_err().to_string();
        assert!(error.starts_with("line 2 of the journal"), "{error}");
    }
}
