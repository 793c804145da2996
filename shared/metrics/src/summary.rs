//! Summaries with `_sum` and `_count` only, as the prototype's sizes were.
//!
//! OpenTelemetry's data model has no summary, so these come from a collector of their own.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};

use crate::catalogue::Family;

/// What one tool's messages weighed: one series in each of two families.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    requests: Sum,
    responses: Sum,
    // Calls with both sizes, as most have: counted once for both.
    both: AtomicU64,
}

/// Messages of one direction, but for the count of [`Sizes::both`].
#[derive(Debug, Default)]
struct Sum {
    alone: AtomicU64,
    bytes: AtomicU64,
}

/// Which messages of a call a family is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Direction {
    Request,
    Response,
}

impl Sizes {
    pub(crate) fn observe(&self, request_bytes: Option<u64>, response_bytes: Option<u64>) {
        match (request_bytes, response_bytes) {
            (Some(request), Some(response)) => {
                self.requests.add(request);
                self.responses.add(response);
                self.both.fetch_add(1, Ordering::Relaxed);
            }
            (Some(request), None) => self.requests.observe(request),
            (None, Some(response)) => self.responses.observe(response),
            (None, None) => {}
        }
    }

    fn summary(&self, direction: Direction) -> proto::Summary {
        let sum = match direction {
            Direction::Request => &self.requests,
            Direction::Response => &self.responses,
        };
        let count = self.both.load(Ordering::Relaxed) + sum.alone.load(Ordering::Relaxed);
        let mut summary = proto::Summary::default();
        summary.set_sample_count(count);
        summary.set_sample_sum(sum.bytes.load(Ordering::Relaxed) as f64);
        summary
    }
}

impl Sum {
    fn observe(&self, bytes: u64) {
        self.add(bytes);
        self.alone.fetch_add(1, Ordering::Relaxed);
    }

    fn add(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.checked_add(bytes).is_none() {
            // A sum that wraps would look like a restart.
            self.bytes.store(u64::MAX, Ordering::Relaxed);
        }
    }
}

/// Every series of one family of summaries.
#[derive(Clone)]
pub(crate) struct SummaryFamily(Arc<Inner>);

struct Inner {
    family: Family,
    direction: Direction,
    desc: Desc,
    series: Mutex<Vec<(Vec<LabelPair>, Arc<Sizes>)>>,
}

impl fmt::Debug for SummaryFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SummaryFamily").field(&self.0.family.name).finish()
    }
}

impl SummaryFamily {
    pub(crate) fn new(family: Family, direction: Direction) -> Self {
        let labels = family.labels.iter().map(|l| (*l).into()).collect();
        // Without a descriptor two collectors of one name would both register.
        let desc = Desc::new(family.name.into(), family.help.into(), labels, Default::default())
            .expect("names and labels in the catalogue are legal");
        Self(Arc::new(Inner { family, direction, desc, series: Mutex::default() }))
    }

    /// Adds a series. The caller attaches each set of values once.
    pub(crate) fn attach(&self, values: &[&str], sizes: Arc<Sizes>) {
        let labels = self.0.family.labels.iter().zip(values).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).into());
            pair.set_value((*value).into());
            pair
        });
        let mut series = self.0.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.push((labels.collect(), sizes));
    }
}

impl Collector for SummaryFamily {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let series = self.0.series.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = series.iter().map(|(labels, sizes)| {
            let mut metric = Metric::from_label(labels.clone());
            metric.set_summary(sizes.summary(self.0.direction));
            metric
        });
        let mut family = MetricFamily::default();
        family.set_name(self.0.family.name.into());
        family.set_help(self.0.family.help.into());
        family.set_field_type(MetricType::SUMMARY);
        family.set_metric(metrics.collect());
        vec![family]
    }
}
