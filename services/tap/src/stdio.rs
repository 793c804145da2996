//! The stdio transport: the server is our child, its pipes are ours to pass on.
//!
//! Threads, and no runtime: one pump per direction, one that catches signals, one that waits for
//! the child; this thread lets the `supervisor` decide. The child is waited for without being
//! reaped, so its process id stays its own until no more signals are sent.

mod child;
mod pump;
mod supervisor;

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use self::pump::{Flow, Pump, Stop};
use self::supervisor::{Happening, Step, Supervisor};
use crate::clock::Clock;
use crate::observer::Direction;
use crate::queue::Queue;

pub use self::child::{SpawnError, spawn};

/// The signals that are passed on. All of them would end the tap and leave the server behind.
const PASSED_ON: [i32; 6] = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2];

/// The client's two streams, taken over from the process.
#[derive(Debug)]
pub struct Client {
    input: File,
    output: File,
}

/// How the server ended; the tap ends the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Killed(i32),
}

#[derive(Debug)]
enum Notice {
    Stopped(Direction, Stop),
    Signal(i32),
    Exited,
}

impl Client {
    /// Takes over standard input and output, and leaves `/dev/null` in their place: the tap can
    /// close them for its client to see, and nothing else in it can write into the protocol.
    ///
    /// # Errors
    /// When a descriptor cannot be duplicated.
    pub fn take() -> io::Result<Self> {
        use std::os::fd::AsFd;
        let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let null = File::options().read(true).write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        Ok(Self { input, output })
    }
}

impl From<ExitStatus> for End {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, signal) => Self::Killed(signal.unwrap_or(0)),
        }
    }
}

/// Passes bytes and signals between `client` and `child` until both are done.
///
/// # Errors
/// When the system has no thread or no signal handler left.
pub fn run(client: Client, mut child: Child, queue: &Arc<Queue>, clock: Clock) -> io::Result<End> {
    let (notices, inbox) = mpsc::channel();
    // After the child was spawned, so that it inherits what was ignored (as `nohup` does).
    catch_signals(notices.clone())?;
    let pid = Pid::from_child(&child);
    wait(pid, notices.clone())?;

    let input = child.stdin.take().map(std::os::fd::OwnedFd::from);
    let output = child.stdout.take().map(std::os::fd::OwnedFd::from);
    let (Some(input), Some(output)) = (input, output) else {
        return Err(io::Error::other("the server was spawned without pipes"));
    };
    let flow = Arc::new(Flow::default());
    let ways = [
        (Direction::ToServer, client.input, File::from(input), Arc::default()),
        (Direction::ToClient, File::from(output), client.output, flow.clone()),
    ];
    for (direction, from, to, flow) in ways {
        let pump = Pump { from, to, direction, queue: queue.clone(), flow, clock };
        let notices = notices.clone();
        thread::Builder::new()
            .name(format!("{direction:?}"))
            .spawn(move || notices.send(Notice::Stopped(direction, pump.run())))?;
    }

    let mut supervisor = Supervisor::default();
    loop {
        let notice = match supervisor.patience(clock.now()) {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(patience) => inbox.recv_timeout(patience),
        };
        let now = clock.now();
        let mut caught = None;
        let step = match notice {
            Ok(notice) => {
                if let Notice::Signal(signal) = notice {
                    caught = Signal::from_named_raw(signal);
                }
                tracing::debug!(?notice);
                happenings(&notice).fold(None, |step, next| step.or(supervisor.tell(next, now)))
            }
            Err(_) => supervisor.look(now, flow.read()),
        };
        match step {
            None => {}
            Some(Step::PassOn) => signal_child(pid, caught),
            Some(Step::Kill) => {
                tracing::warn!(
                    "the server ignored SIGTERM for 10 s after its client left; killing it"
                );
                signal_child(pid, Some(Signal::KILL));
            }
            Some(Step::Leave) => break,
        }
    }
    let end = End::from(child.wait()?);
    // In this order: calls that are still open were open when the server ended.
    queue.close(Direction::ToClient, clock.now());
    queue.close(Direction::ToServer, clock.now());
    Ok(end)
}

fn happenings(notice: &Notice) -> impl Iterator<Item = Happening> + use<> {
    use Direction::{ToClient, ToServer};
    let (first, second) = match notice {
        Notice::Stopped(ToServer, Stop::Unwritable) => (None, None),
        Notice::Stopped(ToServer, _) => (Some(Happening::ClientLeft), None),
        Notice::Stopped(ToClient, Stop::Unwritable) => {
            (Some(Happening::ClientLeft), Some(Happening::OutputEnded))
        }
        Notice::Stopped(ToClient, _) => (Some(Happening::OutputEnded), None),
        Notice::Signal(signal) => (Some(Happening::Signal { terminate: *signal == SIGTERM }), None),
        Notice::Exited => (Some(Happening::ServerExited), None),
    };
    first.into_iter().chain(second)
}

fn catch_signals(notices: Sender<Notice>) -> io::Result<()> {
    let mut signals = Signals::new(PASSED_ON)?;
    let forward = move || signals.forever().try_for_each(|s| notices.send(Notice::Signal(s)).ok());
    thread::Builder::new().name("signals".into()).spawn(forward).map(drop)
}

fn wait(pid: Pid, notices: Sender<Notice>) -> io::Result<()> {
    let wait = move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
        notices.send(Notice::Exited)
    };
    thread::Builder::new().name("waiter".into()).spawn(wait).map(drop)
}

/// Signals the server's group, so that a launcher's child hears it as it would without the tap.
/// The child was not reaped yet, so `pid` is still its own, and its group's.
fn signal_child(pid: Pid, signal: Option<Signal>) {
    let Some(signal) = signal else { return };
    if let Err(error) = kill_process_group(pid, signal) {
        tracing::warn!(%error, ?signal, "the server could not be signalled");
    }
}
