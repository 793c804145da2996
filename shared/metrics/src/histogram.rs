//! The families of calls, whose series are sums of cells.
//!
//! A call counts in its tool's calls by status, in its duration and in its server's operation. One
//! cell serves all three: its bounds are those of both histograms together, so a call needs one
//! search and two additions, and a scrape adds the cells of each series up. That the calls are as
//! many as the durations is thus no promise to keep but the same number. Each tool has cells of its
//! own, so threads that call different tools do not wait for each other. OpenTelemetry has no such
//! instrument.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, Bucket, LabelPair, Metric, MetricFamily, MetricType};

use crate::catalogue::{Family, Kind};

/// The bounds of [`catalogue::CALL_BOUNDS`] and [`catalogue::OPERATION_BOUNDS`] together.
///
/// [`catalogue::CALL_BOUNDS`]: crate::catalogue::CALL_BOUNDS
/// [`catalogue::OPERATION_BOUNDS`]: crate::catalogue::OPERATION_BOUNDS
const BOUNDS: [f64; 19] = [
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
    60.0, 120.0, 300.0,
];

/// A part of one series in each family that it is attached to.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    // One for each bound, and one for what is beyond the last.
    counts: [AtomicU64; BOUNDS.len() + 1],
    // The bits of an f64.
    sum: AtomicU64,
}

impl Cell {
    pub(crate) fn observe(&self, seconds: f64) {
        // Every bound is compared: of so few, that is faster than a search that branches.
        let place: usize = BOUNDS.iter().map(|bound| usize::from(*bound < seconds)).sum();
        // Read before the count is written: a locked instruction holds up the reads behind it.
        let mut before = self.sum.load(Ordering::Relaxed);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        loop {
            let sum = (f64::from_bits(before) + seconds).to_bits();
            match self.sum.compare_exchange_weak(before, sum, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(other) => before = other,
            }
        }
    }

    /// Adds the counts to those of other cells.
    fn add_to(&self, counts: &mut [u64; BOUNDS.len() + 1]) {
        for (total, count) in counts.iter_mut().zip(&self.counts) {
            *total += count.load(Ordering::Relaxed);
        }
    }
}

/// Every series of one family: a histogram, or a counter of how much the cells hold.
#[derive(Clone)]
pub(crate) struct CellFamily(Arc<Inner>);

struct Inner {
    family: Family,
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
        if let Kind::Histogram(bounds) = family.kind {
            debug_assert!(bounds.iter().all(|bound| BOUNDS.contains(bound)), "{}", family.name);
        }
        let labels = family.labels.iter().map(|l| (*l).into()).collect();
        let desc = Desc::new(family.name.into(), family.help.into(), labels, HashMap::new())
            .expect("names and labels in the catalogue are legal");
        Self(Arc::new(Inner { family, desc, series: Mutex::default() }))
    }

    /// A new cell of the series with these values. An empty value stands for an absent label.
    pub(crate) fn bind(&self, values: &[&str]) -> Arc<Cell> {
        let cell = Arc::<Cell>::default();
        self.attach(values, cell.clone());
        cell
    }

    /// Makes a cell a part of the series with these values too.
    pub(crate) fn attach(&self, values: &[&str], cell: Arc<Cell>) {
        let key = values.iter().map(|value| (*value).to_owned()).collect();
        let mut series = self.0.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.entry(key).or_default().push(cell);
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
        let mut counts = [0; BOUNDS.len() + 1];
        cells.iter().for_each(|cell| cell.add_to(&mut counts));
        if let Kind::Histogram(bounds) = self.family.kind {
            let sums = cells.iter().map(|cell| f64::from_bits(cell.sum.load(Ordering::Relaxed)));
            let sum = sums.fold(0.0, |sum, part| sum + part);
            metric.set_histogram(histogram(bounds, &counts, sum));
        } else {
            let mut counter = proto::Counter::default();
            counter.set_value(counts.iter().sum::<u64>() as f64);
            metric.set_counter(counter);
        }
        metric
    }

    fn metric_type(&self) -> MetricType {
        match self.family.kind {
            Kind::Histogram(_) => MetricType::HISTOGRAM,
            _ => MetricType::COUNTER,
        }
    }
}

fn histogram(bounds: &[f64], counts: &[u64; BOUNDS.len() + 1], sum: f64) -> proto::Histogram {
    let buckets = bounds.iter().map(|bound| {
        let places = BOUNDS.partition_point(|other| other <= bound);
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(counts[..places].iter().sum());
        bucket
    });
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(counts.iter().sum());
    histogram.set_sample_sum(sum);
    histogram
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
        family.set_field_type(self.0.metric_type());
        family.set_metric(metrics.collect());
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{CALL_BOUNDS, OPERATION_BOUNDS};

    #[test]
    fn the_cells_bounds_are_those_of_both_families() {
        let mut both = [CALL_BOUNDS, OPERATION_BOUNDS].concat();
        both.sort_by(f64::total_cmp);
        both.dedup();
        assert_eq!(both, BOUNDS);
    }
}
