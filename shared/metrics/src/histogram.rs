//! Histograms whose series are sums of cells.
//!
//! Every tool call also counts as an operation, and all calls of a server share one operation
//! series: threads that call different tools would wait for each other there. So each tool has a
//! cell of its own, and a scrape adds the cells up. OpenTelemetry has no such instrument.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, Bucket, LabelPair, Metric, MetricFamily, MetricType};

use crate::catalogue::{Family, Kind};

/// A part of one series.
#[derive(Debug)]
pub(crate) struct Cell {
    bounds: &'static [f64],
    // One for each bound, and one for what is beyond the last.
    counts: Box<[AtomicU64]>,
    // The bits of an f64.
    sum: AtomicU64,
}

impl Cell {
    fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    pub(crate) fn observe(&self, seconds: f64) {
        let place = self.bounds.partition_point(|bound| *bound < seconds);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        let add = |sum| Some((f64::from_bits(sum) + seconds).to_bits());
        // The closure always gives a new sum, so this cannot fail.
        let _ = self.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

/// Every series of one family of histograms.
#[derive(Clone)]
pub(crate) struct CellFamily(Arc<Inner>);

struct Inner {
    family: Family,
    bounds: &'static [f64],
    desc: Desc,
    series: Mutex<HashMap<Vec<String>, Vec<Arc<Cell>>>>,
}

impl fmt::Debug for CellFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CellFamily").field(&self.0.family.name).finish()
    }
}

impl CellFamily {
    pub(crate) fn new(family: Family) -> Self {
        let Kind::Histogram(bounds) = family.kind else {
            unreachable!("{} is not a histogram in the catalogue", family.name)
        };
        let labels = family.labels.iter().map(|l| (*l).into()).collect();
        let desc = Desc::new(family.name.into(), family.help.into(), labels, HashMap::new())
            .expect("names and labels in the catalogue are legal");
        Self(Arc::new(Inner { family, bounds, desc, series: Mutex::default() }))
    }

    /// A new cell of the series with these values. An empty value stands for an absent label.
    pub(crate) fn bind(&self, values: &[&str]) -> Arc<Cell> {
        let cell = Arc::new(Cell::new(self.0.bounds));
        let key = values.iter().map(|value| (*value).to_owned()).collect();
        let mut series = self.0.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.entry(key).or_default().push(cell.clone());
        cell
    }
}

impl Inner {
    fn metric(&self, values: &[String], cells: &[Arc<Cell>]) -> Metric {
        let pairs = self.family.labels.iter().zip(values).filter(|(_, value)| !value.is_empty());
        let labels = pairs.map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).into());
            pair.set_value(value.clone());
            pair
        });
        let mut metric = Metric::from_label(labels.collect());
        let mut histogram = proto::Histogram::default();
        let mut count = 0;
        let mut up_to = |place: usize| {
            count += cells.iter().map(|c| c.counts[place].load(Ordering::Relaxed)).sum::<u64>();
            count
        };
        let buckets = self.bounds.iter().enumerate().map(|(place, bound)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(up_to(place));
            bucket
        });
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(up_to(self.bounds.len()));
        let sums = cells.iter().map(|cell| f64::from_bits(cell.sum.load(Ordering::Relaxed)));
        histogram.set_sample_sum(sums.fold(0.0, |sum, part| sum + part));
        metric.set_histogram(histogram);
        metric
    }
}

impl Collector for CellFamily {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let series = self.0.series.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = series.iter().map(|(values, cells)| self.0.metric(values, cells));
        let mut family = MetricFamily::default();
        family.set_name(self.0.family.name.into());
        family.set_help(self.0.family.help.into());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(metrics.collect());
        vec![family]
    }
}
