//! A server that is a program: a process group of its own that we can end in every case.
//!
//! On close its input ends, then comes SIGTERM, then SIGKILL. A child that is dropped, because it
//! hangs or because the check was given up, is killed at once. What it writes to its standard
//! error is read to the end, or it would block, and the last line is kept: it tells why it ended.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::fault::{is_ours, short};
use crate::{Command, Fault};

/// What a program inherits, as the SDKs' own clients do it.
const INHERITED: [&str; 10] =
    ["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"];
/// How long a program that broke off may take to end, for us to say how it did.
pub(crate) const END_OF_CHILD: Duration = Duration::from_millis(300);

/// What is kept of a line, in bytes.
const LONGEST_LINE: usize = 512;
/// How long a program that ended may take to have its last words read.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long it may take to end when it is asked to, each time.
const GRACE: Duration = Duration::from_secs(2);

/// A running program. It is killed with its whole group when this is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    group: Pid,
    exit: watch::Receiver<Option<ExitStatus>>,
    last_line: Arc<Mutex<LastLine>>,
    reading: JoinHandle<()>,
}

/// The last line with something on it.
#[derive(Debug, Default)]
struct LastLine {
    whole: Vec<u8>,
    growing: Vec<u8>,
}

impl Child {
    /// Starts the program.
    ///
    /// # Errors
    /// [`Fault::OurSide`] when we lack descriptors or memory, else [`Fault::NotStarted`].
    pub(crate) fn spawn(command: &Command) -> Result<(Self, ChildStdout, ChildStdin), Fault> {
        let inherited = INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut system = tokio::process::Command::new(&command.program);
        system
            .args(&command.arguments)
            .env_clear()
            .envs(inherited)
            .envs(&command.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            // For a runtime that ends before we do.
            .kill_on_drop(true);
        if let Some(cwd) = &command.cwd {
            system.current_dir(cwd);
        }
        let mut child = system.spawn().map_err(|error| not_started(command, &error))?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let ends = (stdin.zip(stdout).zip(stderr), child.id().and_then(pid));
        let (Some(((stdin, stdout), stderr)), Some(group)) = ends else {
            return Err(Fault::OurSide("a child without its pipes".to_owned()));
        };

        let last_line = Arc::default();
        let reading = tokio::spawn(read_lines(stderr, Arc::clone(&last_line)));
        let (ended, exit) = watch::channel(None);
        tokio::spawn(async move {
            let status = child.wait().await;
            // Whatever it left behind holds its pipes.
            signal(group, Signal::KILL);
            ended.send_replace(Some(status.unwrap_or_default()));
        });
        Ok((Self { group, exit, last_line, reading }, stdout, stdin))
    }

    /// How it ended, if it does within `patience`.
    pub(crate) async fn ended(&mut self, patience: Duration) -> Option<Fault> {
        let status = timeout(patience, self.exit.wait_for(Option::is_some)).await;
        let status = (*status.ok()?.ok()?)?;
        // Its last words may still be in the pipe.
        let _ = timeout(LAST_WORDS, &mut self.reading).await;
        let line = self.last_line.lock().unwrap_or_else(PoisonError::into_inner).text();
        Some(Fault::Exited(match line {
            Some(line) => format!("ended ({status}): {line}"),
            None => format!("ended ({status}) without a word"),
        }))
    }

    /// Ends it, after its input was closed.
    pub(crate) async fn close(mut self) {
        if self.is_gone_within(GRACE).await {
            return;
        }
        signal(self.group, Signal::TERM);
        // Dropped after this, it is killed.
        self.is_gone_within(GRACE).await;
    }

    async fn is_gone_within(&mut self, patience: Duration) -> bool {
        timeout(patience, self.exit.wait_for(Option::is_some)).await.is_ok()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.reading.abort();
        // Once it is reaped, its number may be another's.
        if self.exit.borrow().is_none() {
            signal(self.group, Signal::KILL);
        }
    }
}

impl LastLine {
    fn push(&mut self, bytes: &[u8]) {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_whole) = match line.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (line, false),
            };
            let room = LONGEST_LINE.saturating_sub(self.growing.len());
            self.growing.extend_from_slice(&text[..text.len().min(room)]);
            if is_whole {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        if !self.growing.trim_ascii().is_empty() {
            std::mem::swap(&mut self.whole, &mut self.growing);
        }
        self.growing.clear();
    }

    fn text(&mut self) -> Option<String> {
        self.end_line();
        let line = short(&String::from_utf8_lossy(&self.whole));
        (!line.is_empty()).then_some(line)
    }
}

async fn read_lines(mut stderr: impl AsyncRead + Unpin, last_line: Arc<Mutex<LastLine>>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        last_line.lock().unwrap_or_else(PoisonError::into_inner).push(&buffer[..count]);
    }
}

fn not_started(command: &Command, error: &io::Error) -> Fault {
    if is_ours(error) {
        return Fault::OurSide(format!("no process can be started: {error}"));
    }
    // The system says the same of a missing program and a missing folder.
    if let Some(cwd) = command.cwd.as_deref().filter(|cwd| !cwd.is_dir()) {
        return Fault::NotStarted(format!("the folder `{}` does not exist", cwd.display()));
    }
    let program = &command.program;
    Fault::NotStarted(match error.kind() {
        io::ErrorKind::NotFound => format!("the command `{program}` is not found"),
        io::ErrorKind::PermissionDenied => format!("the command `{program}` may not be executed"),
        _ => format!("`{program}`: {error}"),
    })
}

fn pid(id: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(id).ok()?)
}

fn signal(group: Pid, signal: Signal) {
    // A group that is gone needs no signal.
    let _ = kill_process_group(group, signal);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_kept_whatever_its_length() {
        let mut lines = LastLine::default();
        lines.push(b"first\nTraceback\nModuleNotFound");
        lines.push(b"Error: no mcp\n\n  \n");
        assert_eq!(lines.text().unwrap(), "ModuleNotFoundError: no mcp");
        lines.push(&[b'x'; 9999]);
        assert!(lines.growing.len() <= LONGEST_LINE);
        lines.push(b"\nlast");
        assert_eq!(lines.text().unwrap(), "last");
    }
}
