//! The program `mcp-health-monitor` as a process of its own.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::Instant;

use super::PATIENCE;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_mcp-health-monitor");

/// The tokens of every monitor here.
pub(crate) const READ: &str = "read-0123456789abcdefgh";
pub(crate) const OPERATE: &str = "operate-0123456789abcdef";

/// A running monitor. It is killed when it is dropped.
pub(crate) struct Monitor {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

/// A connection that is kept.
pub(crate) struct Kept(BufReader<TcpStream>);

/// A reply over HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

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

/// Asks until there is an answer; nothing tells when another process has changed.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(25));
    }
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
        fs::create_dir_all(state).unwrap();
        // Each start has a log of its own.
        let count = fs::read_dir(state).unwrap().count();
        let log = state.join(format!("log-{count}"));
        let mut child = command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("MCPMON__HEALTH_MONITOR__PORT", "0")
            .env("MCPMON__COORDINATION__STATE_DIR", state)
            .env("RUST_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://");
        let Some(address) = address else {
            panic!("it does not start: {}", fs::read_to_string(&log).unwrap())
        };
        Self { child, address: address.parse().unwrap(), log }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens a connection for several requests.
    pub(crate) fn connect(&self) -> Kept {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Kept(BufReader::new(stream))
    }

    /// What it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The most memory that it ever held, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, and waits until it has.
    #[track_caller]
    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        until("its end", || self.child.try_wait().unwrap())
    }

    pub(crate) fn try_send(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: &str,
    ) -> std::io::Result<Reply> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Ok(Reply { status, body: body.to_owned() })
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> String {
        let reply = self.try_send("GET", path, READ, "").unwrap();
        assert_eq!(reply.status, 200, "{path}: {reply:?}\n{}", self.log());
        reply.body
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &str) -> Reply {
        self.try_send("POST", path, OPERATE, body).unwrap()
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

impl Drop for Monitor {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
