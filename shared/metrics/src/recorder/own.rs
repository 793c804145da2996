//! What a process says of itself, as opposed to what it was told of MCP servers.

use std::time::Duration;

use super::Metrics;
use crate::catalogue::Family;
use crate::telemetry::{Count, Distribution, Emit};

/// One series that only grows.
#[derive(Debug)]
pub struct Counter(Count);

/// One series of a histogram of times.
#[derive(Debug)]
pub struct Durations(Distribution);

impl Counter {
    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.add(count);
    }
}

impl Durations {
    /// Adds one time.
    pub fn record(&self, took: Duration) {
        self.0.record(took.as_secs_f64());
    }
}

impl Metrics {
    /// A counter of the process itself, with its label values bound.
    pub fn counter(&self, family: Family, values: &[&str]) -> Counter {
        let counter = Counter(self.0.telemetry.counters(family).bind(values));
        // A series without labels is exposed from its first addition on.
        counter.add(0);
        counter
    }

    /// A histogram of the process itself, with its label values bound.
    pub fn durations(&self, family: Family, values: &[&str]) -> Durations {
        Durations(self.0.telemetry.histograms(family).bind(values))
    }

    /// A gauge of the process itself, read at each scrape: label values, and the value.
    pub fn gauge(&self, family: Family, read: impl Fn(&mut Emit<'_>) + Send + Sync + 'static) {
        self.0.telemetry.gauge(family, read);
    }
}
