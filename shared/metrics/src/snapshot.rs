//! Totals per tool and server, read back from the families that a scrape would show.
//!
//! The status page's windows are differences of these, so page and scrape cannot disagree.

use std::collections::BTreeMap;

use prometheus::proto::{Metric, MetricFamily};

use crate::catalogue::{LLM_COST, LLM_TOKENS, REQUEST_DURATION, TOOL_CALLS};
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

/// What one server's language models took, since the process started.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServerTotals {
    /// Tokens of every type.
    pub tokens: u64,
    /// Cost in US dollars.
    pub cost_usd: f64,
}

/// Totals of the whole process.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    /// By server and tool, in the order of their labels.
    pub tools: Vec<ToolTotals>,
    /// By server's label; only servers that used language models.
    pub servers: BTreeMap<String, ServerTotals>,
}

impl Totals {
    pub(crate) fn of(families: &[MetricFamily]) -> Self {
        Self { tools: tools(families), servers: servers(families) }
    }
}

fn servers(families: &[MetricFamily]) -> BTreeMap<String, ServerTotals> {
    let mut totals = BTreeMap::<String, ServerTotals>::new();
    for metric in metrics(families, LLM_TOKENS.name) {
        let tokens = metric.get_counter().get_value() as u64;
        totals.entry(label(metric, "server")).or_default().tokens += tokens;
    }
    for metric in metrics(families, LLM_COST.name) {
        let cost = metric.get_counter().get_value();
        totals.entry(label(metric, "server")).or_default().cost_usd += cost;
    }
    totals
}

fn metrics<'f>(families: &'f [MetricFamily], name: &str) -> &'f [Metric] {
    let family = families.iter().find(|f| f.name() == name);
    family.map_or(&[], |family| family.get_metric())
}

fn tools(families: &[MetricFamily]) -> Vec<ToolTotals> {
    let mut totals = BTreeMap::<(String, String), ToolTotals>::new();
    let mut visit = |name: &str, act: &dyn Fn(&mut ToolTotals, &Metric)| {
        for metric in metrics(families, name) {
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
