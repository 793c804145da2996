//! The composition root: the only place that builds remediation's parts and joins them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};
use mcpmon_bootstrap::http::listen::BindError;
use mcpmon_bootstrap::http::{AllowedHosts, Readiness, host};
use mcpmon_bootstrap::{ConfigErrors, shutdown};
use mcpmon_coordination::settings::OpenError;
use mcpmon_coordination::{Holder, Shadow, Store};
use mcpmon_metrics::catalogue;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::audit::{Audit, AuditError};
use crate::board::Board;
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::{self, Engine};
use crate::http::{self, State};
use crate::lead::{self, Held};
use crate::metrics::{self, Counts};
use crate::monitor::{self, MonitorClient};
use crate::policy::Policy;
use crate::repair::Repairer;

/// The folder of the journal in the state directory.
const JOURNAL: &str = "remediation";

const WORKERS: usize = 1;

/// A built remediation that listens and neither answers nor acts yet.
#[derive(Debug)]
pub struct Application {
    listener: TcpListener,
    address: SocketAddr,
    hosts: Arc<AllowedHosts>,
    shutdown_grace: Duration,
    readiness: Readiness,
    state: Arc<State>,
    parts: Parts,
}

/// What runs beside the endpoints.
#[derive(Debug)]
struct Parts {
    store: Arc<Shadow>,
    engine: Engine,
    lease: Duration,
    held: watch::Sender<Option<Held>>,
    policy: watch::Sender<Arc<Policy>>,
    counts: Counts,
    reload_ok: Arc<AtomicBool>,
}

