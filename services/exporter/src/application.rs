//! The composition root: the only place that builds the exporter's parts and joins them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};
use mcpmon_bootstrap::http::listen::BindError;
use mcpmon_bootstrap::http::{Readiness, Tokens, host};
use mcpmon_bootstrap::shutdown;
use mcpmon_metrics::{Metrics, Options, ScrapeError, Totals, catalogue};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::alerts::Alerts;
use crate::config::{Config, Limits};
use crate::failures::Failures;
use crate::http::{self, Buffers};
use crate::ingest::Ingest;
use crate::monitor::{Monitor, MonitorError};
use crate::window::{SAMPLE_EVERY, Window};

/// How old the totals on the page may be.
const TOTALS_MAX_AGE: Duration = Duration::from_millis(500);
/// How long an idle connection is kept: longer than a client's pause between two batches.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const MAX_CONNECTIONS_PER_WORKER: usize = 1_024;

/// A built exporter that listens and does not answer yet.
#[derive(Debug)]
pub struct Application {
    listener: TcpListener,
    address: SocketAddr,
    workers: usize,
    shutdown_grace: Duration,
    hosts: Arc<host::AllowedHosts>,
    readiness: Readiness,
    state: Arc<State>,
}

/// Why an exporter cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("the bound address cannot be read")]
    Address(#[source] io::Error),
    #[error(transparent)]
    Monitor(#[from] MonitorError),
}

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) metrics: Metrics,
    pub(crate) ingest: Ingest,
    pub(crate) failures: Failures,
    pub(crate) alerts: Alerts,
    pub(crate) window: Window,
    pub(crate) monitor: Option<Monitor>,
    pub(crate) tokens: Tokens,
    pub(crate) limits: Limits,
    pub(crate) buffers: Buffers,
    pub(crate) replies: http::Replies,
    pub(crate) started: Instant,
    // Held while a scrape is encoded: there is never more than one.
    pub(crate) scrape: Arc<Mutex<()>>,
    totals: Mutex<Option<(Instant, Arc<Totals>)>>,
}

/// What the exporter has counted so far, in the same process.
#[derive(Debug, Clone)]
pub struct Overview(Arc<State>);

/// Sums over all servers and tools since the start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counted {
    /// Calls that ended.
    pub calls: u64,
    /// Of these, calls that failed or timed out.
    pub errors: u64,
    /// Language model tokens.
    pub tokens: u64,
    /// Their cost in US dollars.
    pub cost_usd: f64,
}

impl Overview {
    /// The sums now.
    ///
    /// # Errors
    /// When a scrape would fail.
    pub async fn read(&self) -> Result<Counted, ScrapeError> {
        let (_, totals) = self.0.totals().await?;
        let [success, error, timeout, cancelled] =
            [0, 1, 2, 3].map(|i| totals.tools.iter().map(|tool| tool.calls[i]).sum::<u64>());
        Ok(Counted {
            calls: success + error + timeout + cancelled,
            errors: error + timeout,
            tokens: totals.servers.values().map(|server| server.tokens).sum(),
            // An empty sum of floats is -0.
            cost_usd: totals.servers.values().fold(0.0, |sum, server| sum + server.cost_usd),
        })
    }
}

impl State {
    /// The totals now, or as they were a moment ago.
    pub(crate) async fn totals(&self) -> Result<(Instant, Arc<Totals>), ScrapeError> {
        let mut kept = self.totals.lock().await;
        if let Some((at, totals)) = &*kept
            && at.elapsed() < TOTALS_MAX_AGE
        {
            return Ok((*at, totals.clone()));
        }
        let metrics = self.metrics.clone();
        let at = Instant::now();
        let totals = tokio::task::spawn_blocking(move || metrics.totals())
            .await
            .map_err(|_| ScrapeError::PipelinePanicked)??;
        let totals = Arc::new(totals);
        *kept = Some((at, totals.clone()));
        Ok((at, totals))
    }
}

