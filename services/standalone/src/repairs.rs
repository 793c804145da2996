//! Remediation beside the monitor: what it may do where nobody named anything, which is to restart
//! the demo's server.

use std::net::SocketAddr;
use std::sync::Arc;

use mcp_remediation::audit::Audit;
use mcp_remediation::policy::{RULES, TARGETS};
use mcp_remediation::{Application, Config};
use mcpmon_bootstrap::http::health::reachable;
use mcpmon_bootstrap::process::{Exit, OrExit as _};
use mcpmon_bootstrap::{Settings, Sources};
use mcpmon_coordination::Memory;
use secrecy::{ExposeSecret as _, SecretString};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::demo::Boutique;
use crate::monitor::{BOUTIQUE, Monitor};
use crate::run::{RunArgs, sources};

/// A person who watches the terminal wants to see it end.
const IN_A_HURRY: [(&str, f64); 6] = [
    ("remediation.lease_seconds", 2.0),
    ("remediation.grace_seconds", 0.2),
    ("remediation.verify_every_seconds", 0.5),
    ("remediation.verify_seconds", 20.0),
    ("remediation.act_seconds", 20.0),
    ("remediation.cool_down_seconds", 5.0),
];

/// The failures of a server that a restart helps against.
const FAILURES: &str = "connection_refused,timeout,http_5xx,mcp_broken";

/// The built remediation.
#[derive(Debug)]
pub(crate) struct Repairs {
    application: Application,
    pub(crate) read_token: Option<SecretString>,
    state: Option<TempDir>,
}

/// Whether there is something that the user allowed to be acted on.
fn has_own(settings: &Settings) -> bool {
    [RULES, TARGETS].iter().any(|table| !settings.tables(table).is_empty())
}

impl Repairs {
    /// Notes what is wrong with the keys of remediation.
    pub(crate) fn check(settings: &mut Settings) {
        if has_own(settings) {
            // Two processes with this file would both act.
            Config::of_service(settings);
        } else {
            Config::read(settings);
        }
    }

    /// Builds it with the configured rules, and one for the demo's server where that is watched.
    pub(crate) fn build(
        args: &RunArgs,
        monitor: &Monitor,
        demo: Option<&Boutique>,
        memory: &Arc<Memory>,
    ) -> Result<Self, Exit> {
        let known = Settings::load(sources(args))?;
        let unset = |key: &str| !known.is_set(key);
        let mut sources = sources(args);
        if let Some(demo) = demo.filter(|_| monitor.watches_demo) {
            sources = demo_rule(sources, demo);
            for (key, seconds) in IN_A_HURRY {
                sources = sources.flag("the demo", key, unset(key).then_some(seconds));
            }
        }
        let key = "remediation.monitor.url";
        sources = sources.flag(MCPMON, key, unset(key).then(|| monitor.url()));
        // Our own monitor's token is for our own monitor.
        let keys = ["url", "token", "token_file"].map(|key| format!("remediation.monitor.{key}"));
        if let Some(token) = &monitor.operate_token
            && keys.iter().all(|key| unset(key))
        {
            sources = sources.flag(MCPMON, &keys[1], Some(token.expose_secret()));
        }
        // Of the user's own rules it must be known after a restart what was done.
        let kept = known.is_set("coordination.state_dir") || has_own(&known);
        let state = if kept { None } else { Some(tempfile::tempdir().or_failed_start()?) };
        let directory = state.as_ref().map(|state| state.path().display().to_string());
        sources = sources.flag(MCPMON, "coordination.state_dir", directory);
        let mut settings = Settings::load(sources)?;
        let mut config = Config::read(&mut settings);
        config.coordination.shared_memory = Some(memory.clone());
        let read_token = settings.secret("remediation.read_token", "");
        // What stands in the sections of others was judged by them.
        let application = Application::build(config).or_failed_start()?;
        Ok(Self { application, read_token, state })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.application.address()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", reachable(self.address()))
    }

    pub(crate) fn audit(&self) -> Audit {
        self.application.audit()
    }

    /// Repairs until `stop`.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) -> std::io::Result<()> {
        let Self { application, state: _state, .. } = self;
        // The demo's rule is not in a file that could be read again.
        let (_nobody_asks, reloads) = mpsc::channel(1);
        let reload = Box::new(|| unreachable!("nobody asks"));
        application.run(reload, reloads, stop).await
    }
}

const MCPMON: &str = "mcpmon";

fn demo_rule(sources: Sources, demo: &Boutique) -> Sources {
    let target = |key: &str| format!("{TARGETS}.{BOUTIQUE}.{key}");
    let rule = |key: &str| format!("{RULES}.{BOUTIQUE}.{key}");
    sources
        .flag(MCPMON, &target("kind"), Some("http"))
        .flag(MCPMON, &target("url"), Some(demo.operate_url()))
        .flag(MCPMON, &target("token"), Some(demo.token()))
        .flag(MCPMON, &rule("component"), Some(BOUTIQUE))
        .flag(MCPMON, &rule("failures"), Some(FAILURES))
        .flag(MCPMON, &rule("ladder"), Some(BOUTIQUE))
        .flag(MCPMON, &rule("mode"), Some("act"))
}
