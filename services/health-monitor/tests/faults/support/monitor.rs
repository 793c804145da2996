//! The program `mcp-health-monitor` as a process of its own.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Deref;
use std::path::Path;
use std::process::{Command, ExitStatus, Output};
use std::time::Duration;

use mcpmon_testkit::program::{PATIENCE, Program, Reply};
use serde_json::Value;
use tokio::time::Instant;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_mcp-health-monitor");

/// The tokens of every monitor here.
pub(crate) const READ: &str = "read-0123456789abcdefgh";
pub(crate) const OPERATE: &str = "operate-0123456789abcdef";

/// A running monitor.
pub(crate) struct Monitor(Program);

/// A connection that is kept.
pub(crate) struct Kept(BufReader<TcpStream>);

/// Runs it to its end, with nothing in the environment but its state directory and these
/// variables.
pub(crate) fn run(arguments: &[&str], state: &Path, environment: &[(&str, &str)]) -> Output {
    let environment = environment.iter().copied();
    Command::new(PROGRAM)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("MCPMON__COORDINATION__STATE_DIR", state)
        .envs(environment)
        .output()
        .unwrap()
}

impl Monitor {
    /// Starts it by these arguments.
    pub(crate) fn start_with<A: AsRef<OsStr>>(arguments: &[A], state: &Path) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(arguments);
        Self::start_as(command, state)
    }

    /// Starts it by another command, if it is one, which runs the program that follows.
    pub(crate) fn start_under<A: AsRef<OsStr>>(before: &[A], config: &Path, state: &Path) -> Self {
        let mut words = before.iter().map(AsRef::as_ref).chain([PROGRAM.as_ref()]);
        let mut command = Command::new(words.next().expect("the program at least"));
        command.args(words).arg("--config").arg(config);
        Self::start_as(command, state)
    }

    fn start_as(mut command: Command, state: &Path) -> Self {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("MCPMON__HEALTH_MONITOR__PORT", "0")
            .env("MCPMON__COORDINATION__STATE_DIR", state)
            .env("RUST_LOG", "debug");
        Self(Program::start(&mut command, state))
    }

    /// Opens a connection for several requests.
    pub(crate) fn keep(&self) -> Kept {
        Kept(BufReader::new(self.connect().unwrap()))
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(self) {
        self.0.kill();
    }

    /// Asks it to stop, and waits until it has.
    #[track_caller]
    pub(crate) fn terminate(self) -> ExitStatus {
        self.0.terminate()
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> String {
        let reply = self.ask("GET", path, READ, "").unwrap();
        assert_eq!(reply.status, 200, "{path}: {reply:?}\n{}", self.log());
        reply.body
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &str) -> Reply {
        self.ask("POST", path, OPERATE, body).unwrap()
    }

    /// `GET /api/v1/components`.
    #[track_caller]
    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.get("/api/v1/components")).unwrap()
    }

    #[track_caller]
    pub(crate) fn metrics(&self) -> String {
        self.get("/metrics")
    }

    /// A component of the report.
    #[track_caller]
    pub(crate) fn component(&self, name: &str) -> Value {
        let report = self.report();
        let components = report["components"].as_array().unwrap();
        components.iter().find(|component| component["name"] == name).unwrap().clone()
    }

    /// Waits until the component is in that state, and gives it.
    #[track_caller]
    pub(crate) fn wait_state(&self, name: &str, state: &str) -> Value {
        self.wait(&format!("{name} is {state}"), |report| {
            let components = report["components"].as_array().unwrap();
            components.iter().any(|it| it["name"] == name && it["state"] == state)
        });
        self.component(name)
    }

    /// Waits until the report is as wanted, and gives it.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let report = self.report();
            if wanted(&report) {
                return report;
            }
            let late = Instant::now() >= end;
            assert!(!late, "not within {PATIENCE:?}: {what}\n{report:#}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(25));
        }
    }
}

impl Kept {
    /// The body of a good reply.
    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) -> String {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {READ}\r\n\r\n"
        );
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut length, mut line) = (None, String::new());
        loop {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                if line.trim_end().is_empty() {
                    break;
                }
                assert!(line.starts_with("HTTP/1.1 200"), "{line}");
                continue;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().ok();
            }
        }
        let mut body = vec![0; length.expect("a length")];
        self.0.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }
}

impl Deref for Monitor {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.0
    }
}
