//! What the in-process server shows: with the in-process sink everything, with a remote sink
//! only the SDK's own numbers, so that a scrape of both never counts a call twice.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use mcpmon_metrics::{Counter, Metrics, Options, Origin, ScrapeError, catalogue};
use serde::Serialize;

use crate::core::Sink;
use crate::readings::Readings;
use crate::remote::Losses;

/// The source of `/metrics` and `/health`, for one monitor and those that were built beside it.
#[derive(Debug)]
pub(crate) struct Page {
    metrics: Metrics,
    dropped: Counter,
    own: Part,
    beside: Mutex<Vec<Part>>,
}

/// What one monitor brings to a page.
#[derive(Debug)]
struct Part {
    origin: Arc<Origin<'static>>,
    /// Gone when the monitor is: what it read last is not true any more.
    readings: Weak<Readings>,
    /// With a remote sink: what it lost, and how much of that the counter has.
    losses: Option<(Arc<Losses>, Mutex<u64>)>,
}

#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    server: &'a str,
    source: &'a str,
    sink: &'static str,
    uptime_seconds: f64,
    events_dropped: u64,
}

/// Numbers of one process, named after the SDK.
pub(crate) fn new_metrics() -> Metrics {
    Metrics::new(Options::new("mcpmon-sdk", env!("CARGO_PKG_VERSION")))
}

impl Page {
    pub(crate) fn new(origin: Arc<Origin<'static>>, readings: &Arc<Readings>, sink: &Sink) -> Self {
        let metrics = match sink {
            Sink::InProcess(metrics) => metrics.clone(),
            Sink::Remote(_) => new_metrics(),
        };
        let dropped = metrics.counter(catalogue::SDK_EVENTS_DROPPED, &[]);
        let own = Part::new(origin, readings, sink);
        Self { metrics, dropped, own, beside: Mutex::default() }
    }

    /// Shows another monitor, too. If its numbers stay in this process, they are [`Page::numbers`].
    pub(crate) fn join(&self, origin: Arc<Origin<'static>>, readings: &Arc<Readings>, sink: &Sink) {
        self.beside().push(Part::new(origin, readings, sink));
    }

    /// What is encoded.
    pub(crate) fn numbers(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Prometheus text 0.0.4.
    pub(crate) fn metrics(&self) -> Result<String, ScrapeError> {
        self.own.read(&self.metrics, &self.dropped);
        self.beside().retain(|part| {
            part.read(&self.metrics, &self.dropped);
            part.readings.strong_count() > 0
        });
        self.metrics.encode()
    }

    /// The health reply as JSON: of the monitor whose page it is, and what all of them lost.
    pub(crate) fn health(&self) -> String {
        let health = Health {
            status: "ok",
            server: self.own.origin.server.as_str(),
            source: self.own.origin.source.as_str(),
            sink: if self.own.losses.is_some() { "exporter" } else { "in_process" },
            uptime_seconds: self.own.uptime().as_secs_f64(),
            events_dropped: self.own.lost() + self.beside().iter().map(Part::lost).sum::<u64>(),
        };
        serde_json::to_string(&health).expect("strings and finite numbers always serialise")
    }

    fn beside(&self) -> MutexGuard<'_, Vec<Part>> {
        self.beside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    fn new(origin: Arc<Origin<'static>>, readings: &Arc<Readings>, sink: &Sink) -> Self {
        let losses = match sink {
            Sink::InProcess(_) => None,
            Sink::Remote(remote) => Some((remote.losses.clone(), Mutex::new(0))),
        };
        Self { origin, readings: Arc::downgrade(readings), losses }
    }

    /// Brings the numbers up to now.
    fn read(&self, metrics: &Metrics, dropped: &Counter) {
        match &self.losses {
            None => {
                let Some(readings) = self.readings.upgrade() else { return };
                let now = readings.now();
                for event in &now {
                    metrics.record(&self.origin, event);
                }
                readings.gauges.told(&now);
            }
            Some((losses, counted)) => {
                let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
                let total = losses.total();
                dropped.add(total - *counted);
                *counted = total;
            }
        }
    }

    fn uptime(&self) -> Duration {
        self.readings.upgrade().map(|readings| readings.uptime()).unwrap_or_default()
    }

    fn lost(&self) -> u64 {
        self.losses.as_ref().map_or(0, |(losses, _)| losses.total())
    }
}
