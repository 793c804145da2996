//! The composition root: the only place that builds the monitor's parts and joins them.

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
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::check::Checker;
use crate::component::Component;
use crate::config::{Config, Watch};
use crate::doubt::Doubts;
use crate::engine::{Done, Engine, Progress};
use crate::heartbeat::Heartbeat;
use crate::http::{self, State};
use crate::lag::Lag;
use crate::metrics::{self, Counts};
use crate::notice::Notifier;
use crate::objectives::Objectives;
use crate::opinion::{self, Opinion};
use crate::report::Report;
use crate::snapshot::Snapshot;
use crate::view::{self, View};

/// The folder of the journal in the state directory.
pub(crate) const JOURNAL: &str = "health-monitor";

const WORKERS: usize = 1;

/// A built monitor that listens and neither answers nor checks yet.
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
    checker: Checker,
    lag: Lag,
    notifier: Notifier,
    heartbeat: Option<Heartbeat>,
    counts: Counts,
    watch: Watch,
    reload_ok: Arc<AtomicBool>,
    components: watch::Sender<Arc<Vec<Component>>>,
    objectives: watch::Sender<Objectives>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    reports: watch::Sender<Arc<Report>>,
    done: (mpsc::UnboundedSender<Done>, mpsc::UnboundedReceiver<Done>),
}

/// Why a monitor cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("the bound address cannot be read")]
    Address(#[source] io::Error),
    #[error(transparent)]
    Coordination(#[from] OpenError),
    #[error("{0}")]
    Outside(String),
}

/// Reads the configuration again.
pub type Reload = Box<dyn Fn() -> Result<Watch, ConfigErrors> + Send>;

impl Application {
    /// Builds every part, opens the journal and begins to listen.
    ///
    /// # Errors
    /// When the address cannot be listened on, or the journal cannot be used.
    pub fn build(config: Config) -> Result<Self, BuildError> {
        let Config { listen, coordination, slack, heartbeat, shutdown_grace, watch } = config;
        let store = Arc::new(coordination.open(JOURNAL)?);
        let listener = listen.bind()?;
        listener.set_nonblocking(true).map_err(BuildError::Address)?;
        let address = listener.local_addr().map_err(BuildError::Address)?;

        let metrics = metrics::new();
        let reload_ok = Arc::new(AtomicBool::new(true));
        let loaded = reload_ok.clone();
        metrics.gauge(catalogue::CONFIG_LAST_RELOAD, move |emit| {
            emit(&[], f64::from(u8::from(loaded.load(Ordering::Relaxed))));
        });
        let lag = Lag::default();
        let shared: Arc<dyn Store> = store.clone();
        let checker = Checker::new(shared.clone(), lag.clone(), watch.at_once);
        let notifier = Notifier::new(shared.clone(), Holder::new(), &slack, &metrics);
        let notifier = notifier.map_err(BuildError::Outside)?;
        let heartbeat = Heartbeat::new(&heartbeat).map_err(BuildError::Outside)?;
        let counts = Counts::new(metrics.clone());
        counts.begin(&watch.components);

        let components = watch::Sender::new(Arc::new(watch.components.clone()));
        let snapshot = View::new(shared, Arc::new(watch.components.clone())).snapshot(true);
        let report = Opinion::none().report(&snapshot, &watch.objectives);
        let snapshots = watch::Sender::new(Arc::new(snapshot));
        let reports = watch::Sender::new(Arc::new(report));
        let backend = store.backend().as_str();
        metrics::expose(&metrics, backend, &snapshots.subscribe(), &reports.subscribe());
        let done = mpsc::unbounded_channel();
        let state = State {
            tokens: listen.tokens,
            metrics,
            reports: reports.subscribe(),
            components: components.subscribe(),
            checker: checker.clone(),
            done: done.0.clone(),
            started: Instant::now(),
        };
        let objectives = watch::Sender::new(watch.objectives.clone());
        Ok(Self {
            listener,
            address,
            hosts: Arc::new(listen.hosts),
            shutdown_grace,
            readiness: Readiness::default(),
            state: Arc::new(state),
            parts: Parts {
                store,
                checker,
                lag,
                notifier,
                heartbeat,
                counts,
                watch,
                reload_ok,
                components,
                objectives,
                snapshots,
                reports,
                done,
            },
        })
    }

    /// Where it listens; the port is the real one also when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The verdict and the components, now and from now on.
    pub fn reports(&self) -> watch::Receiver<Arc<Report>> {
        self.state.reports.clone()
    }

    /// Checks and answers until `stop` resolves. Each item of `reloads` reads the configuration
    /// again.
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
        let stopping = CancellationToken::new();
        let mut background = parts.start(reload, reloads, &stopping);
        tokio::select! {
            ended = &mut server => return ended.unwrap_or_else(|error| Err(error.into())),
            () = stop => {}
        }
        answering.pending();
        tracing::info!("stopping");
        stopping.cancel();
        // Both at once: whoever stops us waits for one grace period and not for two.
        let checks = async { while background.join_next().await.is_some() {} };
        tokio::join!(
            shutdown::drain("checks", shutdown_grace, checks),
            shutdown::drain("requests", shutdown_grace, handle.stop(true)),
        );
        Ok(())
    }
}

