//! What the handlers share. Built by [`Application`](crate::Application) alone.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mcpmon_bootstrap::http::Tokens;
use mcpmon_metrics::{Metrics, ScrapeError, Totals};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::alerts::Alerts;
use crate::config::Limits;
use crate::failures::Failures;
use crate::http::{Buffers, Replies};
use crate::ingest::Ingest;
use crate::peer::Peer;
use crate::remediation::Repairs;
use crate::verdict::Verdict;
use crate::window::Window;

/// How old the totals on the page may be.
const TOTALS_MAX_AGE: Duration = Duration::from_millis(500);

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) metrics: Metrics,
    pub(crate) ingest: Ingest,
    pub(crate) failures: Failures,
    pub(crate) alerts: Alerts,
    pub(crate) window: Window,
    pub(crate) monitor: OnceLock<Peer<Verdict>>,
    pub(crate) remediation: OnceLock<Peer<Repairs>>,
    pub(crate) tokens: Tokens,
    pub(crate) limits: Limits,
    pub(crate) buffers: Buffers,
    pub(crate) replies: Replies,
    pub(crate) started: Instant,
    // Held while a scrape is encoded: there is never more than one.
    pub(crate) scrape: Arc<Mutex<()>>,
    pub(crate) totals: Arc<Mutex<Option<Reading>>>,
}

/// Totals, and when they were read.
pub(crate) type Reading = (Instant, Arc<Totals>);

impl State {
    /// The totals now, or as they were a moment ago.
    pub(crate) async fn totals(&self) -> Result<Reading, ScrapeError> {
        let mut kept = self.totals.clone().lock_owned().await;
        if let Some((at, totals)) = &*kept
            && at.elapsed() < TOTALS_MAX_AGE
        {
            return Ok((*at, totals.clone()));
        }
        let metrics = self.metrics.clone();
        // The lock goes along, so that a client that hangs up does not let a second one begin.
        let reading = tokio::task::spawn_blocking(move || {
            let at = Instant::now();
            let totals = Arc::new(metrics.totals()?);
            *kept = Some((at, totals.clone()));
            Ok((at, totals))
        });
        reading.await.map_err(|_| ScrapeError::PipelinePanicked)?
    }
}
