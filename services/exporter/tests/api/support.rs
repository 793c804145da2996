//! What the tests start and how they speak to it.

mod http;
mod program;

use std::io;
use std::ops::Deref;

use mcp_exporter::{Application, Config, Overview, SECTIONS};
use mcpmon_bootstrap::settings::environment_name;
use mcpmon_bootstrap::{ConfigErrors, Settings, Sources};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) use self::http::{Client, PATIENCE, Request, get, gzip, post};
pub(crate) use self::program::{Program, mebibytes, run};

/// A running exporter inside of the test.
pub(crate) struct Exporter {
    client: Client,
    overview: Overview,
    stop: oneshot::Sender<()>,
    running: JoinHandle<io::Result<()>>,
}

impl Exporter {
    /// Starts one on a free port; `config` holds keys such as `exporter.workers` and their texts.
    pub(crate) async fn start(config: &[(&str, &str)]) -> Self {
        let config = read(config).unwrap();
        let application = Application::build(config).unwrap();
        let client = Client::new(application.address());
        let overview = application.overview();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(application.run(async { _ = stopped.await }));
        let exporter = Self { client, overview, stop, running };
        assert_eq!(exporter.send(get("/health/ready")).await.status, 200);
        exporter
    }

    /// What it counted, also when it answers no more.
    pub(crate) fn overview(&self) -> Overview {
        self.overview.clone()
    }

    /// Asks it to stop; the handle resolves when it has.
    pub(crate) fn stop(self) -> JoinHandle<io::Result<()>> {
        self.stop.send(()).unwrap();
        self.running
    }
}

impl Deref for Exporter {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// The configuration as the program reads it, with these keys in the environment.
pub(crate) fn read(config: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let port = [("exporter.port", "0")];
    let given = port.iter().chain(config);
    let environment = given.map(|(key, value)| (environment_name(key), (*value).to_owned()));
    let environment = environment.collect();
    let sources = Sources { environment, sections: SECTIONS, ..Sources::default() };
    let mut settings = Settings::load(sources)?;
    let config = Config::read(&mut settings);
    settings.finish()?;
    Ok(config)
}

/// A batch of one server's events.
pub(crate) fn batch(server: &str, events: &[Value]) -> Value {
    json!({"server": server, "source": format!("{server}-1"), "events": events})
}

/// A call that succeeded.
pub(crate) fn call(tool: &str) -> Value {
    json!({"type": "tool_call", "tool": tool, "status": "success", "duration_seconds": 0.042})
}

/// JSON for a snapshot.
pub(crate) fn pretty(json: &Value) -> String {
    serde_json::to_string_pretty(json).unwrap()
}
