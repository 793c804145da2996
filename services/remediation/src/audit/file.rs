//! The file of the audit, and what is known of it.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::{Appended, Event, Record};

/// Another replica writes for a moment; one that was stopped while it wrote may hold the lock for
/// long.
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// What is known of the file so far.
#[derive(Debug)]
pub(super) struct File {
    file: fs::File,
    /// Everything before it was read.
    read_to: u64,
    /// Where the record with the number `place + 1` begins.
    begins: Vec<u64>,
    /// The actions whose end is on record.
    ended: HashSet<String>,
}

impl File {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut file = Self { file, read_to: 0, begins: Vec::new(), ended: HashSet::new() };
        file.read_on()?;
        Ok(file)
    }

    pub(super) fn append(&mut self, at: u64, replica: &str, event: Event) -> io::Result<Appended> {
        self.lock()?;
        let appended = self.append_locked(at, replica, event);
        flock(&self.file, FlockOperation::Unlock)?;
        appended
    }

    fn append_locked(&mut self, at: u64, replica: &str, event: Event) -> io::Result<Appended> {
        self.read_on()?;
        if event.ends().is_some_and(|attempt| self.ended.contains(attempt)) {
            return Ok(Appended::Known);
        }
        let seq = self.begins.len() as u64 + 1;
        let record = Record { seq, at, replica: replica.to_owned(), event };
        let mut line = Vec::new();
        let length = self.file.metadata()?.len();
        if length > self.read_to {
            // Somebody died while writing.
            line.push(b'\n');
        }
        serde_json::to_writer(&mut line, &record)?;
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a record would stand before the next one; what cannot be taken back is passed over.
            let _ = self.file.set_len(length);
            return Err(error);
        }
        self.read_on()?;
        Ok(Appended::New(seq))
    }

    fn lock(&self) -> io::Result<()> {
        for _ in 0..LOCK_TRIES {
            match flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(()),
                Err(rustix::io::Errno::WOULDBLOCK) => thread::sleep(LOCK_PAUSE),
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::new(io::ErrorKind::WouldBlock, "another process holds it locked"))
    }

    /// Takes note of the lines that were added. A line that is no record is passed over.
    fn read_on(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.read_to))?;
        let mut lines = BufReader::new(&self.file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = lines.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                return Ok(());
            }
            if let Ok(record) = serde_json::from_slice::<Record>(&line) {
                self.begins.push(self.read_to);
                if let Some(attempt) = record.event.ends() {
                    self.ended.insert(attempt.to_owned());
                }
            }
            self.read_to += length as u64;
        }
    }

    pub(super) fn page(&mut self, before: Option<u64>, limit: usize) -> io::Result<Vec<Record>> {
        self.read_on()?;
        let count = self.begins.len();
        let end = before.map_or(count, |before| {
            usize::try_from(before.saturating_sub(1)).map_or(count, |end| end.min(count))
        });
        let first = end.saturating_sub(limit);
        let Some(&from) = self.begins.get(first).filter(|_| first < end) else {
            return Ok(Vec::new());
        };
        let to = self.begins.get(end).copied().unwrap_or(self.read_to);
        self.file.seek(SeekFrom::Start(from))?;
        let mut text = Vec::new();
        (&self.file).take(to - from).read_to_end(&mut text)?;
        let lines = text.split(|byte| *byte == b'\n');
        let mut records: Vec<Record> =
            lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        records.reverse();
        Ok(records)
    }
}
