//! Whether a storm still grows. Who fails with others is in trouble a little before or after them,
//! and well again too; news of many waits for those that are on their way, so that people get one
//! message. News of one or two waits for nobody.

use std::time::Duration;

use super::message::Said;
use crate::finding::Outcome;
use crate::snapshot::Watched;

/// With so many, told ones and those to come, it is a storm.
pub(super) const MANY: usize = 3;

/// How long news waits for others at most, and for how long one that failed first is still on its
/// way to be in trouble; in times of the component's time to confirm. Two of them are what
/// it takes, the rest is for checks that end by their deadline only.
const WAITS: u32 = 4;

/// Who is on the way, and for how long news waits for them, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Growing {
    falling: u64,
    rising: u64,
}

impl Growing {
    /// `news` says what waits to be told of a component, if anything does.
    pub(super) fn new<'w>(
        watched: impl Iterator<Item = &'w Watched>,
        news: impl Fn(&str) -> Option<Said>,
        now: u64,
    ) -> Self {
        let (mut falling, mut rising) = (Side::default(), Side::default());
        for watched in watched {
            let wait = millis(watched.component.recheck * WAITS);
            match news(&watched.component.name) {
                Some(Said::Recovered) => rising.news += 1,
                Some(_) => falling.news += 1,
                None if is_falling(watched, wait, now) => falling.expect(wait),
                None if is_rising(watched) => rising.expect(wait),
                None => {}
            }
        }
        Self { falling: falling.waits(), rising: rising.waits() }
    }

    /// How long that news of a component waits at most, in milliseconds.
    pub(super) fn waits(&self, said: Said) -> u64 {
        if said == Said::Recovered { self.rising } else { self.falling }
    }
}

#[derive(Debug, Default)]
struct Side {
    news: usize,
    expected: usize,
    wait: u64,
}

impl Side {
    fn expect(&mut self, wait: u64) {
        self.expected += 1;
        self.wait = self.wait.max(wait);
    }

    fn waits(&self) -> u64 {
        if self.news + self.expected >= MANY { self.wait } else { 0 }
    }
}

/// It failed, and not often enough for trouble yet.
fn is_falling(watched: &Watched, wait: u64, now: u64) -> bool {
    let Some(record) = counted(watched) else { return false };
    let lately = |began: u64| now.abs_diff(began) < wait;
    record.failure().is_some() && !record.in_trouble && record.first_failed_at.is_some_and(lately)
}

/// It answers, and not often enough for the end of its trouble yet.
fn is_rising(watched: &Watched) -> bool {
    counted(watched).is_some_and(|record| record.in_trouble && record.outcome == Outcome::Ok)
}

/// Of what is in maintenance or repaired nothing is told.
fn counted(watched: &Watched) -> Option<&crate::record::Record> {
    let is_told = watched.maintenance.is_none() && !watched.repairing;
    watched.record.as_ref().filter(|_| is_told)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
