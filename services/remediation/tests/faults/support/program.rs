//! Our programs as processes of their own.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mcpmon_testkit::program::{self, PATIENCE, Reply, until};
use serde_json::Value;
use tokio::time::Instant;

const REMEDIATION: &str = env!("CARGO_BIN_EXE_mcp-remediation");

pub(crate) const READ: &str = "read-0123456789abcdefgh";
pub(crate) const OPERATE: &str = "operate-0123456789abcdef";
pub(crate) const WEBHOOK: &str = "webhook-0123456789abcdef";

/// A running program.
pub(crate) struct Program(program::Program);

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
        let mut command = Command::new(program);
        command
            .arg("--config")
            .arg(config)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("MCPMON__COORDINATION__STATE_DIR", state)
            .env("RUST_LOG", "debug,h2=info,hyper_util=info")
            .envs(environment.iter().map(|(name, value)| (*name, value)));
        Self(program::Program::start(&mut command, state))
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(self) {
        self.0.kill();
    }

    pub(crate) fn send(&self, method: &str, path: &str, token: &str, body: &str) -> Reply {
        self.ask(method, path, token, body).unwrap()
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

impl Deref for Program {
    type Target = program::Program;

    fn deref(&self) -> &program::Program {
        &self.0
    }
}

impl DerefMut for Program {
    fn deref_mut(&mut self) -> &mut program::Program {
        &mut self.0
    }
}
