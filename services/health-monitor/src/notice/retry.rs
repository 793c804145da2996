//! When a message that did not arrive is sent again: later each time, and as the channel asks.

use std::time::Duration;

use tokio::time::Instant;

use super::channel::Delivery;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// What a channel asks for is honoured up to this: beyond it, it is a mistake.
const LONGEST_ASKED: Duration = Duration::from_secs(60 * 60);

/// What is known of the channel.
#[derive(Debug, Default)]
pub(super) struct Retry {
    failures: u32,
    not_before: Option<Instant>,
    plain: bool,
    /// What is wrong, as it was logged last.
    told: Option<String>,
}

impl Retry {
    /// When the next message may be sent; `None`: now.
    pub(super) fn wait_until(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|at| *at > now)
    }

    /// Whether the next message should be in the simplest form.
    pub(super) fn plain(&self) -> bool {
        self.plain
    }

    /// What is wrong.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.told.as_deref()
    }

    /// Takes note of a delivery; `jitter` lies between 0 and 1. A trouble is logged when it is
    /// new, not at each attempt.
    pub(super) fn note(&mut self, delivery: &Delivery, channel: &str, now: Instant, jitter: f64) {
        let step = FIRST * 2_u32.saturating_pow(self.failures.min(10));
        let backoff = step.min(LONGEST).mul_f64(0.5 + jitter / 2.0);
        let (delay, trouble) = match delivery {
            Delivery::Sent => {
                if self.told.is_some() {
                    tracing::info!(channel, "messages arrive again");
                }
                *self = Self::default();
                return;
            }
            Delivery::RateLimited(asked) => {
                let delay = asked.map_or(backoff, |asked| asked.clamp(FIRST, LONGEST_ASKED));
                (delay, "rate limited".to_owned())
            }
            Delivery::Rejected(why) => (LONGEST, format!("rejected: {why}")),
            // Where even the simplest form is not understood, it is no use to hurry.
            Delivery::Misunderstood(why) if self.plain => {
                (LONGEST, format!("not understood: {why}"))
            }
            Delivery::Misunderstood(why) => (backoff, format!("not understood: {why}")),
            Delivery::Failed(why) => (backoff, why.clone()),
        };
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + delay);
        self.plain |= matches!(delivery, Delivery::Misunderstood(_));
        if self.told.as_ref() != Some(&trouble) {
            if let Delivery::Rejected(_) | Delivery::Misunderstood(_) = delivery {
                tracing::error!(channel, trouble, "messages do not arrive; they are kept");
            } else {
                tracing::warn!(channel, trouble, "messages do not arrive; they are kept");
            }
            self.told = Some(trouble);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(delivery: &Delivery, count: usize, jitter: f64) -> Vec<f64> {
        let (mut retry, now) = (Retry::default(), Instant::now());
        (0..count)
            .map(|_| {
                retry.note(delivery, "slack", now, jitter);
                retry.wait_until(now).unwrap().duration_since(now).as_secs_f64()
            })
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_longer_each_time_up_to_five_minutes() {
        let failed = Delivery::Failed("500".into());
        let longest = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0];
        assert_eq!(delays(&failed, 11, 1.0), longest);
        assert_eq!(delays(&failed, 3, 0.0), [0.5, 1.0, 2.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_as_it_is_asked() {
        let asked = |seconds| Delivery::RateLimited(Some(Duration::from_secs(seconds)));
        assert_eq!(delays(&asked(30), 3, 0.5), [30.0, 30.0, 30.0]);
        assert_eq!(delays(&asked(86_400), 1, 0.5), [3600.0]);
        assert_eq!(delays(&Delivery::RateLimited(None), 2, 1.0), [1.0, 2.0]);
        assert_eq!(delays(&Delivery::Rejected("no_service".into()), 2, 0.0), [300.0, 300.0]);
        assert_eq!(delays(&Delivery::Misunderstood("no".into()), 2, 1.0), [1.0, 300.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_arrived_ends_it() {
        let (mut retry, now) = (Retry::default(), Instant::now());
        retry.note(&Delivery::Misunderstood("invalid_payload".into()), "slack", now, 0.0);
        assert_eq!(
            (retry.plain(), retry.trouble()),
            (true, Some("not understood: invalid_payload"))
        );
        retry.note(&Delivery::Sent, "slack", now, 0.0);
        assert_eq!((retry.plain(), retry.trouble(), retry.wait_until(now)), (false, None, None));
    }
}
