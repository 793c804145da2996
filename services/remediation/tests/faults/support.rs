//! What the tests start, and how they wait for it.

#![expect(clippy::print_stderr, reason = "a test that fails says what happened")]

pub(crate) mod docker;
mod history;
mod program;
mod slack;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcpmon_coordination::budget::{self, Limits};
use mcpmon_coordination::incident::{self, Failure, Origin};
use mcpmon_coordination::{Incident, Redis, RedisConfig};
use mcpmon_testkit::redis_server::{Persistence, RedisServer};
use tempfile::TempDir;
use tokio::time::Instant;

pub(crate) use mcpmon_testkit::program::{PATIENCE, until};

pub(crate) use self::docker::{Docker, Restart};
pub(crate) use self::history::History;
pub(crate) use self::program::{OPERATE, Program, READ, WEBHOOK};
pub(crate) use self::slack::Slack;

pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// The lease of who may act, as Redis knows it.
pub(crate) const LEASE_KEY: &str = "mcpmon::lease:remediation";

/// One Redis, one engine, one configuration, and the state of each replica. It looks at the history
/// when it ends.
pub(crate) struct World {
    pub(crate) redis: RedisServer,
    pub(crate) slack: Slack,
    pub(crate) docker: Docker,
    folder: TempDir,
    components: String,
    monitor_port: u16,
    coordination: String,
    monitor: BTreeMap<String, String>,
    keys: BTreeMap<String, String>,
    /// Where the audit is.
    shared: Option<PathBuf>,
}

