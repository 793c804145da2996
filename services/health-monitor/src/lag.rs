//! Whether this process itself gets to run. A check that failed while we were not given the
//! processor says nothing of the component.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(100);
/// How far back lag is remembered: longer than any check.
const REMEMBERED: Duration = Duration::from_secs(120);

/// The longest that a check may have waited for us and still count.
pub(crate) const TOLERATED: Duration = Duration::from_secs(1);

/// The lags of the last two minutes.
#[derive(Debug, Clone, Default)]
pub struct Lag(Arc<Mutex<Lags>>);

#[derive(Debug, Default)]
struct Lags {
    /// When it was noticed, and how long it was; only lags that matter.
    seen: VecDeque<(Instant, Duration)>,
    /// The last look at the clock.
    last: Option<Instant>,
}

impl Lag {
    /// Looks at the clock until it is dropped.
    pub async fn watch(self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.note(Instant::now());
        }
    }

    /// The longest lag that lies between `since` and now, the present one included.
    #[must_use]
    pub fn worst_since(&self, since: Instant) -> Duration {
        let lags = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = lags.seen.iter().filter(|(at, _)| *at >= since).map(|(_, lag)| *lag);
        let present = lags.last.map(|last| last.elapsed().saturating_sub(TICK));
        seen.chain(present).max().unwrap_or_default()
    }

    fn note(&self, now: Instant) {
        let mut lags = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lag = lags.last.map_or(Duration::ZERO, |last| {
            now.saturating_duration_since(last).saturating_sub(TICK)
        });
        if lag > TICK {
            lags.seen.push_back((now, lag));
        }
        while lags.seen.front().is_some_and(|(at, _)| now.duration_since(*at) > REMEMBERED) {
            lags.seen.pop_front();
        }
        lags.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_process_that_was_stopped_knows_it() {
        let lag = Lag::default();
        let start = Instant::now();
        lag.note(start);
        tokio::time::advance(TICK).await;
        lag.note(Instant::now());
        assert_eq!(lag.worst_since(start), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(5)).await;
        // Before it looked at the clock again, and after.
        assert_eq!(lag.worst_since(start), Duration::from_millis(4_900));
        lag.note(Instant::now());
        assert_eq!(lag.worst_since(start), Duration::from_millis(4_900));
        assert_eq!(lag.worst_since(Instant::now() + TICK), Duration::ZERO);
    }
}
