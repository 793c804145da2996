//! The one place where families become OpenTelemetry instruments and text.
//!
//! Counters, gauges and histograms go through `opentelemetry-prometheus`; what OpenTelemetry does
//! not have, summaries and the families of calls in cells, through collectors of our own in the same registry. The
//! bound-instrument API is experimental upstream: nothing outside this module names it.

use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{
    BoundCounter, BoundHistogram, Counter, Histogram, Meter, MeterProvider,
};
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use prometheus::proto::MetricFamily;
use prometheus::{Registry, TextEncoder};

use crate::admission::Budgets;
use crate::catalogue::{self, Family, Kind, Publisher};
use crate::histogram::CellFamily;
use crate::summary::{Direction, SummaryFamily};

/// The `Content-Type` of [`crate::Metrics::encode`]'s text.
pub const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Why a scrape cannot be answered. An empty page would look like a healthy, idle process.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// OpenTelemetry's pipeline gave nothing, though there always is something to give.
    #[error("the metric pipeline returned no families")]
    PipelineEmpty,
    /// The pipeline panicked.
    #[error("the metric pipeline panicked")]
    PipelinePanicked,
    /// A family could not be written as text.
    #[error("a family could not be encoded")]
    Encode(#[from] prometheus::Error),
}

/// One instrument of whole numbers with its labels bound.
pub(crate) type Count = BoundCounter<u64>;
/// One instrument of fractional amounts with its labels bound.
pub(crate) type Amount = BoundCounter<f64>;
/// One histogram with its labels bound.
pub(crate) type Distribution = BoundHistogram<f64>;
/// Gives a reading to a scrape: label values in the family's order, and the value.
pub type Emit<'a> = dyn FnMut(&[&str], f64) + 'a;

pub(crate) struct Telemetry {
    registry: Registry,
    meter: Meter,
    callback_panics: Arc<AtomicU64>,
    /// Families that another process serves: here they would be zeros that say nothing.
    hidden: HashSet<&'static str>,
    // Dropping the provider would end the pipeline.
    _provider: SdkMeterProvider,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

/// A family of counters, ready to bind label values.
pub(crate) struct Counters<T>(Counter<T>, Family);
/// A family of histograms, ready to bind label values.
pub(crate) struct Histograms(Histogram<f64>, Family);

impl Counters<u64> {
    pub(crate) fn bind(&self, values: &[&str]) -> Count {
        self.0.bind(&attributes(&self.1, values))
    }
}

impl Counters<f64> {
    pub(crate) fn bind(&self, values: &[&str]) -> Amount {
        self.0.bind(&attributes(&self.1, values))
    }
}

impl Histograms {
    pub(crate) fn bind(&self, values: &[&str]) -> Distribution {
        self.0.bind(&attributes(&self.1, values))
    }
}

/// An empty value stands for a label that is absent, as it does in Prometheus.
fn attributes(family: &Family, values: &[&str]) -> Vec<KeyValue> {
    debug_assert_eq!(family.labels.len(), values.len(), "{}", family.name);
    let pairs = family.labels.iter().zip(values).filter(|(_, value)| !value.is_empty());
    pairs.map(|(label, value)| KeyValue::new(*label, String::from(*value))).collect()
}

impl Telemetry {
    pub(crate) fn new(budgets: &Budgets, publisher: Option<Publisher>) -> Self {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_counter_suffixes()
            .without_target_info()
            .without_units()
            .build()
            .expect("a fresh registry has no collector that this one could collide with");
        let limits: Vec<_> =
            catalogue::ALL.iter().map(|f| (f.name, f.size.limit(budgets))).collect();
        let provider = SdkMeterProvider::builder()
            .with_reader(exporter)
            .with_view(move |instrument: &Instrument| {
                let (_, limit) = limits.iter().find(|(name, _)| *name == instrument.name())?;
                // One more than admission can reach.
                Stream::builder().with_cardinality_limit(limit + 1).build().ok()
            })
            .build();
        let meter = provider.meter("mcpmon");
        let hidden = publisher.map(families_of_others).unwrap_or_default();
        Self { registry, meter, callback_panics: Arc::default(), hidden, _provider: provider }
    }

    pub(crate) fn counters(&self, family: Family) -> Counters<u64> {
        let counter = self.meter.u64_counter(family.name).with_description(family.help).build();
        Counters(counter, family)
    }

    pub(crate) fn amounts(&self, family: Family) -> Counters<f64> {
        let counter = self.meter.f64_counter(family.name).with_description(family.help).build();
        Counters(counter, family)
    }

    pub(crate) fn histograms(&self, family: Family) -> Histograms {
        let Kind::Histogram(bounds) = family.kind else {
            unreachable!("{} is not a histogram in the catalogue", family.name)
        };
        let builder = self.meter.f64_histogram(family.name).with_description(family.help);
        Histograms(builder.with_boundaries(bounds.to_vec()).build(), family)
    }

    pub(crate) fn summaries(&self, family: Family, direction: Direction) -> SummaryFamily {
        let summaries = SummaryFamily::new(family, direction);
        self.registry
            .register(Box::new(summaries.clone()))
            .expect("names in the catalogue are unique and its labels legal");
        summaries
    }

    pub(crate) fn cells(&self, family: Family) -> CellFamily {
        let cells = CellFamily::new(family);
        self.registry
            .register(Box::new(cells.clone()))
            .expect("names in the catalogue are unique and its labels legal");
        cells
    }

    /// Reads a gauge at each scrape. Series that a reading leaves out end.
    pub(crate) fn gauge(
        &self,
        family: Family,
        read: impl Fn(&mut Emit<'_>) + Send + Sync + 'static,
    ) {
        let panics = self.callback_panics.clone();
        self.meter
            .f64_observable_gauge(family.name)
            .with_description(family.help)
            .with_callback(move |observer| {
                let mut emit = |values: &[&str], value: f64| {
                    observer.observe(value, &attributes(&family, values));
                };
                // A panic here would poison the pipeline and empty every later scrape.
                if catch_unwind(AssertUnwindSafe(|| read(&mut emit))).is_err() {
                    panics.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(metric = family.name, "a gauge's reading panicked");
                }
            })
            .build();
    }

    pub(crate) fn gather(&self) -> Result<Vec<MetricFamily>, ScrapeError> {
        let families = catch_unwind(AssertUnwindSafe(|| self.registry.gather()))
            .map_err(|_| ScrapeError::PipelinePanicked)?;
        // The label overflow counter is bound from the start, so it is always there.
        if families.iter().any(|f| f.name() == catalogue::LABEL_OVERFLOW.name) {
            Ok(families)
        } else {
            Err(ScrapeError::PipelineEmpty)
        }
    }

    pub(crate) fn encode(&self) -> Result<String, ScrapeError> {
        let mut families = self.gather()?;
        families.retain(|family| !self.hidden.contains(family.name()));
        Ok(TextEncoder::new().encode_to_string(&families)?)
    }
}

fn families_of_others(publisher: Publisher) -> HashSet<&'static str> {
    let ours = [publisher, Publisher::Each];
    let others = catalogue::ALL.iter().filter(|family| !ours.contains(&family.publisher));
    others.map(|family| family.name).collect()
}
