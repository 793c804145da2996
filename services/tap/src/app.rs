//! The composition root: client, monitor, server, observer, and the order in which they end.

mod http;

use std::io;
use std::net::SocketAddr;
use std::process::Child;
use std::sync::Arc;

use mcpmon_metrics::label::{Observer as ObserverKind, Transport};
use mcpmon_sdk::{Monitor, SdkError};

use crate::cli::{Run, Settings, Token};
use crate::clock::Clock;
use crate::farewell;
use crate::observer::{ConnectionId, Observer};
use crate::queue::{LIMIT, Queue};
use crate::rules::{Rules, RulesError};
use crate::stdio::{self, Client, End, SpawnError};
use crate::worker::{self, Lines, Report};

pub use self::http::HttpTap;

/// The one connection of a stdio server.
const STDIO: ConnectionId = ConnectionId(0);

/// A tap whose server runs.
#[derive(Debug)]
pub struct Tap {
    client: Client,
    child: Child,
    monitor: Monitor,
    exporter: Option<String>,
    clock: Clock,
    rules: Rules,
}

/// Why a tap did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong.
    #[error(transparent)]
    Settings(#[from] SdkError),
    /// The configuration is wrong.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The server did not start.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// Nobody can listen there.
    #[error("cannot listen on {address}; expected a free address of this machine, see --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The tap's own page cannot be served.
    #[error("--metrics cannot be served")]
    Page(#[source] SdkError),
    /// The platform's trust store cannot be used.
    #[error("cannot speak TLS to the server")]
    Tls(#[from] rustls::Error),
    /// The system refused something.
    #[error("the tap cannot start")]
    System(#[from] io::Error),
}

impl Tap {
    /// Starts the server. The exporter need not be there, now or ever.
    ///
    /// # Errors
    /// When a setting is wrong or the server cannot be started.
    pub fn start(settings: &Settings, run: &Run) -> Result<Self, StartError> {
        let rules = rules(settings)?;
        let client = Client::take()?;
        let monitor = monitor(settings, &run.server, None)?;
        match serve_page(settings, &monitor) {
            Ok(Some(address)) => tracing::info!("metrics on http://{address}/metrics"),
            Ok(None) => {}
            // The next of several taps that a client starts alike; its server matters more.
            Err(error) => tracing::warn!(%error, "nobody sees the metrics of this tap"),
        }
        let child = stdio::spawn(&run.program, &run.arguments)?;
        let exporter = settings.exporter.clone();
        Ok(Self { client, child, monitor, exporter, clock: Clock::start(), rules })
    }

    /// Passes bytes until the server ends, then delivers what was observed.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn run(self) -> io::Result<End> {
        let Self { client, child, monitor, exporter, clock, rules } = self;
        monitor.set_connections(Transport::Stdio, 1);
        let queue = Arc::new(Queue::new(LIMIT));
        let mut observer = Observer::new(monitor.clone()).with_rules(rules);
        observer.open(STDIO, Transport::Stdio);
        let worker = worker::spawn(Lines(observer, STDIO), queue.clone(), clock)?;

        let end = stdio::run(client, child, &queue, clock)?;

        queue.finish();
        match worker.join() {
            Ok(report) => tell(&report),
            Err(_) => tracing::error!("the observer stopped; later calls were not counted"),
        }
        monitor.set_connections(Transport::Stdio, 0);
        farewell::flush(monitor, exporter);
        Ok(end)
    }
}

/// What reports about one server, on one page with another if there is one.
fn monitor(
    settings: &Settings,
    server: &str,
    beside: Option<&Monitor>,
) -> Result<Monitor, SdkError> {
    let mut builder = Monitor::builder(server).observer(ObserverKind::Tap);
    if let Some(other) = beside {
        builder = builder.beside(other);
    }
    let Some(exporter) = &settings.exporter else { return builder.build() };
    let builder = builder.exporter(exporter);
    let builder = match &settings.token {
        Token::None => builder,
        Token::Given(token) => builder.token(token.clone()),
        Token::File(file) => builder.token_file(file),
    };
    builder.build()
}

/// Serves the monitor's page where it was asked for, if it was.
fn serve_page(settings: &Settings, monitor: &Monitor) -> Result<Option<SocketAddr>, SdkError> {
    let page = settings.metrics.as_ref();
    page.map(|page| monitor.serve_metrics(page.address, &page.names)).transpose()
}

/// What the configuration says, if there is one.
fn rules(settings: &Settings) -> Result<Rules, RulesError> {
    settings.config.as_deref().map(Rules::load).transpose().map(Option::unwrap_or_default)
}

fn tell(report: &Report) {
    if report.panics > 0 || report.dropped.chunks > 0 {
        tracing::warn!(?report, "some traffic passed unobserved");
    } else {
        tracing::debug!(?report);
    }
}
