//! `GET /api/v1/summary`: what the exporter itself counted, over the last five minutes.

use std::collections::BTreeMap;

use mcpmon_metrics::Totals;
use serde::Serialize;
use tokio::time::Instant;

use crate::verdict::Verdict;
use crate::window::{Change, changes};

/// The reply. `null` stands for no data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// How long the window is: shorter than five minutes while the process is young.
    pub(crate) window_seconds: f64,
    pub(crate) servers: Vec<Server>,
    pub(crate) tools: Vec<Tool>,
}

/// One server, over all its tools.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Server {
    pub(crate) server: String,
    #[serde(flatten)]
    pub(crate) figures: Figures,
    /// Language model tokens since the start.
    pub(crate) llm_tokens: u64,
    /// Their cost in US dollars since the start; `null` when none of them has a price.
    pub(crate) llm_cost_usd: Option<f64>,
}

/// One tool of one server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Tool {
    pub(crate) server: String,
    pub(crate) tool: String,
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

/// The figures of a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// Calls within the window.
    pub(crate) calls: u64,
    /// Of these, calls that failed or timed out.
    pub(crate) errors: u64,
    /// errors / (success + errors); what was cancelled counts in neither.
    pub(crate) error_ratio: Option<f64>,
    pub(crate) p50_seconds: Option<f64>,
    pub(crate) p95_seconds: Option<f64>,
    pub(crate) p99_seconds: Option<f64>,
    pub(crate) window_seconds: f64,
    /// Calls since the start.
    pub(crate) calls_total: u64,
    /// Of these, calls that failed or timed out.
    pub(crate) errors_total: u64,
}

impl Figures {
    fn new(change: &Change, total: &Change, window_seconds: f64) -> Self {
        Self {
            calls: change.total(),
            errors: change.errors(),
            error_ratio: change.error_ratio(),
            p50_seconds: change.quantile(0.5),
            p95_seconds: change.quantile(0.95),
            p99_seconds: change.quantile(0.99),
            window_seconds,
            calls_total: total.total(),
            errors_total: total.errors(),
        }
    }
}

impl Summary {
    /// The window between two readings of the totals, and the verdict on its traffic.
    pub(crate) fn between(start: (Instant, &Totals), end: (Instant, &Totals)) -> (Self, Verdict) {
        let window_seconds = end.0.duration_since(start.0).as_secs_f64();
        let mut tools = Vec::with_capacity(end.1.tools.len());
        let used_models = end.1.servers.keys().map(|server| (&**server, Default::default()));
        let mut sums: BTreeMap<&str, (Change, Change)> = used_models.collect();
        for (totals, window) in changes(start.1, end.1) {
            let since = Change::since_start(totals);
            tools.push(Tool {
                server: totals.server.clone(),
                tool: totals.tool.clone(),
                figures: Figures::new(&window, &since, window_seconds),
            });
            let (windows, sinces) = sums.entry(&totals.server).or_default();
            windows.add(&window);
            sinces.add(&since);
        }
        let verdict =
            Verdict::of_traffic(sums.iter().map(|(server, (window, _))| (*server, window)));
        let servers = sums.iter().map(|(server, (window, since))| {
            let llm = end.1.servers.get(*server).cloned().unwrap_or_default();
            Server {
                server: (*server).to_owned(),
                figures: Figures::new(window, since, window_seconds),
                llm_tokens: llm.tokens,
                llm_cost_usd: (llm.tokens == 0 || llm.cost_usd > 0.0).then_some(llm.cost_usd),
            }
        });
        (Self { window_seconds, servers: servers.collect(), tools }, verdict)
    }
}
