//! The last five minutes of every tool, as differences of what the scrape shows.
//!
//! A sample of the totals is kept every fifteen seconds; a window is now minus the oldest sample.
//! So recording a call costs nothing here, and the page cannot disagree with `/metrics`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcpmon_metrics::catalogue::CALL_BOUNDS;
use mcpmon_metrics::{ToolTotals, Totals};
use tokio::time::Instant;

/// How long a window is, once the process is old enough.
pub(crate) const WINDOW: Duration = Duration::from_secs(300);
/// How often a sample is kept.
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_secs(15);

/// What a tool did within a window: calls by status, and durations by bucket.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub(crate) calls: [u64; 4],
    buckets: Vec<u64>,
}

/// Samples of the totals over the last five minutes.
#[derive(Debug)]
pub(crate) struct Window {
    samples: Mutex<VecDeque<(Instant, Arc<Totals>)>>,
}

impl Window {
    /// A window that begins now, with nothing counted yet.
    pub(crate) fn starting(now: Instant) -> Self {
        Self { samples: Mutex::new(VecDeque::from([(now, Arc::default())])) }
    }

    /// Keeps a sample, and forgets those that no window needs any more.
    pub(crate) fn sample(&self, now: Instant, totals: Arc<Totals>) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.push_back((now, totals));
        while samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            samples.pop_front();
        }
    }

    /// The start of the window that ends now, and the totals at its start.
    pub(crate) fn start(&self) -> (Instant, Arc<Totals>) {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.front().cloned().expect("the first sample is there from the start, one is kept")
    }
}

/// What changed for every tool between two readings of the totals.
pub(crate) fn changes<'t>(
    start: &'t Totals,
    now: &'t Totals,
) -> impl Iterator<Item = (&'t ToolTotals, Change)> {
    let key = |tool: &'t ToolTotals| (&*tool.server, &*tool.tool);
    let before: HashMap<_, _> = start.tools.iter().map(|tool| (key(tool), tool)).collect();
    now.tools.iter().map(move |tool| (tool, Change::between(before.get(&key(tool)).copied(), tool)))
}

impl Default for Change {
    fn default() -> Self {
        Self { calls: [0; 4], buckets: vec![0; CALL_BOUNDS.len()] }
    }
}

impl Change {
    fn between(start: Option<&ToolTotals>, now: &ToolTotals) -> Self {
        let calls = |i: usize| start.map_or(0, |start| start.calls[i]);
        let bucket = |i: usize| start.and_then(|s| s.buckets.get(i).copied()).unwrap_or(0);
        Self {
            calls: [0, 1, 2, 3].map(|i| now.calls[i].saturating_sub(calls(i))),
            buckets: (now.buckets.iter().enumerate())
                .map(|(i, count)| count.saturating_sub(bucket(i)))
                .collect(),
        }
    }

    /// All that the tool did since the process started.
    pub(crate) fn since_start(tool: &ToolTotals) -> Self {
        Self::between(None, tool)
    }

    /// Adds what another tool did.
    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = self.calls.iter_mut().zip(&other.calls);
        let pairs = pairs.chain(self.buckets.iter_mut().zip(&other.buckets));
        pairs.for_each(|(sum, count)| *sum += count);
    }

    /// Calls, whatever became of them.
    pub(crate) fn total(&self) -> u64 {
        self.calls.iter().sum()
    }

    /// Calls that failed or timed out.
    pub(crate) fn errors(&self) -> u64 {
        let [_, error, timeout, _] = self.calls;
        error + timeout
    }

    /// The share of calls that failed or timed out; what was cancelled counts in neither.
    pub(crate) fn error_ratio(&self) -> Option<f64> {
        let [success, ..] = self.calls;
        let ended = success + self.errors();
        (ended > 0).then(|| self.errors() as f64 / ended as f64)
    }

    /// The duration below which a share of the calls ended, in seconds: the same estimate from
    /// buckets as PromQL's `histogram_quantile`, so that page and dashboards agree.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let total = self.total() as f64;
        if total == 0.0 {
            return None;
        }
        let rank = share * total;
        let place = self.buckets.iter().position(|count| *count as f64 >= rank);
        // Beyond the last bound nothing is known but the bound itself.
        let Some(place) = place else { return CALL_BOUNDS.last().copied() };
        let below = |counts: &[u64]| place.checked_sub(1).map_or(0, |i| counts[i]) as f64;
        let lower = place.checked_sub(1).map_or(0.0, |i| CALL_BOUNDS[i]);
        let (start, end) = (below(&self.buckets), self.buckets[place] as f64);
        let within = if end > start { (rank - start) / (end - start) } else { 0.0 };
        Some(lower + (CALL_BOUNDS[place] - lower) * within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(calls: [u64; 4], fast: u64, slow: u64) -> ToolTotals {
        // `fast` calls took up to 5 ms, `slow` ones between 1 and 2 s, the rest longer than all.
        let bucket = |bound: &f64| match *bound {
            b if b < 0.005 => 0,
            b if b < 2.0 => fast,
            _ => fast + slow,
        };
        let buckets = CALL_BOUNDS.iter().map(bucket).collect();
        ToolTotals { server: "s".into(), tool: "t".into(), calls, buckets }
    }

    fn totals(tool: ToolTotals) -> Totals {
        Totals { tools: vec![tool], ..Totals::default() }
    }

    #[test]
    fn a_window_is_the_difference_of_two_samples() {
        let start = totals(tool([10, 1, 0, 0], 11, 0));
        let now = totals(tool([13, 2, 1, 5], 13, 8));
        let (_, change) = changes(&start, &now).next().unwrap();
        assert_eq!(change.calls, [3, 1, 1, 5]);
        assert_eq!(change.errors(), 2);
        assert_eq!(change.error_ratio(), Some(0.4));
    }

    #[test]
    fn quantiles_are_what_histogram_quantile_gives() {
        let change = Change::between(None, &tool([100, 0, 0, 0], 90, 10));
        assert_eq!(change.quantile(0.45), Some(0.00375));
        assert_eq!(change.quantile(0.95), Some(1.5));
        let beyond = Change::between(None, &tool([100, 0, 0, 0], 90, 0));
        assert_eq!(beyond.quantile(0.99), Some(300.0));
        assert_eq!(Change::between(None, &tool([0; 4], 0, 0)).quantile(0.5), None);
    }

    #[test]
    fn only_cancelled_calls_give_no_ratio() {
        let change = Change::between(None, &tool([0, 0, 0, 7], 7, 0));
        assert_eq!(change.error_ratio(), None);
        assert_eq!(change.total(), 7);
    }

    #[test]
    fn samples_older_than_the_window_are_forgotten() {
        let start = Instant::now();
        let window = Window::starting(start);
        for i in 1..=40 {
            window.sample(start + SAMPLE_EVERY * i, Arc::default());
        }
        let (oldest, _) = window.start();
        assert_eq!(oldest, start + SAMPLE_EVERY * 40 - WINDOW);
    }
}