impl Parts {
    /// Starts everything that runs beside the endpoints. It ends after `stop`.
    fn start(
        self,
        reload: Reload,
        reloads: mpsc::Receiver<()>,
        stop: &CancellationToken,
    ) -> JoinSet<()> {
        let mut background = JoinSet::new();
        let snapshots = self.snapshots.subscribe();
        let until_stop = |work: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            let stop = stop.clone();
            async move { _ = stop.run_until_cancelled(work).await }
        };
        background.spawn(until_stop(Box::pin(self.lag.watch())));
        background.spawn(until_stop(Box::pin(opinion::follow(
            snapshots.clone(),
            self.objectives.subscribe(),
            self.reports,
        ))));
        let progress = Progress::default();
        if let Some(heartbeat) = self.heartbeat {
            let (progress, components) = (progress.clone(), self.components.subscribe());
            background.spawn(heartbeat.run(
                move || stuck_after(&components.borrow()),
                move || progress.last(),
                stop.clone().cancelled_owned(),
            ));
        }
        background.spawn(self.notifier.run(snapshots, stop.clone().cancelled_owned()));
        let shared: Arc<dyn Store> = self.store.clone();
        let view = View::new(shared, self.components.borrow().clone());
        let (done, finished) = self.done;
        let doubts = watch::Sender::new(Doubts::default());
        let doubted = doubts.subscribe();
        background.spawn(until_stop(Box::pin(view::follow(
            view,
            finished,
            self.components.subscribe(),
            self.store.up(),
            self.counts.clone(),
            self.snapshots,
            doubts,
        ))));
        let checks = Checks {
            checker: self.checker,
            progress,
            doubts: doubted,
            done,
            counts: self.counts,
            components: self.components,
            objectives: self.objectives,
            reload_ok: self.reload_ok,
        };
        background.spawn(checks.run(self.watch, reload, reloads, stop.clone()));
        background
    }
}

/// With no check for so long, not even of the component that is checked most often, the checks are
/// stuck.
fn stuck_after(components: &[Component]) -> Duration {
    let often = components.iter().map(|component| component.interval * 2 + component.deadline);
    often.min().unwrap_or(Duration::MAX)
}

/// The checks, and their replacement by a reload.
struct Checks {
    checker: Checker,
    progress: Progress,
    doubts: watch::Receiver<Doubts>,
    done: mpsc::UnboundedSender<Done>,
    counts: Counts,
    components: watch::Sender<Arc<Vec<Component>>>,
    objectives: watch::Sender<Objectives>,
    reload_ok: Arc<AtomicBool>,
}

impl Checks {
    async fn run(
        self,
        mut watch: Watch,
        reload: Reload,
        mut reloads: mpsc::Receiver<()>,
        stop: CancellationToken,
    ) {
        let mut rounds = JoinSet::new();
        let mut this_round = self.begin(&watch, &stop, &mut rounds);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(()) = reloads.recv() => {}
                // What the last reload replaced comes to its end.
                Some(ended) = rounds.join_next(), if rounds.len() > 1 => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "the checks broke down");
                    }
                    continue;
                }
            }
            match reload() {
                Ok(next) => {
                    self.replace(&watch, &next).await;
                    // What is being checked now is checked to its end, beside the new round.
                    this_round.cancel();
                    this_round = self.begin(&next, &stop, &mut rounds);
                    watch = next;
                }
                Err(errors) => {
                    self.reload_ok.store(false, Ordering::Relaxed);
                    tracing::error!(%errors, "the configuration stays as it was");
                }
            }
        }
        while rounds.join_next().await.is_some() {}
    }

    /// Starts to check. A holder of its own for each round: one holder would be granted the lease of
    /// a check that an earlier round has not ended.
    fn begin(
        &self,
        watch: &Watch,
        stop: &CancellationToken,
        rounds: &mut JoinSet<()>,
    ) -> CancellationToken {
        let engine = Engine {
            checker: self.checker.limited_to(watch.at_once),
            holder: Holder::new(),
            doubts: self.doubts.clone(),
            done: self.done.clone(),
            progress: self.progress.clone(),
        };
        let this_round = stop.child_token();
        rounds.spawn(Arc::new(engine).run(watch.components.clone(), this_round.clone()));
        this_round
    }

    /// Makes the new configuration known, and ends what is said of components that are gone.
    async fn replace(&self, before: &Watch, next: &Watch) {
        let stays = |name: &str| next.components.iter().any(|component| component.name == name);
        for gone in before.components.iter().filter(|component| !stays(&component.name)) {
            if let Err(error) = self.checker.forget(&gone.name).await {
                tracing::warn!(component = gone.name, %error, "its record stays");
            }
        }
        self.counts.begin(&next.components);
        self.components.send_replace(Arc::new(next.components.clone()));
        self.objectives.send_replace(next.objectives.clone());
        self.reload_ok.store(true, Ordering::Relaxed);
        tracing::info!(components = next.components.len(), "the configuration was read again");
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
