//! When to signal the server and when to leave. Pure: happenings and the time in, steps out.
//!
//! The rules, in the order in which they matter:
//!
//! 1. Every signal that the tap catches is passed on, and nothing else is read into it: a server
//!    that handles or ignores it goes on, and so does the tap. So the tap never leaves before its
//!    server, and never leaves one behind.
//! 2. The client's end of file is passed on as an end of file. A server may take as long as it
//!    likes to finish its work after that.
//! 3. A server that was told to terminate after (or before) its client left and lives on for
//!    [`PATIENCE`] is killed: nobody is left who could do it.
//! 4. When the server has exited, what it wrote is still delivered. The tap leaves at the end of
//!    its output; or, when somebody else holds that open, once it has been silent for [`SILENCE`];
//!    or, when the tap was told to terminate, after [`HASTE`] even if the client does not read.

use std::time::Duration;

/// How long a server may ignore SIGTERM once its client has gone.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long the output of an exited server may be silent before it counts as ended.
pub(super) const SILENCE: Duration = Duration::from_secs(1);
/// How long an exited server's output may take once the tap was told to terminate.
pub(super) const HASTE: Duration = Duration::from_secs(2);

/// How often an exited server's output is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What the supervisor is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happening {
    /// The client sends nothing more, or reads nothing more.
    ClientLeft,
    /// The server's output has ended and was delivered, or the client takes no more of it.
    OutputEnded,
    /// The tap caught a signal; whether it is SIGTERM.
    Signal { terminate: bool },
    /// The server's process has exited.
    ServerExited,
}

/// What the supervisor wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Pass the signal on.
    PassOn,
    /// Kill the server.
    Kill,
    /// Leave, as the server left.
    Leave,
}

/// How far the server's output has come: chunks read, and whether one is being written.
pub(super) type Progress = (u64, bool);

#[derive(Debug, Default)]
pub(super) struct Supervisor {
    client_left: Option<Duration>,
    told_to_terminate: Option<Duration>,
    exited: Option<Duration>,
    output_ended: bool,
    killed: bool,
    /// The last progress seen after the exit, and since when it has been the same.
    last: Option<(Progress, Duration)>,
}

impl Supervisor {
    /// Takes in a happening; the step, if one follows at once.
    pub(super) fn tell(&mut self, happening: Happening, now: Duration) -> Option<Step> {
        match happening {
            Happening::ClientLeft => {
                self.client_left.get_or_insert(now);
            }
            Happening::OutputEnded => self.output_ended = true,
            Happening::ServerExited => self.exited = Some(now),
            Happening::Signal { terminate } => {
                if terminate {
                    self.told_to_terminate.get_or_insert(now);
                }
                // A process that was not waited for may be signalled safely; this one is gone.
                return self.exited.is_none().then_some(Step::PassOn);
            }
        }
        (self.exited.is_some() && self.output_ended).then_some(Step::Leave)
    }

    /// How soon [`Supervisor::look`] is wanted; `None` when nothing can come due by itself.
    pub(super) fn patience(&self, now: Duration) -> Option<Duration> {
        if self.exited.is_some() {
            return Some(LOOK);
        }
        self.kill_at().map(|at| at.saturating_sub(now))
    }

    /// Looks at the time and at the server's output.
    pub(super) fn look(&mut self, now: Duration, progress: Progress) -> Option<Step> {
        let Some(exited) = self.exited else {
            let due = self.kill_at().is_some_and(|at| now >= at);
            self.killed |= due;
            return due.then_some(Step::Kill);
        };
        if self.told_to_terminate.is_some_and(|told| now >= told.max(exited) + HASTE) {
            return Some(Step::Leave);
        }
        let (_, writing) = progress;
        let since = match self.last {
            Some((last, since)) if last == progress && !writing => since,
            _ => now,
        };
        self.last = Some((progress, since));
        (now >= since + SILENCE).then_some(Step::Leave)
    }

    fn kill_at(&self) -> Option<Duration> {
        let told = self.told_to_terminate.filter(|_| !self.killed)?;
        Some(told.max(self.client_left?) + PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const TERMINATE: Happening = Happening::Signal { terminate: true };

    #[test]
    fn it_leaves_when_the_server_has_exited_and_its_output_is_delivered() {
        let mut s = Supervisor::default();
        assert_eq!(s.tell(Happening::ServerExited, at(0)), None);
        assert_eq!(s.tell(Happening::OutputEnded, at(0)), Some(Step::Leave));

        let mut s = Supervisor::default();
        assert_eq!(s.tell(Happening::OutputEnded, at(0)), None);
        assert_eq!(s.tell(Happening::ServerExited, at(9)), Some(Step::Leave));
    }

    #[test]
    fn a_server_may_take_its_time_after_its_client_left() {
        let mut s = Supervisor::default();
        assert_eq!(s.tell(Happening::ClientLeft, at(0)), None);
        assert_eq!(s.patience(at(0)), None);
        assert_eq!(s.look(at(9_999), (0, false)), None);
    }

    #[test]
    fn a_signal_that_the_server_ignores_changes_nothing_while_the_client_is_there() {
        let mut s = Supervisor::default();
        assert_eq!(s.tell(TERMINATE, at(0)), Some(Step::PassOn));
        assert_eq!(s.patience(at(0)), None);
        assert_eq!(s.look(at(9_999), (0, false)), None);
    }

    #[test]
    fn a_server_that_ignores_the_end_is_killed_once() {
        let mut s = Supervisor::default();
        s.tell(Happening::ClientLeft, at(5));
        s.tell(TERMINATE, at(7));
        assert_eq!(s.patience(at(7)), Some(PATIENCE));
        assert_eq!(s.look(at(16), (0, false)), None);
        assert_eq!(s.look(at(17), (0, false)), Some(Step::Kill));
        assert_eq!(s.patience(at(17)), None);
        assert_eq!(s.look(at(18), (0, false)), None);
    }

    #[test]
    fn an_interrupt_is_passed_on_and_never_escalated() {
        let mut s = Supervisor::default();
        s.tell(Happening::ClientLeft, at(0));
        let interrupt = Happening::Signal { terminate: false };
        assert_eq!(s.tell(interrupt, at(0)), Some(Step::PassOn));
        assert_eq!(s.patience(at(0)), None);
    }

    #[test]
    fn output_that_somebody_else_holds_open_ends_with_silence() {
        let mut s = Supervisor::default();
        s.tell(Happening::ServerExited, at(0));
        assert_eq!(s.look(at(1), (1, false)), None);
        assert_eq!(s.look(at(2), (2, false)), None, "it moved");
        assert_eq!(s.look(at(3), (2, true)), None, "a slow client is still being served");
        assert_eq!(s.look(at(9), (2, true)), None);
        assert_eq!(s.look(at(10), (3, false)), None);
        assert_eq!(s.look(at(11), (3, false)), Some(Step::Leave));
    }

    #[test]
    fn told_to_terminate_it_does_not_wait_for_a_client_that_does_not_read() {
        let mut s = Supervisor::default();
        s.tell(TERMINATE, at(0));
        s.tell(Happening::ServerExited, at(1));
        assert_eq!(s.look(at(2), (0, true)), None);
        assert_eq!(s.look(at(3), (0, true)), Some(Step::Leave));
    }

    #[test]
    fn a_signal_after_the_exit_is_not_passed_on() {
        let mut s = Supervisor::default();
        s.tell(Happening::ServerExited, at(0));
        assert_eq!(s.tell(TERMINATE, at(0)), None);
    }
}
