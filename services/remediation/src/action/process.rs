//! One run of a program: a process group of its own, an empty environment, the last of what it
//! said, and an end in every case.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcpmon_metrics::redact;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Trouble;

/// What is kept of each of its outputs, in bytes.
const KEPT: usize = 4096;
/// How long a program may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(2);
/// How long a program that ended may take to have its last words read: what it left running in the
/// background may hold its outputs open for ever.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// The last of its standard output.
    pub(super) output: String,
    /// The last of its standard error.
    pub(super) errors: String,
}

impl Ended {
    /// Its last words on one line, without secrets.
    pub(super) fn words(&self) -> String {
        let said = [&self.errors, &self.output].into_iter().find(|text| !text.trim().is_empty());
        let Some(said) = said else { return format!("it ended ({}) without a word", self.status) };
        let line: Vec<_> = said.split_whitespace().collect();
        format!("it ended ({}): {}", self.status, redact::message(&line.join(" ")))
    }
}

/// Runs `program` and waits for its end. At the deadline its whole group is ended.
///
/// # Errors
/// When it was not started, or had to be ended.
pub(super) async fn run(
    program: &Path,
    arguments: &[String],
    environment: &[(&str, &str)],
    deadline: Duration,
) -> Result<Ended, Trouble> {
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(environment.iter().copied())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        // For a runtime that ends before we do.
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| not_started(program, &error))?;
    let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let mut group = Group(id);
    let output = Tail::of(child.stdout.take());
    let errors = Tail::of(child.stderr.take());

    let grace = GRACE.min(deadline / 4);
    let Ok(status) = timeout(deadline.saturating_sub(grace), child.wait()).await else {
        group.signal(Signal::TERM);
        // One that ends now has been ended all the same. The rest of the group may be deaf to TERM.
        let _ = timeout(grace / 2, child.wait()).await;
        group.signal(Signal::KILL);
        let _ = timeout(grace / 2, child.wait()).await;
        let program = program.display();
        let seconds = deadline.as_secs_f64();
        return Err(Trouble::Unknown(format!("{program} was ended, after {seconds} s")));
    };
    group.0 = None;
    let status = status
        .map_err(|error| Trouble::Unknown(format!("{} is lost: {error}", program.display())))?;
    let (output, errors) = tokio::join!(output.end(), errors.end());
    Ok(Ended { status, output, errors })
}

/// A process group that is killed when its run is given up.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        // A group that is gone needs no signal.
        let _ = self.0.map(|group| kill_process_group(group, signal));
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// The last of an output that is read to its end, or the program would block.
#[derive(Debug)]
struct Tail {
    bytes: Arc<Mutex<VecDeque<u8>>>,
    reading: JoinHandle<()>,
}

impl Tail {
    fn of(pipe: Option<impl AsyncRead + Send + Unpin + 'static>) -> Self {
        let bytes = Arc::<Mutex<VecDeque<u8>>>::default();
        let kept = Arc::clone(&bytes);
        let reading = tokio::spawn(async move {
            let Some(mut pipe) = pipe else { return };
            let mut buffer = [0; KEPT];
            while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(&buffer[..count]);
                let surplus = kept.len().saturating_sub(KEPT);
                kept.drain(..surplus);
            }
        });
        Self { bytes, reading }
    }

    async fn end(mut self) -> String {
        let _ = timeout(LAST_WORDS, &mut self.reading).await;
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(bytes.make_contiguous()).into_owned()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

fn not_started(program: &Path, error: &io::Error) -> Trouble {
    let text = format!("{}: {error}", program.display());
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Trouble::Absent(text),
        _ => Trouble::Refused(text),
    }
}
