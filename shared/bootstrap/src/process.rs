//! How a service ends: exit codes, and the one place that prints why.
//!
//! ```no_run
//! use std::process::ExitCode;
//! use mcpmon_bootstrap::process::{self, Exit, OrExit as _};
//! use mcpmon_bootstrap::{Settings, Sources};
//!
//! fn main() -> ExitCode {
//!     process::run(|| {
//!         // With clap, whose own exit code for bad usage would be 2:
//!         // let arguments = Arguments::try_parse().map_err(|error| {
//!         //     let _ = error.print();
//!         //     Exit::printed(if error.use_stderr() { process::USAGE } else { 0 })
//!         // })?;
//!         let settings = Settings::load(Sources::from_process(None, &["log"])).or_usage()?;
//!         settings.finish().or_usage()?;
//!         std::net::TcpListener::bind("127.0.0.1:0").or_failed_start()?;
//!         Ok::<(), Exit>(())
//!     })
//! }
//! ```

use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use crate::settings::ConfigErrors;

/// Bad usage or configuration: `EX_USAGE` of sysexits.
pub const USAGE: u8 = 64;
/// A failed start, or an end that was not asked for: `EX_SOFTWARE` of sysexits.
pub const FAILED: u8 = 70;

/// An early end: the exit code, and the reason unless it was printed already.
#[derive(Debug)]
pub struct Exit {
    code: u8,
    reason: Option<Box<dyn Error + Send + Sync>>,
}

impl Exit {
    /// An end whose reason the user has read already. `code` 0 is for `--help`.
    pub fn printed(code: u8) -> Self {
        Self { code, reason: None }
    }

    /// An end because of `reason`.
    pub fn because(code: u8, reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let reason = Some(reason.into());
        Self { code, reason }
    }

    /// The process's exit code.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// The reason with its causes, as it is printed.
    pub fn message(&self) -> Option<String> {
        let reason: &dyn Error = self.reason.as_deref()?;
        let causes = std::iter::successors(Some(reason), |&error| error.source());
        Some(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    }
}

impl From<ConfigErrors> for Exit {
    fn from(errors: ConfigErrors) -> Self {
        Self::because(USAGE, errors)
    }
}

/// Gives an error its exit code. Takes `anyhow::Error` as well.
pub trait OrExit<T> {
    /// The user can put it right: exit code 64.
    ///
    /// # Errors
    /// The error, as an [`Exit`].
    fn or_usage(self) -> Result<T, Exit>;

    /// The service could not start or could not go on: exit code 70.
    ///
    /// # Errors
    /// The error, as an [`Exit`].
    fn or_failed_start(self) -> Result<T, Exit>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> OrExit<T> for Result<T, E> {
    fn or_usage(self) -> Result<T, Exit> {
        self.map_err(|error| Exit::because(USAGE, error))
    }

    fn or_failed_start(self) -> Result<T, Exit> {
        self.map_err(|error| Exit::because(FAILED, error))
    }
}

/// Runs a service's `main` and prints to standard error why it ended early.
pub fn run(main: impl FnOnce() -> Result<(), Exit>) -> ExitCode {
    let Err(exit) = main() else {
        return ExitCode::SUCCESS;
    };
    if let Some(message) = exit.message() {
        // When standard error is gone there is nobody left to tell.
        let _ = writeln!(io::stderr(), "error: {message}");
    }
    ExitCode::from(exit.code)
}

/// Two things were asked for at a time.
#[derive(Debug, thiserror::Error)]
#[error("{0} does something else than the command behind it; expected one of the two")]
pub struct TwoThings(&'static str);

/// What clap cannot see: no command stands beside one of these options, which are whole requests
/// themselves.
///
/// # Errors
/// The first of the options that is given beside a command.
pub fn one_request(has_command: bool, options: &[(&'static str, bool)]) -> Result<(), TwoThings> {
    let beside = options.iter().find(|(_, given)| *given && has_command);
    beside.map_or(Ok(()), |(option, _)| Err(TwoThings(option)))
}

/// The one line on standard output, for people and for programs that asked for port 0. Whoever
/// reads it may send requests and signals from then on.
pub fn announce(address: SocketAddr) {
    // When nobody reads it, nobody waits for it.
    let _ = writeln!(io::stdout(), "listening on http://{address}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct Failure(#[source] io::Error);

    #[test]
    fn an_exit_has_a_code_and_tells_all_causes() {
        let failed = || Err::<(), _>(Failure(io::Error::other("disk full")));
        let exit = failed().or_failed_start().unwrap_err();
        assert_eq!(exit.code(), 70);
        assert_eq!(exit.message().unwrap(), "cannot start: disk full");
        assert_eq!(failed().or_usage().unwrap_err().code(), 64);
    }

    #[test]
    fn the_exit_code_is_the_process_code() {
        assert_eq!(run(|| Ok(())), ExitCode::SUCCESS);
        assert_eq!(run(|| Err(Exit::printed(USAGE))), ExitCode::from(64));
        assert_eq!(run(|| Err(Exit::because(FAILED, "no"))), ExitCode::from(70));
        assert_eq!(Exit::printed(0).message(), None);
    }
}
