//! When a component is checked. Slots are absolute: computed from the shared record, so that all
//! replicas and every restart agree, and spread by the component's name.

use std::hash::{Hash as _, Hasher as _};
use std::time::Duration;

use crate::finding::{Outcome, Unknown};
use crate::record::Record;

/// How far the clocks of replicas may be apart, in milliseconds.
const SKEW: u64 = 2_000;

/// How often a component is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    interval: u64,
    recheck: u64,
    offset: u64,
}

/// The next check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The scheduled start, in Unix milliseconds: what names the check.
    pub number: u64,
    /// When to start, in Unix milliseconds. Later than `number` when it is overdue, and sooner
    /// while `number` lies in the future because a clock ran ahead.
    pub due: u64,
    /// Slots that passed without a check; they are counted and not made up for.
    pub missed: u64,
    /// Whether it is none of the schedule's own: there was reason to look at once.
    pub out_of_turn: bool,
}

impl Cadence {
    /// Every `interval`, at a moment of its own; every `recheck` while a result has to be confirmed.
    #[must_use]
    pub fn new(component: &str, interval: Duration, recheck: Duration) -> Self {
        let interval = milliseconds(interval).max(1);
        let mut hasher = fnv::FnvHasher::default();
        component.hash(&mut hasher);
        let recheck = milliseconds(recheck).clamp(1, interval);
        Self { interval, recheck, offset: hasher.finish() % interval }
    }

    /// The slot after the last check; at once for a component that was never checked, and for one
    /// that is said to be well and was not looked at since it is in `doubt`. That slot is when the
    /// doubt began, so that replicas agree on it too.
    #[must_use]
    pub fn next(&self, record: Option<&Record>, doubt: Option<u64>, now: u64) -> Slot {
        let Some(record) = record else {
            return Slot { number: now, due: now, missed: 0, out_of_turn: false };
        };
        let slot = self.in_turn(record, now);
        match doubt {
            Some(since) if slot.due > now && is_well(record) && !looked_at(record, since) => {
                Slot { number: since, due: since.max(now), missed: 0, out_of_turn: true }
            }
            _ => slot,
        }
    }

    fn in_turn(&self, record: &Record, now: u64) -> Slot {
        let (mut first, step) = if must_be_confirmed(record) {
            (record.slot.saturating_add(self.recheck), self.recheck)
        } else {
            (self.regular_after(record.slot), self.interval)
        };
        if record.slot > now.saturating_add(SKEW) {
            // A clock that ran ahead was set back. It must not silence the check until it is caught
            // up with, and the slots must not stay in the future for good: they creep.
            return Slot {
                number: record.slot.saturating_add(1),
                due: now + step,
                missed: 0,
                out_of_turn: false,
            };
        }
        first = first.max(record.not_before.unwrap_or(0).min(record.slot + self.interval));
        let missed = now.saturating_sub(first) / step;
        let number = first + missed * step;
        Slot { number, due: number.max(now), missed, out_of_turn: false }
    }

    fn regular_after(&self, slot: u64) -> u64 {
        let since = slot.saturating_sub(self.offset);
        let next = since / self.interval * self.interval + self.interval + self.offset;
        if slot < self.offset { self.offset } else { next }
    }
}

impl Slot {
    /// The same, and not put off by a look in between: while the last check lies in the future, it is
    /// due some time from now, whenever that is asked.
    #[must_use]
    pub fn not_put_off(self, before: Option<Self>) -> Self {
        let due = before.filter(|before| before.number == self.number).map(|before| before.due);
        Self { due: due.map_or(self.due, |due| due.min(self.due)), ..self }
    }

    /// Whether a check gave what this one is for.
    #[must_use]
    pub fn is_done(&self, record: &Record) -> bool {
        // Another replica may have had its doubt a moment before or after.
        record.slot >= self.number || self.out_of_turn && looked_at(record, self.number)
    }
}

/// Whether it was checked since that moment; `slot` alone does not tell, for it may be overdue.
fn looked_at(record: &Record, since: u64) -> bool {
    record.slot.max(record.checked_at) >= since
}

/// Who asked for time, or cannot be probed, is not asked out of turn.
fn is_well(record: &Record) -> bool {
    record.outcome == Outcome::Ok && !must_be_confirmed(record)
}

