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

/// Until when news waits for those that are on their way, in Unix milliseconds.
#[derive(Debug, Default)]
pub(super) struct Growing {
    falling: Option<u64>,
    rising: Option<u64>,
}

impl Growing {
    /// `news` says what waits to be told of a component, and since when.
    pub(super) fn new<'w>(
        watched: impl Iterator<Item = &'w Watched>,
        news: impl Fn(&str) -> Option<(Said, u64)>,
        now: u64,
    ) -> Self {
        let (mut falling, mut rising) = (Side::default(), Side::default());
        let watched: Vec<_> = watched.collect();
        for watched in &watched {
            let wait = millis(watched.component.recheck * WAITS);
            match news(&watched.component.name) {
                Some((Said::Recovered, since)) => rising.wait_since(since),
                Some((_, since)) => falling.wait_since(since),
                None if is_falling(watched, wait, now) => falling.expect(wait),
                None if is_rising(watched) => rising.expect(wait),
                None => {}
            }
        }
        if let Some(since) = rising.since {
            // Not looked at since the others came back: its next check may say that it is back, too.
            for watched in watched.iter().filter(|watched| is_unseen(watched, since)) {
                rising.expect(millis(watched.component.recheck * WAITS));
            }
        }
        Self { falling: falling.until(now), rising: rising.until(now) }
    }

    /// Until when that news of a component waits, if it does.
    pub(super) fn until(&self, said: Said) -> Option<u64> {
        if said == Said::Recovered { self.rising } else { self.falling }
    }
}

#[derive(Debug, Default)]
struct Side {
    news: usize,
    /// Since when the first of the news waits: all of it goes out together.
    since: Option<u64>,
    expected: usize,
    wait: u64,
}

impl Side {
    fn wait_since(&mut self, since: u64) {
        self.news += 1;
        self.since = Some(self.since.map_or(since, |first| first.min(since)));
    }

    fn expect(&mut self, wait: u64) {
        self.expected += 1;
        self.wait = self.wait.max(wait);
    }

    fn until(&self, now: u64) -> Option<u64> {
        let since = self.since.filter(|_| self.news + self.expected >= MANY)?;
        // The clock may have been set back: what lies ahead has waited enough.
        (now.abs_diff(since) < self.wait).then_some(since.saturating_add(self.wait))
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

/// It is in trouble as far as is known, from a check before that time.
fn is_unseen(watched: &Watched, since: u64) -> bool {
    counted(watched).is_some_and(|record| {
        record.in_trouble && record.outcome != Outcome::Ok && record.checked_at < since
    })
}

/// Of what is in maintenance or repaired nothing is told.
fn counted(watched: &Watched) -> Option<&crate::record::Record> {
    let is_told = watched.maintenance.is_none() && !watched.repairing;
    watched.record.as_ref().filter(|_| is_told)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