/// Watches for that long that something stays so. Nothing tells that something does not happen.
#[track_caller]
pub(crate) fn throughout(time: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        assert!(is_so(), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Unix milliseconds.
pub(crate) fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        Self::over(Persistence::Aof)
    }

    pub(crate) fn over(persistence: Persistence) -> Self {
        let redis = RedisServer::start(persistence);
        let coordination = format!(
            "url = \"{}\"\nconnect_timeout_seconds = 0.5\nresponse_timeout_seconds = 0.5",
            redis.url()
        );
        let monitor = [
            ("interval_seconds", "1"),
            ("recheck_seconds", "0.2"),
            ("timeout_seconds", "0.5"),
            ("shutdown_grace_seconds", "1"),
        ];
        let keys = [
            ("lease_seconds", "2"),
            ("verify_every_seconds", "0.1"),
            ("verify_seconds", "3"),
            ("grace_seconds", "0.1"),
            ("look_seconds", "1"),
            ("act_seconds", "2"),
            ("cool_down_seconds", "1"),
            ("clock_skew_seconds", "0"),
            ("storm_cool_down_seconds", "1"),
            ("shutdown_grace_seconds", "3"),
        ];
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        Self {
            redis,
            slack: Slack::start(),
            docker: Docker::start(),
            folder: tempfile::tempdir().unwrap(),
            components: String::new(),
            monitor_port: free_port(),
            coordination,
            monitor: monitor.map(owned).into(),
            keys: keys.map(owned).into(),
            shared: None,
        }
    }

    /// A key of the section `remediation`.
    pub(crate) fn key(mut self, key: &str, value: &str) -> Self {
        self.keys.insert(key.to_owned(), value.to_owned());
        self
    }

    /// A key of the section `health_monitor`.
    pub(crate) fn monitor_key(mut self, key: &str, value: &str) -> Self {
        self.monitor.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The key `url` of the section `coordination`.
    pub(crate) fn redis_url(mut self, url: &str) -> Self {
        self.coordination = format!("url = \"{url}\"");
        self
    }

    /// Audit and locks are in this folder.
    pub(crate) fn shared_in(mut self, folder: PathBuf) -> Self {
        self.shared = Some(folder);
        self
    }

    /// A component that is a real Redis in the container `<name>-1`, restarted when it fails.
    pub(crate) fn component(self, name: &str) -> Self {
        self.component_with(name, "", "mode = \"act\"")
    }

    /// The same with more keys for the monitor, and other keys for the rule.
    pub(crate) fn component_with(self, name: &str, monitor: &str, rule: &str) -> Self {
        let container = format!("{name}-1");
        let port = self.server(&container);
        let rule = match rule.contains("ladder") {
            true => rule.to_owned(),
            false => format!("ladder = [\"{container}\"]\n{rule}"),
        };
        self.watch(
            name,
            &format!("kind = \"redis\"\nurl = \"redis://127.0.0.1:{port}\"\n{monitor}"),
        )
        .target(&container)
        .rule(name, &rule)
    }

    /// Runs a small server in a container and says on which port it listens.
    pub(crate) fn server(&self, container: &str) -> u16 {
        let port = free_port();
        self.serve_on(container, port);
        until("the server listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
        port
    }

    /// The same on that port.
    pub(crate) fn serve_on(&self, container: &str, port: u16) {
        self.docker.run(
            container,
            Box::new(move |after| {
                let seconds = after.as_secs_f64();
                let options = "--bind 127.0.0.1 --save '' --appendonly no --loglevel warning";
                let line = format!("exec redis-server --port {port} {options} >/dev/null");
                let wait =
                    if after.is_zero() { String::new() } else { format!("sleep {seconds};") };
                Some(docker::shell(&format!("{wait} {line}")))
            }),
        );
    }

    /// A component of the monitor.
    pub(crate) fn watch(mut self, name: &str, keys: &str) -> Self {
        writeln!(self.components, "[health_monitor.components.{name}]\n{keys}\n").unwrap();
        self
    }

    /// A container that may be restarted.
    pub(crate) fn target(mut self, container: &str) -> Self {
        let engine = self.docker.address();
        writeln!(
            self.components,
            "[remediation.targets.{container}]\nkind = \"docker\"\ncontainer = \"{container}\"\n\
             engine = \"{engine}\"\nstop_seconds = 1\n"
        )
        .unwrap();
        self
    }

    pub(crate) fn rule(mut self, component: &str, keys: &str) -> Self {
        writeln!(
            self.components,
            "[remediation.rules.{component}]\ncomponent = \"{component}\"\nfailures = \
             [\"connection_refused\", \"timeout\", \"mcp_broken\", \"tools_missing\", \"http_5xx\", \
             \"other\"]\n{keys}\n"
        )
        .unwrap();
        self
    }

    fn write(&self) -> PathBuf {
        let keys = |keys: &BTreeMap<String, String>| {
            keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect::<String>()
        };
        let text = format!(
            "[coordination]\n{}\n\n[slack]\nwebhook_url = \"{}\"\ngroup_seconds = 0.2\n\n\
             [health_monitor]\nread_token = \"{READ}\"\noperate_token = \"{OPERATE}\"\n{}\n\
             [remediation]\nread_token = \"{READ}\"\noperate_token = \"{OPERATE}\"\n\
             webhook_token = \"{WEBHOOK}\"\n{}\n[remediation.monitor]\nurl = \"http://127.0.0.1:{}\"\n\
             token = \"{OPERATE}\"\n\n{}",
            self.coordination,
            self.slack.webhook(),
            keys(&self.monitor),
            keys(&self.keys),
            self.monitor_port,
            self.components
        );
        let file = self.folder.path().join("mcpmon.toml");
        fs::write(&file, text).unwrap();
        file
    }

    pub(crate) fn state(&self, replica: &str) -> PathBuf {
        self.folder.path().join(replica)
    }

    /// The folder of audit and locks.
    pub(crate) fn shared_dir(&self) -> PathBuf {
        self.shared.clone().unwrap_or_else(|| self.folder.path().join("shared"))
    }

    /// Starts the monitor that remediation asks.
    pub(crate) fn monitor(&self) -> Program {
        Program::monitor(&self.write(), &self.state("monitor"), self.monitor_port)
    }

    /// Starts another monitor.
    pub(crate) fn another_monitor(&self) -> Program {
        Program::monitor(&self.write(), &self.state("monitor-2"), 0)
    }

    /// Starts a replica of remediation.
    pub(crate) fn remediation(&self, replica: &str) -> Program {
        self.remediation_in(replica, &self.shared_dir())
    }

    /// Starts one on a machine of its own.
    pub(crate) fn remediation_in(&self, replica: &str, shared: &Path) -> Program {
        let shared = shared.display().to_string();
        let shared = ("MCPMON__REMEDIATION__SHARED_DIR", shared);
        Program::remediation(&self.write(), &self.state(replica), &[shared])
    }

    /// Starts a replica and waits until it is the one that may act.
    pub(crate) fn leader(&self, replica: &str) -> Program {
        let started = self.remediation(replica);
        until("it leads", || started.leads().then_some(()));
        started
    }

    /// What happened so far.
    pub(crate) fn history(&self) -> History {
        History::read(&[self.shared_dir()], self.docker.acts())
    }

    /// Waits until so many actions ended on record, and looks at the whole history.
    #[track_caller]
    pub(crate) fn wait_outcomes(&self, outcomes: usize) -> History {
        let history = until(&format!("{outcomes} outcomes"), || {
            let history = self.history();
            (history.results().len() >= outcomes).then_some(history)
        });
        history.assert_sound();
        history
    }

    /// Asks the coordination store.
    pub(crate) fn ask<T>(&self, ask: impl AsyncFnOnce(&Redis) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Redis::new(&RedisConfig::new(self.redis.url())).unwrap();
            ask(&store).await
        })
    }

    pub(crate) fn open_incident(&self, component: &str) -> Option<Incident> {
        self.ask(async |store| incident::open_incident(store, component).await).unwrap()
    }

    #[track_caller]
    pub(crate) fn wait_incident(&self, component: &str) -> Incident {
        until("an incident", || self.open_incident(component))
    }

    /// Opens an incident that has just begun.
    pub(crate) fn report(&self, component: &str, origin: Origin) -> Incident {
        let at = now() - 1;
        let refused = Failure::ConnectionRefused;
        let incident = Incident::new(component, "redis", refused, origin, at, at);
        self.ask(async |store| incident::open(store, &incident).await).unwrap();
        incident
    }

    /// How many actions the component's budget has in its window.
    pub(crate) fn spent(&self, component: &str) -> u32 {
        let limits = Limits {
            attempts: 100,
            window: Duration::from_secs(3600),
            first_pause: Duration::ZERO,
            longest_pause: Duration::ZERO,
            jitter: 0.0,
        };
        let spent = self.ask(async |store| budget::spent(store, component).await).unwrap();
        spent.in_window(&limits, now())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = fs::read_to_string(self.shared_dir().join("audit.jsonl"));
            let text = text.unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(12)..];
            eprintln!("the end of the audit:\n{}", last.join("\n"));
            eprintln!("the last restarts: {:#?}", self.docker.acts().last());
        }
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}
