//! Our programs as processes of their own.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::Instant;

use super::{PATIENCE, until};

const REMEDIATION: &str = env!("CARGO_BIN_EXE_mcp-remediation");

pub(crate) const READ: &str = "read-0123456789abcdefgh";
pub(crate) const OPERATE: &str = "operate-0123456789abcdef";
pub(crate) const WEBHOOK: &str = "webhook-0123456789abcdef";

/// A running program. It is killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

/// A reply over HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Program {
    /// Remediation, with that folder for its state.
    pub(crate) fn remediation(config: &Path, state: &Path, environment: &[(&str, String)]) -> Self {
        let port = ("MCPMON__REMEDIATION__PORT", "0".to_owned());
        Self::start(Path::new(REMEDIATION), config, state, &[&[port], environment].concat())
    }

    /// The health monitor, which cargo puts beside it.
    pub(crate) fn monitor(config: &Path, state: &Path, port: u16) -> Self {
        let program = Path::new(REMEDIATION).with_file_name("mcp-health-monitor");
        assert!(
            program.exists(),
            "{} is missing: build it with `cargo build --profile ci --workspace --all-targets`",
            program.display()
        );
        let port = ("MCPMON__HEALTH_MONITOR__PORT", port.to_string());
        Self::start(&program, config, state, &[port])
    }

    fn start(program: &Path, config: &Path, state: &Path, environment: &[(&str, String)]) -> Self {
        fs::create_dir_all(state).unwrap();
        // Each start has a log of its own.
        let count = fs::read_dir(state).unwrap().count();
        let log = state.join(format!("log-{count}"));
        let mut child = Command::new(program)
            .arg("--config")
            .arg(config)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("MCPMON__COORDINATION__STATE_DIR", state)
            .env("RUST_LOG", "debug,h2=info,hyper_util=info")
            .envs(environment.iter().map(|(name, value)| (*name, value)))
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

    /// What it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// What it holds of the machine's memory, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    }

    /// Stops its clock.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        until("its end", || self.child.try_wait().unwrap())
    }

    pub(crate) fn send(&self, method: &str, path: &str, token: &str, body: &str) -> Reply {
        self.try_send(method, path, token, body).unwrap()
    }

    fn try_send(
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
        let reply = self.send("GET", path, READ, "");
        assert_eq!(reply.status, 200, "{path}: {reply:?}\n{}", self.log());
        reply.body
    }

    #[track_caller]
    pub(crate) fn operate(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, OPERATE, &body.to_string())
    }

    #[track_caller]
    pub(crate) fn metrics(&self) -> String {
        self.get("/metrics")
    }

    /// `GET /api/v1/remediation`.
    #[track_caller]
    pub(crate) fn board(&self) -> Value {
        serde_json::from_str(&self.get("/api/v1/remediation")).unwrap()
    }

    /// Whether it is the one that may act.
    pub(crate) fn leads(&self) -> bool {
        self.board()["leading"] == true
    }

    /// Waits until the board says so of the component.
    #[track_caller]
    pub(crate) fn wait_reason(&self, component: &str, reason: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let board = self.board();
            let incidents = board["incidents"].as_array().unwrap();
            let is = |it: &&Value| it["component"] == component && it["reason"] == reason;
            if let Some(found) = incidents.iter().find(is) {
                return found.clone();
            }
            let late = Instant::now() >= end;
            assert!(!late, "{component} is not {reason}: {board:#}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    /// A component as the monitor reports it.
    #[track_caller]
    pub(crate) fn component(&self, name: &str) -> Value {
        let report: Value = serde_json::from_str(&self.get("/api/v1/components")).unwrap();
        let components = report["components"].as_array().unwrap();
        components.iter().find(|component| component["name"] == name).unwrap().clone()
    }

    /// Waits until the monitor says so of the component.
    #[track_caller]
    pub(crate) fn wait_state(&self, name: &str, state: &str) {
        until(&format!("{name} is {state}"), || {
            (self.component(name)["state"] == state).then_some(())
        });
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
