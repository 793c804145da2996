//! What the in-process server shows: with the in-process sink everything, with a remote sink
//! only the SDK's own numbers, so that a scrape of both never counts a call twice.

use std::sync::{Arc, Mutex, PoisonError};

use mcpmon_metrics::{Counter, Metrics, Options, Origin, ScrapeError, catalogue};
use serde::Serialize;

use crate::core::Sink;
use crate::readings::Readings;
use crate::remote::Losses;

/// The source of `/metrics` and `/health`.
#[derive(Debug)]
pub(crate) struct Page {
    origin: Arc<Origin<'static>>,
    readings: Arc<Readings>,
    metrics: Metrics,
    dropped: Counter,
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
    pub(crate) fn new(origin: Arc<Origin<'static>>, readings: Arc<Readings>, sink: &Sink) -> Self {
        let (metrics, losses) = match sink {
            Sink::InProcess(metrics) => (metrics.clone(), None),
            Sink::Remote(remote) => (new_metrics(), Some((remote.losses.clone(), Mutex::new(0)))),
        };
        let dropped = metrics.counter(catalogue::SDK_EVENTS_DROPPED, &[]);
        Self { origin, readings, metrics, dropped, losses }
    }

    /// Prometheus text 0.0.4.
    pub(crate) fn metrics(&self) -> Result<String, ScrapeError> {
        match &self.losses {
            None => {
                let readings = self.readings.now();
                for event in &readings {
                    self.metrics.record(&self.origin, event);
                }
                self.readings.gauges.told(&readings);
            }
            Some((losses, counted)) => {
                let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
                let total = losses.total();
                self.dropped.add(total - *counted);
                *counted = total;
            }
        }
        self.metrics.encode()
    }

    /// The health reply as JSON.
    pub(crate) fn health(&self) -> String {
        let health = Health {
            status: "ok",
            server: self.origin.server.as_str(),
            source: self.origin.source.as_str(),
            sink: if self.losses.is_some() { "exporter" } else { "in_process" },
            uptime_seconds: self.readings.uptime().as_secs_f64(),
            events_dropped: self.losses.as_ref().map_or(0, |(losses, _)| losses.total()),
        };
        serde_json::to_string(&health).expect("strings and finite numbers always serialise")
    }
}
