//! What the tests start, and how they wait for it.

mod apart;
mod monitor;
mod slack;
mod target;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use mcpmon_coordination::streak::{self, CheckResult, History};
use mcpmon_coordination::{Incident, Redis, RedisConfig, incident};
use mcpmon_testkit::redis_server::RedisServer;
use tempfile::TempDir;

pub(crate) use mcpmon_testkit::program::{PATIENCE, until};

pub(crate) use self::apart::{apart, shell};
pub(crate) use self::monitor::{Monitor, OPERATE, READ, run};
pub(crate) use self::slack::{Kind, Slack, WEBHOOK_SECRET};
pub(crate) use self::target::{Target, Way};

/// A folder with one configuration and the state of each replica.
pub(crate) struct World {
    folder: TempDir,
    text: String,
    under: Vec<String>,
}

impl World {
    /// A configuration with short times and a webhook; components follow.
    pub(crate) fn new(slack: &Slack) -> Self {
        let world =
            Self { folder: tempfile::tempdir().unwrap(), text: String::new(), under: vec![] };
        world
            .section(
                "slack",
                &format!("webhook_url = \"{}\"\ngroup_seconds = 0.2", slack.webhook()),
            )
            .section(
                "health_monitor",
                &format!(
                    "read_token = \"{READ}\"\noperate_token = \"{OPERATE}\"\n\
                     interval_seconds = 0.5\nrecheck_seconds = 0.2\ntimeout_seconds = 1\n\
                     shutdown_grace_seconds = 3"
                ),
            )
    }

    pub(crate) fn section(mut self, name: &str, keys: &str) -> Self {
        writeln!(self.text, "[{name}]\n{keys}\n").unwrap();
        self
    }

    /// Shares state in the Redis at that port, which is noticed to be away within 0.2 s.
    pub(crate) fn redis(self, port: u16) -> Self {
        let keys = format!(
            "url = \"redis://127.0.0.1:{port}\"\nconnect_timeout_seconds = 0.2\n\
             response_timeout_seconds = 0.2"
        );
        self.section("coordination", &keys)
    }

    /// Watches a component of kind `http`.
    pub(crate) fn http(self, name: &str, target: &Target, more: &str) -> Self {
        self.component(name, &format!("kind = \"http\"\nurl = \"{}\"\n{more}", target.url()))
    }

    pub(crate) fn component(self, name: &str, keys: &str) -> Self {
        self.section(&format!("health_monitor.components.{name}"), keys)
    }

    /// Replicas are started by this command, if it is one, which runs the program that follows.
    pub(crate) fn under(mut self, command: &[&str]) -> Self {
        self.under = command.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Changes the configuration.
    pub(crate) fn replace(&mut self, from: &str, to: &str) {
        assert!(self.text.contains(from), "{from} is not in {}", self.text);
        self.text = self.text.replace(from, to);
    }

    /// Writes the configuration.
    pub(crate) fn write(&self) -> PathBuf {
        let file = self.folder.path().join("mcpmon.toml");
        fs::write(&file, &self.text).unwrap();
        file
    }

    /// The state directory of that replica, as the environment names it.
    pub(crate) fn state(&self, replica: &str) -> PathBuf {
        self.folder.path().join(replica)
    }

    /// Starts a replica.
    pub(crate) fn start(&self, replica: &str) -> Monitor {
        Monitor::start_under(&self.under, &self.write(), &self.state(replica))
    }
}

/// The shared history of a component, as Redis has it.
pub(crate) fn history(redis: &RedisServer, component: &str) -> History {
    ask(redis, async |store| streak::history(store, component).await).unwrap()
}

/// The component's last incident, as Redis has it.
pub(crate) fn last_incident(redis: &RedisServer, component: &str) -> Option<Incident> {
    ask(redis, async |store| incident::last_incident(store, component).await).unwrap()
}

fn ask<T>(redis: &RedisServer, ask: impl AsyncFnOnce(&Redis) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Redis::new(&RedisConfig::new(redis.url())).unwrap();
        ask(&store).await
    })
}

/// Each slot stands once, in order, and the counts are those of the results.
pub(crate) fn assert_sound(history: &History) {
    let recent: Vec<_> = history.recent().collect();
    assert!(recent.windows(2).all(|pair| pair[0].0 < pair[1].0), "{history:?}");
    let failures = recent.iter().rev().take_while(|(_, result)| *result == CheckResult::Fail);
    let counted = history.consecutive_failures() as usize;
    let seen = failures.count();
    assert!(counted == seen || (seen == recent.len() && counted > seen), "{history:?}");
}
