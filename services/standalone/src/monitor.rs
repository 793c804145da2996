//! The health monitor beside the exporter: what it checks where nobody named anything, and a state
//! directory that ends with the process.

use std::net::SocketAddr;
use std::sync::Arc;

use mcp_health_monitor::config::COMPONENTS;
use mcp_health_monitor::report::Report;
use mcp_health_monitor::{Application, Config};
use mcpmon_bootstrap::http::health::reachable;
use mcpmon_bootstrap::process::{Exit, OrExit as _};
use mcpmon_bootstrap::{Settings, Sources};
use mcpmon_coordination::Memory;
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use crate::run::{RunArgs, sources};

/// A person who watches the terminal wants to see something happen.
const INTERVAL_SECONDS: f64 = 5.0;
const RECHECK_SECONDS: f64 = 1.0;

/// The demo's server as a component.
pub(crate) const BOUTIQUE: &str = "boutique";

/// The built monitor.
#[derive(Debug)]
pub(crate) struct Monitor {
    application: Application,
    pub(crate) read_token: Option<SecretString>,
    pub(crate) operate_token: Option<SecretString>,
    /// Whether the demo's server is among the components.
    pub(crate) watches_demo: bool,
    /// Only where there is nothing of the user's own to keep.
    state: Option<TempDir>,
}

impl Monitor {
    /// Builds it with the configured components, or else the exporter and the demo's server.
    pub(crate) fn build(
        args: &RunArgs,
        exporter_url: &str,
        demo_url: Option<&str>,
        memory: &Arc<Memory>,
    ) -> Result<Self, Exit> {
        let known = Settings::load(sources(args))?;
        let mut sources = sources(args);
        let of_our_choice = known.tables(COMPONENTS).is_empty();
        if of_our_choice {
            sources = component(sources, "metrics_server", "exporter", exporter_url);
            if let Some(url) = demo_url {
                sources = component(sources, BOUTIQUE, "mcp", url);
            }
            let unset = |key: &str| !known.is_set(key);
            for (key, seconds) in [
                ("health_monitor.interval_seconds", INTERVAL_SECONDS),
                ("health_monitor.recheck_seconds", RECHECK_SECONDS),
            ] {
                sources = sources.flag("the demo", key, unset(key).then_some(seconds));
            }
        }
        // Remediation asks it to check, which is never open.
        let operate = ["health_monitor.operate_token", "health_monitor.operate_token_file"];
        if operate.iter().all(|key| !known.is_set(key)) {
            let token = format!("{:032x}", fastrand::u128(..));
            sources = sources.flag("mcpmon", operate[0], Some(token));
        }
        // Of the user's own components it must be known after a restart what was told.
        let kept = known.is_set("coordination.state_dir") || !known.tables(COMPONENTS).is_empty();
        let state = if kept { None } else { Some(tempfile::tempdir().or_failed_start()?) };
        let directory = state.as_ref().map(|state| state.path().display().to_string());
        sources = sources.flag("mcpmon", "coordination.state_dir", directory);
        let mut settings = Settings::load(sources)?;
        let mut config = Config::read(&mut settings);
        config.coordination.shared_memory = Some(memory.clone());
        let operate_token = settings.secret("health_monitor.operate_token", "");
        let read_token = settings.secret("health_monitor.read_token", "");
        let application = Application::build(config).or_failed_start()?;
        let watches_demo = of_our_choice && demo_url.is_some();
        Ok(Self { application, read_token, operate_token, watches_demo, state })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.application.address()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", reachable(self.address()))
    }

    pub(crate) fn reports(&self) -> watch::Receiver<Arc<Report>> {
        self.application.reports()
    }

    /// Checks until `stop`.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) -> std::io::Result<()> {
        let Self { application, state: _state, .. } = self;
        // The demo's components are not in a file that could be read again.
        let (_nobody_asks, reloads) = mpsc::channel(1);
        let reload = Box::new(|| unreachable!("nobody asks"));
        application.run(reload, reloads, stop).await
    }
}

fn component(sources: Sources, name: &str, kind: &str, url: &str) -> Sources {
    let key = |key: &str| format!("{COMPONENTS}.{name}.{key}");
    sources.flag("mcpmon", &key("kind"), Some(kind)).flag("mcpmon", &key("url"), Some(url))
}