/// Whether the last result is not the last word: a failure, a trouble that is not over, nothing
/// known.
fn must_be_confirmed(record: &Record) -> bool {
    // A server that limits its rate, or that we cannot probe, would only be asked more often.
    let doubtful = matches!(record.outcome, Outcome::Fail(_) | Outcome::Unknown(Unknown::OurSide));
    record.in_trouble || record.first_failed_at.is_some() || doubtful
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use mcpmon_coordination::incident::Failure;

    use super::*;
    use crate::record::tests::record;

    const MINUTE: u64 = 60_000;

    fn cadence() -> Cadence {
        Cadence::new("api", Duration::from_secs(300), Duration::from_secs(30))
    }

    #[test]
    fn the_first_check_is_at_once() {
        assert_eq!(
            cadence().next(None, None, 7),
            Slot { number: 7, due: 7, missed: 0, out_of_turn: false }
        );
    }

    #[test]
    fn regular_slots_lie_on_a_grid_of_the_component_s_own() {
        let cadence = cadence();
        let first = cadence.next(Some(&record(100 * MINUTE, Outcome::Ok)), None, 100 * MINUTE);
        let second = cadence.next(Some(&record(first.number, Outcome::Ok)), None, first.number);
        assert_eq!(second.number - first.number, 5 * MINUTE);
        assert_eq!((second.due, second.missed), (second.number, 0));
        assert!(first.number > 100 * MINUTE && first.number <= 105 * MINUTE);
        // Whatever the last check was, a manual one for instance, the grid stays.
        let again =
            cadence.next(Some(&record(first.number + 1234, Outcome::Ok)), None, first.number);
        assert_eq!(again.number, second.number);
        let other = Cadence::new("other", Duration::from_secs(300), Duration::from_secs(30));
        assert_ne!(other.offset, cadence.offset);
    }

    #[test]
    fn a_failure_is_confirmed_every_30_seconds() {
        let failed = record(100 * MINUTE, Outcome::Fail(Failure::Timeout));
        assert_eq!(cadence().next(Some(&failed), None, 100 * MINUTE).number, 100 * MINUTE + 30_000);
        let often = Cadence::new("api", Duration::from_secs(10), Duration::from_secs(30));
        assert_eq!(often.next(Some(&failed), None, 100 * MINUTE).number, 100 * MINUTE + 10_000);
    }

    #[test]
    fn missed_slots_are_counted_and_not_made_up_for() {
        let failed = record(100 * MINUTE, Outcome::Fail(Failure::Timeout));
        let slot = cadence().next(Some(&failed), None, 120 * MINUTE + 1_000);
        assert_eq!(slot.number, 120 * MINUTE);
        assert_eq!((slot.due, slot.missed), (120 * MINUTE + 1_000, 39));
    }

    #[test]
    fn a_server_that_asks_for_time_gets_it_within_the_interval() {
        let mut limited = record(100 * MINUTE, Outcome::Fail(Failure::RateLimited));
        limited.not_before = Some(102 * MINUTE);
        assert_eq!(cadence().next(Some(&limited), None, 100 * MINUTE).number, 102 * MINUTE);
        limited.not_before = Some(1_000 * MINUTE);
        assert_eq!(cadence().next(Some(&limited), None, 100 * MINUTE).number, 105 * MINUTE);
    }

    #[test]
    fn who_limits_the_rate_is_not_asked_more_often() {
        let limited = record(100 * MINUTE, Outcome::Unknown(Unknown::RateLimited));
        let ok = record(100 * MINUTE, Outcome::Ok);
        let next = |record| cadence().next(Some(record), None, 100 * MINUTE);
        assert_eq!(next(&limited), next(&ok));
        let blind = record(100 * MINUTE, Outcome::Unknown(Unknown::OurSide));
        assert_eq!(next(&blind).number, 100 * MINUTE + 30_000);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_silence_the_check() {
        let ok = record(1_000 * MINUTE, Outcome::Ok);
        let slot = cadence().next(Some(&ok), None, 100 * MINUTE);
        assert_eq!((slot.number, slot.due), (1_000 * MINUTE + 1, 105 * MINUTE));
        let failed = record(1_000 * MINUTE, Outcome::Fail(Failure::Timeout));
        let slot = cadence().next(Some(&failed), None, 100 * MINUTE);
        assert_eq!((slot.number, slot.due), (1_000 * MINUTE + 1, 100 * MINUTE + 30_000));
    }

    #[test]
    fn after_a_clock_was_set_back_looking_again_puts_nothing_off() {
        let ok = record(1_000 * MINUTE, Outcome::Ok);
        let mut waiting = None;
        // It is looked at every 30 seconds, for something may have happened meanwhile.
        let looks = (0..20).map(|look| 100 * MINUTE + look * 30_000);
        let due = looks.into_iter().find(|now| {
            let slot = cadence().next(Some(&ok), None, *now).not_put_off(waiting);
            waiting = Some(slot);
            slot.due <= *now
        });
        assert_eq!(due, Some(105 * MINUTE));
        // Another slot is another matter.
        let other = Slot { number: 7, due: 8, missed: 0, out_of_turn: false };
        assert_eq!(other.not_put_off(waiting), other);
    }

    #[test]
    fn in_doubt_it_is_checked_once_at_once_in_a_slot_of_the_doubts_own() {
        let ok = record(100 * MINUTE, Outcome::Ok);
        let (doubt, now) = (101 * MINUTE, 101 * MINUTE + 700);
        let regular = cadence().next(Some(&ok), None, now);
        assert!(regular.due > now);
        let slot = cadence().next(Some(&ok), Some(doubt), now);
        assert_eq!(slot, Slot { number: doubt, due: now, missed: 0, out_of_turn: true });
        assert!(!slot.is_done(&ok));

        // Whoever looked since then, in whatever slot, need not look again.
        let mut looked = record(doubt - 1, Outcome::Ok);
        looked.checked_at = doubt + 5;
        assert!(slot.is_done(&looked));
        assert_eq!(cadence().next(Some(&looked), Some(doubt), now), regular);
        assert_eq!(cadence().next(Some(&record(doubt, Outcome::Ok)), Some(doubt), now), regular);
        // A slot of the schedule is still to be done after a check that was late.
        let in_turn = Slot { out_of_turn: false, ..slot };
        assert!(!in_turn.is_done(&looked));
        // The next doubt is another.
        let later = cadence().next(Some(&looked), Some(doubt + 600), now);
        assert_eq!((later.number, later.out_of_turn), (doubt + 600, true));
    }

    #[test]
    fn what_fails_already_or_asked_for_time_is_not_checked_out_of_turn() {
        let doubt = Some(100 * MINUTE + 500);
        for outcome in [Outcome::Fail(Failure::Timeout), Outcome::Unknown(Unknown::RateLimited)] {
            let record = record(100 * MINUTE, outcome);
            let next = |doubt| cadence().next(Some(&record), doubt, 100 * MINUTE + 900);
            assert_eq!(next(doubt), next(None));
        }
        let overdue = record(90 * MINUTE, Outcome::Ok);
        let next = |doubt| cadence().next(Some(&overdue), doubt, 100 * MINUTE + 900);
        assert_eq!(next(doubt), next(None));
    }
}
