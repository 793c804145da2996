//! The boutique as a child process.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use boutique_server::Options;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

/// How long a start may take until the server has said where it listens.
const START: Duration = Duration::from_secs(10);

/// How long an end may take until the process is killed. Longer than the server's own grace.
const STOP: Duration = Duration::from_secs(7);

const ANNOUNCEMENT: &str = "listening on ";

/// A running server.
///
/// The server ends with its standard input, so it ends when this process does, even if that is
/// killed.
#[derive(Debug)]
pub struct Child {
    process: tokio::process::Child,
    /// Its end ends the server. Kept apart from the process, whose `wait` would close it.
    stdin: ChildStdin,
    /// Held open: a server that writes on must not meet a closed pipe.
    _stdout: Lines<BufReader<ChildStdout>>,
    url: String,
}

/// Why there is no running server.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The program cannot be started.
    #[error("cannot start {program}")]
    Spawn {
        /// The program's path.
        program: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The process ended before it listened.
    #[error("the demo server ended before it listened ({0}); its log says why")]
    Died(ExitStatus),
    /// The process wrote something else than its address.
    #[error("the demo server wrote {0:?} where \"listening on URL\" was expected")]
    Unexpected(String),
    /// The process said nothing.
    #[error("the demo server did not listen within {START:?}")]
    Silent,
    /// The process cannot be watched.
    #[error("cannot watch the demo server")]
    Watch(#[from] std::io::Error),
}

/// The command that runs this very program as the boutique, to listen on `address`: its hidden
/// subcommand `demo-server`, which takes `boutique_server::Args`.
///
/// # Errors
/// When the system does not say which program this is.
pub fn demo_server(
    exporter_url: &str,
    exporter_token: Option<&str>,
    options: Options,
    address: &str,
) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["demo-server", "--listen", address, "--until-stdin-ends"])
        .args(["--seed", &options.seed.to_string(), "--pace", &options.pace.to_string()])
        .env("MCP_EXPORTER_URL", exporter_url)
        .env_remove("MCP_EXPORTER_TOKEN")
        .env_remove("MCP_EXPORTER_TOKEN_FILE");
    if let Some(token) = exporter_token {
        command.env("MCP_EXPORTER_TOKEN", token);
    }
    Ok(command)
}

impl Child {
    /// Starts `command` and waits until it says where it listens.
    ///
    /// Give the server `--until-stdin-ends`; its standard error goes where ours does.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not say within 10 s where it listens.
    pub async fn start(mut command: Command) -> Result<Self, ChildError> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| ChildError::Spawn { program, source })?;
        let stdin = process.stdin.take().expect("stdin is piped");
        let stdout = process.stdout.take().expect("stdout is piped");
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(START, lines.next_line())
            .await
            .map_err(|_| ChildError::Silent)??;
        let Some(line) = line else { return Err(ChildError::Died(process.wait().await?)) };
        match line.strip_prefix(ANNOUNCEMENT) {
            Some(url) => Ok(Self { url: url.to_owned(), process, stdin, _stdout: lines }),
            None => Err(ChildError::Unexpected(line)),
        }
    }

    /// The MCP endpoint.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits until the process ends by itself.
    ///
    /// # Errors
    /// When the process cannot be watched.
    pub async fn ended(&mut self) -> Result<ExitStatus, ChildError> {
        Ok(self.process.wait().await?)
    }

    /// Lets the process end: closes its standard input, and kills it when that does not help.
    ///
    /// # Errors
    /// When the process cannot be watched.
    pub async fn stop(mut self) -> Result<ExitStatus, ChildError> {
        drop(self.stdin);
        if let Ok(status) = tokio::time::timeout(STOP, self.process.wait()).await {
            return Ok(status?);
        }
        tracing::warn!(waited = ?STOP, "the demo server did not end; it is killed");
        self.process.kill().await?;
        Ok(self.process.wait().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_copy_of_this_program_gets_the_exporter_and_its_token_alone() {
        let options = Options { seed: 7, pace: 0.5 };
        let command =
            demo_server("http://127.0.0.1:9090", Some("s3cr3t"), options, "127.0.0.1:0").unwrap();
        let arguments: Vec<_> = command.as_std().get_args().collect();
        assert_eq!(arguments[0], "demo-server");
        assert_eq!(arguments[4..], ["--seed", "7", "--pace", "0.5"]);
        let set: Vec<_> = command
            .as_std()
            .get_envs()
            .filter_map(|(key, value)| Some((key.to_str()?, value?.to_str()?)))
            .collect();
        assert_eq!(
            set,
            [("MCP_EXPORTER_TOKEN", "s3cr3t"), ("MCP_EXPORTER_URL", "http://127.0.0.1:9090")]
        );
    }

    #[tokio::test]
    async fn says_where_it_listens_and_ends_with_its_stdin() {
        let script = "echo 'listening on http://127.0.0.1:1/mcp'; cat; exit 7";
        let child = Child::start(shell(script)).await.unwrap();
        assert_eq!(child.url(), "http://127.0.0.1:1/mcp");
        assert!(child.id().is_some());
        assert_eq!(child.stop().await.unwrap().code(), Some(7));
    }

    #[tokio::test]
    async fn an_early_end_is_told() {
        let error = Child::start(shell("exit 3")).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the demo server ended before it listened (exit status: 3); its log says why"
        );
    }

    #[tokio::test]
    async fn something_else_on_stdout_is_told() {
        let error = Child::start(shell("echo hello; cat")).await.unwrap_err();
        assert!(matches!(error, ChildError::Unexpected(line) if line == "hello"));
    }

    #[tokio::test]
    async fn a_program_that_is_missing_is_named() {
        let error = Child::start(Command::new("/nonexistent/boutique")).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot start /nonexistent/boutique");
    }

    #[tokio::test]
    async fn an_end_that_does_not_come_is_forced() {
        let script = "echo 'listening on x'; exec sleep 600";
        let child = Child::start(shell(script)).await.unwrap();
        tokio::time::pause();
        let status = child.stop().await.unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }
}
