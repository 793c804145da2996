//! Summaries with `_sum` and `_count` only, as the prototype's sizes were.
//!
//! OpenTelemetry's data model has no summary, so these come from a collector of their own.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};

use crate::catalogue::Family;

/// One summary series.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    count: AtomicU64,
    sum: AtomicU64,
}

impl Summary {
    pub(crate) fn observe(&self, bytes: u64) {
        let before = self.sum.fetch_add(bytes, Ordering::Relaxed);
        if before.checked_add(bytes).is_none() {
            // A sum that wraps would look like a restart.
            self.sum.store(u64::MAX, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Every series of one family of summaries.
#[derive(Clone)]
pub(crate) struct SummaryFamily(Arc<Inner>);

struct Inner {
    family: Family,
    desc: Desc,
    series: Mutex<Vec<(Vec<LabelPair>, Arc<Summary>)>>,
}

impl fmt::Debug for SummaryFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SummaryFamily").field(&self.0.family.name).finish()
    }
}

impl SummaryFamily {
    pub(crate) fn new(family: Family) -> Self {
        let labels = family.labels.iter().map(|l| (*l).into()).collect();
        // Without a descriptor two collectors of one name would both register.
        let desc = Desc::new(family.name.into(), family.help.into(), labels, Default::default())
            .expect("names and labels in the catalogue are legal");
        Self(Arc::new(Inner { family, desc, series: Mutex::default() }))
    }

    /// Adds a series. The caller binds each set of values once.
    pub(crate) fn bind(&self, values: &[&str]) -> Arc<Summary> {
        let labels = self.0.family.labels.iter().zip(values).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).into());
            pair.set_value((*value).into());
            pair
        });
        let summary = Arc::<Summary>::default();
        let mut series = self.0.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.push((labels.collect(), summary.clone()));
        summary
    }
}

impl Collector for SummaryFamily {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let series = self.0.series.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = series.iter().map(|(labels, summary)| {
            let mut value = proto::Summary::default();
            value.set_sample_count(summary.count.load(Ordering::Relaxed));
            value.set_sample_sum(summary.sum.load(Ordering::Relaxed) as f64);
            let mut metric = Metric::from_label(labels.clone());
            metric.set_summary(value);
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
