//! The lock that excludes a second actor on this machine, also where Redis said otherwise: one file
//! for each target, held while it is acted on, with the greatest fencing number that acted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

/// A held lock; it ends with the value, and with the process.
#[derive(Debug)]
pub struct HostLock {
    file: File,
}

/// Who acted last. Fencing numbers only compare within one set of data of the coordination store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    pub epoch: String,
    pub fencing: u64,
}

/// What became of the wish to act.
#[derive(Debug)]
pub enum Taken {
    /// Ours, and our number is on the disk.
    Held(HostLock),
    /// Another process is acting on the target.
    Busy,
    /// Somebody with a greater number has acted: we are late.
    Fenced(u64),
}

impl HostLock {
    /// Takes the target's lock in `folder` and writes our number into it, unless a greater one
    /// stands there.
    ///
    /// # Errors
    /// When the file cannot be used: then do not act.
    pub fn take(folder: &Path, target: &str, ours: &Acted) -> io::Result<Taken> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{target}.lock"));
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = options?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(Taken::Busy),
            Err(error) => return Err(error.into()),
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // A file that was cut short says nothing.
        let last: Option<Acted> = serde_json::from_str(&text).ok();
        if let Some(last) = last.filter(|last| last.epoch == ours.epoch)
            && last.fencing > ours.fencing
        {
            return Ok(Taken::Fenced(last.fencing));
        }
        // Padded, so that what is written over is written over as a whole: a shorter text would have to
        // be cut, and a crash before that would leave two.
        let ours = format!("{:<120}\n", serde_json::to_string(ours)?);
        file.seek(SeekFrom::Start(0))?;
        file.write_all(ours.as_bytes())?;
        file.sync_data()?;
        Ok(Taken::Held(Self { file }))
    }
}

impl Drop for HostLock {
    fn drop(&mut self) {
        // Closing the file would do, were it not for a child process that has it too.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(fencing: u64) -> Acted {
        Acted { epoch: "e".into(), fencing }
    }

    #[test]
    fn one_at_a_time_and_never_an_older_one() {
        let folder = tempfile::tempdir().unwrap();
        let take = |acted: &Acted| HostLock::take(folder.path(), "api", acted).unwrap();
        let Taken::Held(held) = take(&number(7)) else { panic!("it is free") };
        assert!(matches!(take(&number(8)), Taken::Busy));
        drop(held);
        assert!(matches!(take(&number(6)), Taken::Fenced(7)));
        assert!(matches!(take(&number(7)), Taken::Held(_)));
        let other = Acted { epoch: "another set of data".into(), fencing: 1 };
        assert!(matches!(take(&other), Taken::Held(_)));
    }
}
