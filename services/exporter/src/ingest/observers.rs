//! Which kind of observer counts a server's calls.
//!
//! A server with the SDK behind a tap would be counted twice. The kind that reported first has
//! the say until it has been silent for ten minutes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcpmon_metrics::label::Observer;
use tokio::time::Instant;

const SILENCE: Duration = Duration::from_secs(600);

/// The kind of observer that has the say, by server's label. As bounded as the label is.
#[derive(Debug, Default)]
pub(super) struct Observers(Mutex<HashMap<Arc<str>, (Observer, Instant)>>);

impl Observers {
    /// Whether a call that `observer` reports is counted. The first to ask has the say.
    pub(super) fn claim(&self, server: &Arc<str>, observer: Observer, now: Instant) -> bool {
        let mut holders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match holders.get_mut(server) {
            Some((holder, seen)) if *holder == observer => *seen = now,
            Some((_, seen)) if now.duration_since(*seen) < SILENCE => return false,
            Some(held) => *held = (observer, now),
            None => drop(holders.insert(server.clone(), (observer, now))),
        }
        true
    }

    /// Whether a reading of `observer` is taken; asking gives no say.
    pub(super) fn may_read(&self, server: &Arc<str>, observer: Observer, now: Instant) -> bool {
        let holders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        holders.get(server).is_none_or(|(holder, seen)| {
            *holder == observer || now.duration_since(*seen) >= SILENCE
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_kind_has_the_say_until_it_is_silent() {
        let observers = Observers::default();
        let (server, start) = (Arc::from("s"), Instant::now());
        assert!(observers.may_read(&server, Observer::Sdk, start));
        assert!(observers.claim(&server, Observer::Tap, start));
        assert!(!observers.claim(&server, Observer::Sdk, start));
        assert!(!observers.may_read(&server, Observer::Sdk, start));
        assert!(observers.claim(&server, Observer::Tap, start + SILENCE / 2));
        assert!(!observers.claim(&server, Observer::Sdk, start + SILENCE));
        let silent = start + SILENCE / 2 + SILENCE;
        assert!(observers.claim(&server, Observer::Sdk, silent));
        assert!(!observers.claim(&server, Observer::Tap, silent));
    }

    #[test]
    fn servers_do_not_share_a_say() {
        let (observers, now) = (Observers::default(), Instant::now());
        assert!(observers.claim(&Arc::from("a"), Observer::Tap, now));
        assert!(observers.claim(&Arc::from("b"), Observer::Sdk, now));
    }
}
