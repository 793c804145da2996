//! Debian's `redis-benchmark` with like calls.

use std::process::Command;

use anyhow::{Context, ensure};
use mcpmon_testkit::redis_server::RedisServer;

/// A record of an HTTP component takes this much.
pub(super) const DOCUMENT_BYTES: usize = 300;
/// So much of a second a run takes at the least.
const CALLS_AT_ONCE: usize = 8_000;

/// What every script of ours does: read a hash, compare, write it, set its end.
const SCRIPT: &str = "local found = redis.call('HMGET', KEYS[1], 'p', 'v') \
    if found[1] == ARGV[1] then return false end \
    redis.call('HSET', KEYS[1], 'p', ARGV[2], 'v', ARGV[3]) \
    redis.call('PEXPIRE', KEYS[1], 60000) return 1";

/// One call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// Reads a document.
    Read,
    /// A script that writes a holder's name.
    ShortScript,
    /// A script that writes a document.
    DocumentScript,
}

impl Call {
    pub(super) const ALL: [Self; 3] = [Self::Read, Self::ShortScript, Self::DocumentScript];

    /// Its place in [`Call::ALL`].
    pub(super) fn place(self) -> usize {
        self as usize
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Read => "HMGET of a document",
            Self::ShortScript => "EVALSHA that writes a name",
            Self::DocumentScript => "EVALSHA that writes a document",
        }
    }
}

/// The benchmark that comes with Redis.
#[derive(Debug)]
pub(super) struct Theirs {
    port: String,
    digest: String,
}

impl Theirs {
    pub(super) fn new(redis: &RedisServer) -> anyhow::Result<Self> {
        redis.must(&["HSET", "like:document", "p", &"0".repeat(20), "v", &value(DOCUMENT_BYTES)]);
        let port = redis.port().to_string();
        let mut load = Command::new("redis-cli");
        let output = load.args(["-p", &port, "SCRIPT", "LOAD", SCRIPT]).output();
        let digest = output.context("cannot start redis-cli")?.stdout;
        let digest = String::from_utf8_lossy(&digest).trim().to_owned();
        ensure!(digest.len() == 40, "Redis does not take the script: {digest}");
        Ok(Self { port, digest })
    }

    /// How many calls per second so many connections make.
    pub(super) fn rate(&self, call: Call, at_once: usize) -> anyhow::Result<f64> {
        let mut command = Command::new("redis-benchmark");
        let calls = CALLS_AT_ONCE * if at_once == 1 { 1 } else { 4 };
        command.args(["-h", "127.0.0.1", "-p", &self.port, "--csv"]);
        command.args(["-c", &at_once.to_string(), "-n", &calls.to_string()]);
        let mut script = |key, bytes| {
            command.args(["EVALSHA", &self.digest, "1", key, "x"]);
            command.args([&"0".repeat(20), &value(bytes)]);
        };
        match call {
            Call::Read => _ = command.args(["HMGET", "like:document", "p", "v"]),
            Call::ShortScript => script("like:lease", 32),
            Call::DocumentScript => script("like:written", DOCUMENT_BYTES),
        }
        let output = command.output().context("cannot start redis-benchmark")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success() && !errors.contains("Error"),
            "redis-benchmark failed: {}: {text}{errors}",
            output.status
        );
        let cells: Vec<_> = text.lines().last().unwrap_or_default().split("\",\"").collect();
        let rate = cells.get(1).and_then(|cell| cell.trim_matches('"').parse().ok());
        rate.with_context(|| format!("redis-benchmark printed no rate: {text}"))
    }
}

fn value(bytes: usize) -> String {
    "x".repeat(bytes)
}
