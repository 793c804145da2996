//! What was counted, for a program that runs the exporter inside of itself.

use std::sync::Arc;

use mcpmon_metrics::ScrapeError;

use crate::state::State;

/// What the exporter has counted so far, in the same process.
#[derive(Debug, Clone)]
pub struct Overview(pub(crate) Arc<State>);

/// Sums over all servers and tools since the start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counted {
    /// Calls that ended.
    pub calls: u64,
    /// Of these, calls that failed or timed out.
    pub errors: u64,
    /// Language model tokens.
    pub tokens: u64,
    /// Their cost in US dollars.
    pub cost_usd: f64,
}

impl Overview {
    /// The sums now.
    ///
    /// # Errors
    /// When a scrape would fail.
    pub async fn read(&self) -> Result<Counted, ScrapeError> {
        let (_, totals) = self.0.totals().await?;
        let [success, error, timeout, cancelled] =
            [0, 1, 2, 3].map(|i| totals.tools.iter().map(|tool| tool.calls[i]).sum::<u64>());
        Ok(Counted {
            calls: success + error + timeout + cancelled,
            errors: error + timeout,
            tokens: totals.servers.values().map(|server| server.tokens).sum(),
            // An empty sum of floats is -0.
            cost_usd: totals.servers.values().fold(0.0, |sum, server| sum + server.cost_usd),
        })
    }
}
