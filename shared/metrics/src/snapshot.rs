//! Totals per tool, read back from the families that a scrape would show.
//!
//! The status page's windows are differences of these, so page and scrape cannot disagree.

use std::collections::BTreeMap;

use prometheus::proto::{Metric, MetricFamily};

use crate::catalogue::{REQUEST_DURATION, TOOL_CALLS};
use crate::label::{Label, Status};

/// What one tool has been called, since the process started.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolTotals {
    /// The server's label.
    pub server: String,
    /// The tool's label.
    pub tool: String,
    /// Calls by status, in the order of [`Status::ALL`].
    pub calls: [u64; Status::ALL.len()],
    /// Durations: cumulative counts at each of [`crate::catalogue::CALL_BOUNDS`], in seconds.
    pub buckets: Vec<u64>,
}

pub(crate) fn tool_totals(families: &[MetricFamily]) -> Vec<ToolTotals> {
    let mut totals = BTreeMap::<(String, String), ToolTotals>::new();
    let mut visit = |name: &str, act: &dyn Fn(&mut ToolTotals, &Metric)| {
        let family = families.iter().find(|f| f.name() == name);
        for metric in family.iter().flat_map(|f| f.get_metric()) {
            let key = (label(metric, "server"), label(metric, "tool_name"));
            let entry = totals.entry(key).or_insert_with_key(|(server, tool)| ToolTotals {
                server: server.clone(),
                tool: tool.clone(),
                calls: Default::default(),
                buckets: Vec::new(),
            });
            act(entry, metric);
        }
    };
    visit(TOOL_CALLS.name, &|totals, metric| {
        if let Ok(status) = label(metric, "status").parse::<Status>() {
            totals.calls[status as usize] = metric.get_counter().get_value() as u64;
        }
    });
    visit(REQUEST_DURATION.name, &|totals, metric| {
        let buckets = metric.get_histogram().get_bucket();
        totals.buckets = buckets
            .iter()
            .filter(|b| b.upper_bound().is_finite())
            .map(prometheus::proto::Bucket::cumulative_count)
            .collect();
    });
    totals.into_values().collect()
}

fn label(metric: &Metric, name: &str) -> String {
    let pair = metric.get_label().iter().find(|pair| pair.name() == name);
    pair.map_or_else(String::new, |pair| pair.value().to_owned())
}