/// Why remediation cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("the bound address cannot be read")]
    Address(#[source] io::Error),
    #[error(transparent)]
    Coordination(#[from] OpenError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("the client for the health monitor cannot be built: {0}")]
    Monitor(String),
}

/// Reads the policy again.
pub type Reload = Box<dyn Fn() -> Result<Policy, ConfigErrors> + Send>;

impl Application {
    /// Builds every part, opens journal and audit, and begins to listen.
    ///
    /// # Errors
    /// When the address cannot be listened on, or journal or audit cannot be used.
    pub fn build(config: Config) -> Result<Self, BuildError> {
        let Config { listen, coordination, monitor, shared_dir, lease, shutdown_grace, policy } =
            config;
        let store = Arc::new(coordination.open_strict(JOURNAL)?);
        let replica = Holder::new().as_str().to_owned();
        let audit = Audit::open(&shared_dir, &replica)?;
        let listener = listen.bind()?;
        listener.set_nonblocking(true).map_err(BuildError::Address)?;
        let address = listener.local_addr().map_err(BuildError::Address)?;

        let metrics = metrics::new();
        let reload_ok = Arc::new(AtomicBool::new(true));
        let loaded = reload_ok.clone();
        metrics.gauge(catalogue::CONFIG_LAST_RELOAD, move |emit| {
            emit(&[], f64::from(u8::from(loaded.load(Ordering::Relaxed))));
        });
        let counts = Counts::new(metrics.clone());
        counts.begin(&policy);
        let client = monitor::client(&monitor.url).map_err(BuildError::Monitor)?;
        let shared: Arc<dyn Store> = store.clone();
        let clock = Clock::default();
        let repairer = Repairer {
            store: shared.clone(),
            audit: audit.clone(),
            monitor: Arc::new(MonitorClient::new(client, monitor.url, monitor.token)),
            locks: shared_dir.join("locks"),
            counts: counts.clone(),
            clock: clock.clone(),
        };
        let (held, wake) = (watch::Sender::new(None), Arc::new(Notify::new()));
        let (policy, board) = (watch::Sender::new(Arc::new(policy)), watch::Sender::default());
        metrics::expose(
            &metrics,
            store.backend().as_str(),
            store.up(),
            &board.subscribe(),
            policy.subscribe(),
        );
        let state = State {
            tokens: listen.tokens,
            metrics,
            counts: counts.clone(),
            store: shared,
            audit,
            board: board.subscribe(),
            policy: policy.subscribe(),
            wake: wake.clone(),
            clock,
            started: Instant::now(),
            nobodies: std::sync::Mutex::default(),
        };
        let engine = Engine {
            repairer,
            policy: policy.subscribe(),
            held: held.subscribe(),
            up: store.up(),
            seeded_at: store.seeded_at(),
            hold_off: lease,
            board,
            wake,
        };
        Ok(Self {
            listener,
            address,
            hosts: Arc::new(listen.hosts),
            shutdown_grace,
            readiness: Readiness::default(),
            state: Arc::new(state),
            parts: Parts { store, engine, lease, held, policy, counts, reload_ok },
        })
    }

    /// Where it listens; the port is the real one also when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What there is to show, now and from now on.
    pub fn board(&self) -> watch::Receiver<Arc<Board>> {
        self.state.board.clone()
    }

    /// The audit, for whoever shows it elsewhere.
    pub fn audit(&self) -> Audit {
        self.state.audit.clone()
    }

    /// Repairs and answers until `stop` resolves. Each item of `reloads` reads the policy again.
    ///
    /// # Errors
    /// When the server cannot be started or breaks down.
    pub async fn run(
        self,
        reload: Reload,
        reloads: mpsc::Receiver<()>,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let Self { listener, address, hosts, shutdown_grace, readiness, state, parts } = self;
        let answering = readiness.guard("server");
        let server = serve(listener, hosts, shutdown_grace, readiness, state)?;
        let handle = server.handle();
        let mut server = tokio::spawn(server);
        answering.ready();
        tracing::info!(%address, "answering");
        let (stopping, leaving) = (CancellationToken::new(), CancellationToken::new());
        let mut background = parts.start(reload, reloads, &stopping, &leaving);
        tokio::select! {
            ended = &mut server => return ended.unwrap_or_else(|error| Err(error.into())),
            () = stop => {}
        }
        answering.pending();
        tracing::info!("stopping");
        stopping.cancel();
        let repairs = async {
            // The lease lasts until the action that is under way has ended.
            background.engine.join_next().await;
            leaving.cancel();
            while background.others.join_next().await.is_some() {}
        };
        // Both at once: whoever stops us waits for one grace period and not for two.
        tokio::join!(
            shutdown::drain("repairs", shutdown_grace, repairs),
            shutdown::drain("requests", shutdown_grace, handle.stop(true)),
        );
        Ok(())
    }
}

/// What was started.
struct Background {
    engine: JoinSet<()>,
    others: JoinSet<()>,
}

impl Parts {
    /// Starts everything that runs beside the endpoints. The engine ends after `stop`, the rest after
    /// `leave`.
    fn start(
        self,
        reload: Reload,
        mut reloads: mpsc::Receiver<()>,
        stop: &CancellationToken,
        leave: &CancellationToken,
    ) -> Background {
        let (mut engine, mut others) = (JoinSet::new(), JoinSet::new());
        let (store, wake) = (self.store.clone(), self.engine.wake.clone());
        let left = leave.clone();
        others.spawn(async move {
            let consumer = Holder::new().as_str().to_owned();
            left.run_until_cancelled(engine::listen(store, consumer, wake)).await;
        });
        let (store, leave) = (self.store, leave.clone());
        others.spawn(async move { lead::run(&*store, self.lease, self.held, leave).await });
        engine.spawn(self.engine.run(stop.clone()));
        let stop = stop.clone();
        others.spawn(async move {
            while let Some(Some(())) = stop.run_until_cancelled(reloads.recv()).await {
                match reload() {
                    Ok(policy) => {
                        self.counts.begin(&policy);
                        let (rules, targets) = (policy.rules.len(), policy.targets.len());
                        self.policy.send_replace(Arc::new(policy));
                        self.reload_ok.store(true, Ordering::Relaxed);
                        tracing::info!(rules, targets, "the configuration was read again");
                    }
                    Err(errors) => {
                        self.reload_ok.store(false, Ordering::Relaxed);
                        tracing::error!(%errors, "the configuration stays as it was");
                    }
                }
            }
        });
        Background { engine, others }
    }
}

fn serve(
    listener: TcpListener,
    hosts: Arc<AllowedHosts>,
    grace: Duration,
    readiness: Readiness,
    state: Arc<State>,
) -> io::Result<Server> {
    let state = web::Data::from(state);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .wrap(host::enforce(hosts.clone()))
            .configure(|app| readiness.routes(app))
            .configure(http::routes)
    });
    let server = server
        .workers(WORKERS)
        .client_request_timeout(Duration::from_secs(10))
        // Whole seconds are all that it knows.
        .shutdown_timeout(grace.as_secs_f64().ceil() as u64)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}
