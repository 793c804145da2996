//! `mcp-tap`: the steps from the command line to the exit.

use std::process::exit;
use std::{env, io};

use mcp_tap::app::{HttpTap, StartError, Tap};
use mcp_tap::cli::{Settings, Task, UsageError};
use mcp_tap::health;
use mcp_tap::stdio::End;
use mcp_tap::wrap::{self, WrapError};
use rustix::process::{Resource, Rlimit, setrlimit};
use signal_hook::low_level::emulate_default_handler;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

/// Bad usage, as in BSD's sysexits.
const USAGE: i32 = 64;
/// A failed start that is nobody's setting.
const SOFTWARE: i32 = 70;

fn main() {
    if env::args_os().nth(1).is_some_and(|word| word == wrap::WORD) {
        return edit_configurations();
    }
    let settings = Settings::read(env::args_os(), |key| env::var_os(key))
        .unwrap_or_else(|error| refuse(&error));
    start_log();
    match &settings.task {
        Task::Run(run) => {
            let tap = Tap::start(&settings, run).unwrap_or_else(|error| fail(error));
            leave(tap.run().unwrap_or_else(|error| fail(error.into())))
        }
        Task::Listen(listen) => {
            let tap = HttpTap::start(&settings, listen).unwrap_or_else(|error| fail(error));
            tap.run().unwrap_or_else(|error| fail(error.into()));
        }
        Task::Health(address) => {
            if let Err(unwell) = health::check(*address) {
                eprintln!("mcp-tap: {:#}", anyhow::Error::from(unwell));
                exit(SOFTWARE)
            }
        }
    }
}

fn edit_configurations() {
    let words = env::args_os().skip(1);
    let Err(errors) = wrap::run(words, |key| env::var_os(key), &mut io::stdout()) else { return };
    for error in errors {
        match error {
            WrapError::Arguments(error) => refuse(&error.into()),
            error => eprintln!("mcp-tap: {error}"),
        }
    }
    exit(USAGE)
}

/// Standard output belongs to the protocol, so the log goes to standard error.
fn start_log() {
    let wanted = env::var("MCP_TAP_LOG").unwrap_or_default();
    let quiet = || Targets::new().with_default(LevelFilter::WARN);
    let (filter, problem) = match wanted.parse() {
        _ if wanted.is_empty() => (quiet(), None),
        Ok(filter) => (filter, None),
        Err(problem) => (quiet(), Some(problem)),
    };
    let lines = fmt::layer().with_writer(io::stderr).with_filter(filter);
    tracing_subscriber::registry().with(lines).init();
    if let Some(error) = problem {
        // A word about the log is no reason to keep a client from its server.
        tracing::warn!(%error, "MCP_TAP_LOG is {wanted:?}; expected levels, as in `info,mcp_tap=debug`");
    }
}

fn refuse(error: &UsageError) -> ! {
    match error {
        UsageError::Arguments(error) => {
            // Help goes to standard output and is no error; the client is not served yet.
            _ = error.print();
            exit(if error.use_stderr() { USAGE } else { 0 })
        }
        error => {
            eprintln!("mcp-tap: {error}");
            exit(USAGE)
        }
    }
}

fn fail(error: StartError) -> ! {
    let code = match &error {
        StartError::Settings(_) | StartError::Rules(_) => USAGE,
        StartError::Spawn(error) => error.exit_code().into(),
        StartError::Listen { .. }
        | StartError::Page(_)
        | StartError::Tls(_)
        | StartError::System(_) => SOFTWARE,
    };
    eprintln!("mcp-tap: {:#}", anyhow::Error::from(error));
    exit(code)
}

/// Ends as the server ended, by the same signal if one ended it.
fn leave(end: End) -> ! {
    match end {
        End::Exited(code) => exit(code),
        End::Killed(signal) => {
            // The server's core is the one to look at.
            _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
            _ = emulate_default_handler(signal);
            // Only a signal that is not known by name comes here.
            exit(128 + signal)
        }
    }
}