impl Application {
    /// Builds every part and begins to listen.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn build(config: Config) -> Result<Self, BuildError> {
        let metrics = Metrics::new(Options {
            budgets: config.budgets,
            otel_semconv: config.otel_semconv,
            prices: config.prices,
            source_expiry: Some(config.source_expiry),
            ..Options::new("mcp-exporter", env!("CARGO_PKG_VERSION"))
        });
        // A file that cannot be loaded ends the process, so what runs was loaded.
        metrics.gauge(catalogue::CONFIG_LAST_RELOAD, |emit| emit(&[], 1.0));
        let listener = config.listen.bind()?;
        listener.set_nonblocking(true).map_err(BuildError::Address)?;
        let address = listener.local_addr().map_err(BuildError::Address)?;
        let failures = Failures::new(config.keep_error_text);
        let started = Instant::now();
        let state = State {
            ingest: Ingest::new(metrics.clone(), failures.clone()),
            failures,
            alerts: Alerts::new(&metrics),
            window: Window::starting(started),
            monitor: config.health_monitor.map(Monitor::new).transpose()?,
            tokens: config.listen.tokens,
            limits: config.limits,
            buffers: Buffers::new(config.limits.buffered_bytes),
            replies: http::Replies::new(&metrics),
            started,
            scrape: Arc::default(),
            totals: Mutex::default(),
            metrics,
        };
        Ok(Self {
            listener,
            address,
            workers: config.workers,
            shutdown_grace: config.shutdown_grace,
            hosts: Arc::new(config.listen.hosts),
            readiness: Readiness::default(),
            state: Arc::new(state),
        })
    }

    /// Where it listens; the port is the real one also when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was counted, for a program that runs the exporter inside of itself.
    pub fn overview(&self) -> Overview {
        Overview(self.state.clone())
    }

    /// Answers until `stop` resolves, then lets requests end.
    ///
    /// # Errors
    /// When the server cannot be started or breaks down.
    pub async fn run(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let grace = self.shutdown_grace;
        let answering = self.readiness.guard("server");
        let mut background = JoinSet::new();
        background.spawn(sample(self.state.clone()));
        if self.state.monitor.is_some() {
            background.spawn(watch(self.state.clone()));
        }
        let address = self.address;
        let server = self.serve()?;
        let handle = server.handle();
        let mut server = tokio::spawn(server);
        answering.ready();
        tracing::info!(%address, "answering");
        tokio::select! {
            ended = &mut server => return ended.unwrap_or_else(|error| Err(error.into())),
            () = stop => {}
        }
        answering.pending();
        tracing::info!("stopping");
        // actix drops what is left after its own timeout; this bounds actix itself.
        shutdown::drain("requests", grace + Duration::from_secs(1), handle.stop(true)).await;
        Ok(())
    }

    fn serve(self) -> io::Result<Server> {
        let Self { listener, workers, shutdown_grace, hosts, readiness, state, .. } = self;
        let state = web::Data::from(state);
        let server = HttpServer::new(move || {
            App::new()
                .app_data(state.clone())
                .wrap(host::enforce(hosts.clone()))
                .configure(|app| readiness.routes(app))
                .configure(http::routes)
        });
        let server = server
            .workers(workers)
            .max_connections(MAX_CONNECTIONS_PER_WORKER)
            .keep_alive(KEEP_ALIVE)
            .shutdown_timeout(shutdown_grace.as_secs())
            .disable_signals()
            .listen(listener)?;
        Ok(server.run())
    }
}

/// Keeps a sample of the totals now and then, for the windows.
async fn sample(state: Arc<State>) {
    let mut ticks = interval_at(state.started + SAMPLE_EVERY, SAMPLE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match state.totals().await {
            Ok((at, totals)) => state.window.sample(at, totals),
            Err(error) => tracing::error!(%error, "no sample of the totals"),
        }
    }
}

/// Asks the health monitor for its verdict now and then.
async fn watch(state: Arc<State>) {
    if let Some(monitor) = &state.monitor {
        monitor.watch().await;
    }
}
