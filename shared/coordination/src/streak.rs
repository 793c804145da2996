//! How a component's last checks went. Two replicas, a restart and a lost reply must not count one
//! check twice, so a result belongs to a slot, and a slot counts once.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::store::{Error, Key, Store};
use crate::typed::{self, Change};

/// "5 of 12" looks at this many results.
const REMEMBERED: usize = 12;

/// This many successes in a row end an incident.
const RECOVERED_AFTER: u32 = 2;

/// A component that nobody checks any more is forgotten.
const TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What a check found. UNKNOWN is not among them: it is not reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckResult {
    /// The component answered as it should.
    Ok,
    /// It did not.
    Fail,
}

/// The last checks of one component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    recent: VecDeque<(u64, CheckResult)>,
    consecutive_failures: u32,
    consecutive_successes: u32,
    first_failed_at: Option<u64>,
}

impl History {
    /// Adds a result unless its slot, or a later one, has one already. Says whether it counted.
    pub fn record(&mut self, slot: u64, result: CheckResult) -> bool {
        if self.last_slot().is_some_and(|last| slot <= last) {
            return false;
        }
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((slot, result));
        match result {
            CheckResult::Ok => {
                self.consecutive_successes = self.consecutive_successes.saturating_add(1);
                self.consecutive_failures = 0;
                if self.consecutive_successes >= RECOVERED_AFTER {
                    self.first_failed_at = None;
                }
            }
            CheckResult::Fail => {
                self.consecutive_failures = self.consecutive_failures.saturating_add(1);
                self.consecutive_successes = 0;
                self.first_failed_at.get_or_insert(slot);
            }
        }
        true
    }

    /// The last 12 results with their slots, oldest first.
    pub fn recent(&self) -> impl Iterator<Item = (u64, CheckResult)> {
        self.recent.iter().copied()
    }

    /// The slot of the last result that counted.
    #[must_use]
    pub fn last_slot(&self) -> Option<u64> {
        self.recent.back().map(|(slot, _)| *slot)
    }

    /// Failures since the last success.
    #[must_use]
    pub fn consecutive_failures(&self) -> u32 {
        self.consecutive_failures
    }

    /// Successes since the last failure.
    #[must_use]
    pub fn consecutive_successes(&self) -> u32 {
        self.consecutive_successes
    }

    /// Failures among the last 12 results.
    #[must_use]
    pub fn recent_failures(&self) -> usize {
        self.recent.iter().filter(|(_, result)| *result == CheckResult::Fail).count()
    }

    /// The slot of the first failure after the last two successes in a row; it names the incident.
    #[must_use]
    pub fn first_failed_at(&self) -> Option<u64> {
        self.first_failed_at
    }
}

/// The document of a component's history: `streak:<component>`.
#[must_use]
pub fn key(component: &str) -> Key {
    Key::new(&["streak", component])
}

/// Records a result in the shared history, and gives the history as it is now. Without an answer it
/// may have counted; the same call again does not count it twice.
///
/// # Errors
/// When the store cannot be asked, or what it holds is no history.
pub async fn report(
    store: &dyn Store,
    component: &str,
    slot: u64,
    result: CheckResult,
) -> Result<History, Error> {
    typed::change(store, &key(component), |stored| {
        let mut history: History = stored.map(|(_, history)| history).unwrap_or_default();
        if !history.record(slot, result) {
            return Change::Keep(history);
        }
        let (value, ttl) = (history.clone(), Some(TTL));
        Change::Write { position: slot, value, ttl, result: history }
    })
    .await
}

/// The shared history; empty when there is none.
///
/// # Errors
/// When the store cannot be asked, or what it holds is no history.
pub async fn history(store: &dyn Store, component: &str) -> Result<History, Error> {
    let stored = typed::read(store, &key(component)).await?;
    Ok(stored.map(|(_, history)| history).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::CheckResult::{Fail, Ok};
    use super::*;

    fn after(results: &[CheckResult]) -> History {
        let mut history = History::default();
        for (slot, result) in results.iter().enumerate() {
            assert!(history.record(slot as u64, *result));
        }
        history
    }

    #[test]
    fn an_old_slot_changes_nothing() {
        let mut history = after(&[Ok, Fail, Fail]);
        let before = history.clone();
        for slot in 0..=2 {
            assert!(!history.record(slot, Ok));
        }
        assert_eq!(history, before);
        assert_eq!((history.consecutive_failures(), history.first_failed_at()), (2, Some(1)));
    }

    #[test]
    fn one_success_among_failures_does_not_begin_another_incident() {
        let history = after(&[Fail, Ok, Fail]);
        assert_eq!((history.consecutive_failures(), history.first_failed_at()), (1, Some(0)));
        let history = after(&[Fail, Ok, Ok, Fail]);
        assert_eq!(history.first_failed_at(), Some(3));
    }

    #[test]
    fn twelve_results_are_remembered() {
        let mut results = [Ok; 20];
        results[7] = Fail;
        results[8] = Fail;
        let history = after(&results);
        assert_eq!((history.recent().count(), history.recent_failures()), (12, 1));
        assert_eq!((history.last_slot(), history.consecutive_successes()), (Some(19), 11));
    }
}
