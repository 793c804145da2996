//! Starting the server.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// What only the tap may know: a server has no business with the exporter's token.
const SECRETS: [&str; 2] = ["MCP_EXPORTER_TOKEN", "MCP_EXPORTER_TOKEN_FILE"];

/// Why the server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There is no such program.
    #[error("cannot run `{}`: no such program; expected a command on the PATH or a path to one", .program.display())]
    NotFound {
        /// The command's first word.
        program: OsString,
        /// The system's error.
        source: io::Error,
    },
    /// The program cannot be executed.
    #[error("cannot run `{}`: it cannot be executed", .program.display())]
    NotExecutable {
        /// The command's first word.
        program: OsString,
        /// The system's error.
        source: io::Error,
    },
}

impl SpawnError {
    fn new(program: &OsStr, source: io::Error) -> Self {
        let program = program.to_owned();
        match source.kind() {
            ErrorKind::NotFound => Self::NotFound { program, source },
            _ => Self::NotExecutable { program, source },
        }
    }

    /// The exit code that a shell would give.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
        }
    }
}

/// Starts `program` with its standard error inherited: what it logs is none of our business.
///
/// It leads a process group of its own: what a terminal or a client sends to our group reaches the
/// tap alone, which passes it on. In one group the server would get it twice.
///
/// # Errors
/// When there is no such program, or it cannot be executed.
pub fn spawn(program: &OsStr, arguments: &[OsString]) -> Result<Child, SpawnError> {
    let mut command = Command::new(program);
    for key in SECRETS {
        command.env_remove(key);
    }
    command
        .args(arguments)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|source| SpawnError::new(program, source))
}
