//! The composition root of the HTTP transports.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use mcpmon_metrics::label::Transport;
use mcpmon_sdk::Monitor;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{StartError, monitor, rules, serve_page, tell};
use crate::cli::{Listen, Settings};
use crate::clock::Clock;
use crate::farewell;
use crate::http::{Feed, Route, Server, Shared, serve};
use crate::observer::http::{HttpObserver, Marks};
use crate::queue::{LIMIT, Queue};
use crate::rules::Rules;
use crate::worker::{self, Report};

/// A tap that listens.
#[derive(Debug)]
pub struct HttpTap {
    server: Server,
    observers: Vec<Observing>,
    page: Option<SocketAddr>,
    exporter: Option<String>,
}

/// The observer of one server.
#[derive(Debug)]
struct Observing {
    monitor: Monitor,
    queue: Arc<Queue>,
    worker: JoinHandle<Report>,
}

impl HttpTap {
    /// Listens. Neither the servers nor the exporter need to be there.
    ///
    /// # Errors
    /// When a setting is wrong or an address is taken.
    pub fn start(settings: &Settings, listen: &Listen) -> Result<Self, StartError> {
        let address = listen.address;
        let listener =
            TcpListener::bind(address).map_err(|source| StartError::Listen { address, source })?;
        let (clock, rules) = (Clock::start(), rules(settings)?);
        let (mut routes, mut observers) = (Vec::new(), Vec::<Observing>::new());
        for upstream in &listen.upstreams {
            let feed = if listen.observe {
                let first = observers.first().map(|first| &first.monitor);
                let monitor = monitor(settings, &upstream.name, first)?;
                let (observing, marks) = Observing::start(monitor, clock, rules.clone())?;
                let feed = Feed::new(observing.queue.clone(), marks, clock);
                observers.push(observing);
                Some(feed)
            } else {
                None
            };
            routes.push(Route::new(upstream.clone(), feed)?);
        }
        let page = match observers.first() {
            Some(first) => serve_page(settings, &first.monitor).map_err(StartError::Page)?,
            None => None,
        };
        let mut hosts = listen.hosts.clone();
        hosts.add_address(address.ip());
        let server = serve(&listener, &Arc::new(Shared::new(routes, hosts)))?;
        Ok(Self { server, observers, page, exporter: settings.exporter.clone() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Serves until a signal asks for the end, then delivers what was observed.
    ///
    /// # Errors
    /// When signals cannot be caught.
    pub fn run(self) -> io::Result<()> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        // For whoever started it with port 0; nobody may be reading.
        let mut stdout = io::stdout();
        _ = writeln!(stdout, "listening on http://{}", self.address());
        if let Some(page) = self.page {
            _ = writeln!(stdout, "metrics on http://{page}/metrics");
        }
        signals.forever().next();
        self.server.stop();
        let mut monitors = Vec::new();
        for Observing { monitor, queue, worker } in self.observers {
            queue.finish();
            match worker.join() {
                Ok(report) => tell(&report),
                Err(_) => tracing::error!("the observer stopped; later calls were not counted"),
            }
            monitor.set_connections(Transport::Http, 0);
            monitors.push(monitor);
        }
        // The first one serves the page of all.
        for monitor in monitors.into_iter().rev() {
            farewell::flush(monitor, self.exporter.clone());
        }
        Ok(())
    }
}

impl Observing {
    fn start(monitor: Monitor, clock: Clock, rules: Rules) -> io::Result<(Self, Marks)> {
        // So that the series is there before the first session.
        monitor.set_connections(Transport::Http, 0);
        let (queue, marks) = (Arc::new(Queue::new(LIMIT)), Marks::default());
        let observer = HttpObserver::new(monitor.clone(), marks.clone()).with_rules(rules);
        let worker = worker::spawn(observer, queue.clone(), clock)?;
        Ok((Self { monitor, queue, worker }, marks))
    }
}
