//! The program `mcp-exporter` as a process of its own.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::Deref;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use mcpmon_bootstrap::settings::environment_name;
use rustix::process::{Pid, Signal, kill_process};

use super::Client;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mcp-exporter");

/// A running program. It is killed when it is dropped.
pub(crate) struct Program {
    client: Client,
    child: Child,
}

/// That many, in bytes.
pub(crate) fn mebibytes(count: u64) -> u64 {
    count << 20
}

/// Runs it to its end, with nothing in the environment but these variables.
pub(crate) fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let environment = environment.iter().copied();
    Command::new(PROGRAM).args(arguments).env_clear().envs(environment).output().unwrap()
}

impl Program {
    /// Starts it on a free port; `config` holds keys such as `exporter.workers` and their texts.
    pub(crate) fn start(config: &[(&str, &str)]) -> Self {
        let config = config.iter().map(|(key, value)| (environment_name(key), value));
        let mut child = Command::new(PROGRAM)
            .env_clear()
            .env("METRICS_PORT", "0")
            .env("RUST_LOG", "warn")
            .envs(config)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://");
        let client = Client::new(address.expect("the address").parse().unwrap());
        Self { client, child }
    }

    /// The most memory that it ever held, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Its end, and what it wrote to standard error.
    pub(crate) async fn end(mut self) -> (ExitStatus, String) {
        let waiting = tokio::task::spawn_blocking(move || {
            let mut log = String::new();
            self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
            (self.child.wait().unwrap(), log)
        });
        tokio::time::timeout(super::PATIENCE, waiting).await.expect("it never ends").unwrap()
    }
}

impl Deref for Program {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
