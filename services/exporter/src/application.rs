//! The composition root: the only place that builds the exporter's parts and joins them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use mcpmon_bootstrap::http::listen::BindError;
use mcpmon_bootstrap::http::{Readiness, host};
use mcpmon_bootstrap::shutdown;
use mcpmon_metrics::{Metrics, Options, catalogue};
use secrecy::SecretString;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::alerts::Alerts;
use crate::config::{Config, Endpoint, Limits};
use crate::failures::Failures;
use crate::http::{self, Buffers};
use crate::ingest::Ingest;
use crate::overview::Overview;
use crate::peer::Peer;
use crate::state::State;
use crate::window::{SAMPLE_EVERY, Window};
use crate::{monitor, remediation};

const MAX_CONNECTIONS_PER_WORKER: usize = 1_024;
/// For scrapes and decompression, which compute and never wait: more of them would gain nothing,
/// and each keeps the memory of the largest body that it decompressed.
const BLOCKING_THREADS_PER_WORKER: usize = 2;

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
        let monitor = config.health_monitor.map(monitor::at).map(OnceLock::from);
        let remediation = config.remediation.map(remediation::at).map(OnceLock::from);
        let state = State {
            ingest: Ingest::new(metrics.clone(), failures.clone()),
            failures,
            alerts: Alerts::new(&metrics),
            window: Window::starting(started),
            monitor: monitor.unwrap_or_default(),
            remediation: remediation.unwrap_or_default(),
            tokens: config.listen.tokens,
            limits: config.limits,
            buffers: Buffers::new(config.limits.buffered_bytes),
            replies: http::Replies::new(&metrics),
            started,
            scrape: Arc::default(),
            totals: Arc::default(),
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

    /// Asks the health monitor at `address` for its verdict, unless the configuration names one:
    /// for a program that runs both and learns the ports as it starts them.
    pub fn ask_monitor(&self, address: SocketAddr, token: Option<SecretString>) {
        // The configured one stays.
        let _ = self.state.monitor.set(monitor::at(Endpoint::at(address, token)));
    }

    /// The same of remediation, for what it repairs.
    pub fn ask_remediation(&self, address: SocketAddr, token: Option<SecretString>) {
        let _ = self.state.remediation.set(remediation::at(Endpoint::at(address, token)));
    }

    #[cfg(test)]
    pub(crate) fn state(&self) -> Arc<State> {
        self.state.clone()
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
        background.spawn(watch(self.state.clone(), |state| state.monitor.get()));
        background.spawn(watch(self.state.clone(), |state| state.remediation.get()));
        let connections = http::Connections::default();
        let limits = self.state.limits;
        background.spawn(connections.clone().end_idle(limits.keep_alive + limits.request_time));
        let address = self.address;
        let server = self.serve(connections)?;
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

    fn serve(self, connections: http::Connections) -> io::Result<Server> {
        let Self { listener, workers, shutdown_grace, hosts, readiness, state, .. } = self;
        let state = web::Data::from(state);
        let Limits { keep_alive, request_time, .. } = state.limits;
        let server = HttpServer::new(move || {
            App::new()
                .app_data(state.clone())
                .wrap(host::enforce(hosts.clone()))
                .wrap(from_fn(http::tell))
                .configure(|app| readiness.routes(app))
                .configure(http::routes)
        });
        let server = server
            .workers(workers)
            .worker_max_blocking_threads(BLOCKING_THREADS_PER_WORKER)
            .max_connections(MAX_CONNECTIONS_PER_WORKER)
            .on_connect(move |io, extensions| connections.watch(io, extensions))
            .keep_alive(keep_alive)
            .client_request_timeout(request_time)
            // Whole seconds are all that it knows.
            .shutdown_timeout(shutdown_grace.as_secs_f64().ceil() as u64)
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

/// Asks another service now and then, where there is one.
async fn watch<T: Clone>(state: Arc<State>, peer: fn(&State) -> Option<&Peer<T>>) {
    if let Some(peer) = peer(&state) {
        peer.watch().await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;

    use futures_util::poll;
    use mcpmon_bootstrap::Settings;
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_is_ready_while_it_answers_and_not_while_it_stops() {
        let mut config = Config::read(&mut Settings::empty());
        config.listen.address.set_port(0);
        let application = Application::build(config).unwrap();
        let (readiness, address) = (application.readiness.clone(), application.address());
        let (stop, stopped) = oneshot::channel::<()>();
        let mut running = pin!(application.run(async { _ = stopped.await }));

        assert!(matches!(poll!(&mut running), Poll::Pending));
        assert_eq!(readiness.pending(), [""; 0]);
        // A connection that is open keeps the exporter from ending at once.
        let held = TcpStream::connect(address).await.unwrap();
        stop.send(()).unwrap();
        assert!(matches!(poll!(&mut running), Poll::Pending));
        assert_eq!(readiness.pending(), ["server"]);
        drop(held);
        running.await.unwrap();
    }
}
