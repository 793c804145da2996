//! What an action may still spend: so many attempts in a window, each later than the last by a
//! growing pause, then none until a person says so.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::store::{Error, Key, Store};
use crate::typed::{self, Change, position_after};

/// What may be spent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Attempts within `window`; with the next one it stops.
    pub attempts: u32,
    /// How long an attempt counts.
    pub window: Duration,
    /// The pause after the first attempt; it doubles with each further one in the window.
    pub first_pause: Duration,
    /// No pause is longer, jitter aside.
    pub longest_pause: Duration,
    /// A pause is longer by a random share of itself up to this one, so that replicas and
    /// components do not act in step.
    pub jitter: f64,
}

/// What was spent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    attempts: Vec<Attempt>,
    /// Unix milliseconds.
    not_before: u64,
    stopped: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Attempt {
    id: String,
    at: u64,
}

/// Whether to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Yes; it is the attempt with this number in the window, from 1, and it is spent.
    Go(u32),
    /// Not before this time, in Unix milliseconds.
    Wait(u64),
    /// No, until a person resets the budget.
    Stop,
}

impl Spent {
    /// Spends the attempt `id`, or says why not. An `id` that was spent is not spent again.
    /// `random` is in 0..1.
    #[must_use]
    pub fn spend(&self, id: &str, limits: &Limits, now: u64, random: f64) -> (Decision, Self) {
        let window = milliseconds(limits.window);
        let mut next = self.clone();
        // An attempt of the future counts too: a clock that was set back frees nothing.
        next.attempts.retain(|attempt| attempt.at.saturating_add(window) > now);
        if let Some(place) = next.attempts.iter().position(|attempt| attempt.id == id) {
            return (Decision::Go(number(place + 1)), next);
        }
        if next.stopped || next.attempts.len() >= limits.attempts as usize {
            next.stopped = true;
            return (Decision::Stop, next);
        }
        if let Some(until) = next.not_before(limits, now) {
            return (Decision::Wait(until), next);
        }
        next.attempts.push(Attempt { id: id.to_owned(), at: now });
        let spent = number(next.attempts.len());
        next.not_before = now.saturating_add(limits.pause_after(spent, random));
        (Decision::Go(spent), next)
    }

    /// Before when nothing more may be spent, in Unix milliseconds, if that lies ahead. Never further
    /// ahead than the longest pause: whoever wrote it may have had a clock that ran ahead.
    #[must_use]
    pub fn not_before(&self, limits: &Limits, now: u64) -> Option<u64> {
        let longest =
            milliseconds(limits.longest_pause.mul_f64(1.0 + limits.jitter.clamp(0.0, 1.0)));
        let until = self.not_before.min(now.saturating_add(longest));
        (until > now).then_some(until)
    }

    /// How many attempts count at `now`.
    #[must_use]
    pub fn in_window(&self, limits: &Limits, now: u64) -> u32 {
        let window = milliseconds(limits.window);
        let counts = |attempt: &&Attempt| attempt.at.saturating_add(window) > now;
        number(self.attempts.iter().filter(counts).count())
    }

    /// Whether only a person can let it go on.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }
}

impl Limits {
    fn pause_after(&self, attempts: u32, random: f64) -> u64 {
        let doubled = 1u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        let pause = self.first_pause.saturating_mul(doubled).min(self.longest_pause);
        milliseconds(pause.mul_f64(1.0 + self.jitter.clamp(0.0, 1.0) * random.clamp(0.0, 1.0)))
    }
}

/// The document of a budget: `budget:<name>`.
#[must_use]
pub fn key(name: &str) -> Key {
    Key::new(&["budget", name])
}

/// Spends the attempt `id` of the shared budget `name`; `now` in Unix milliseconds. The same call
/// again, after a lost reply, gives the same attempt.
///
/// # Errors
/// When the store cannot be asked, or what it holds is no budget: then do not act.
pub async fn spend(
    store: &dyn Store,
    name: &str,
    id: &str,
    limits: &Limits,
    now: u64,
) -> Result<Decision, Error> {
    let random = fastrand::f64();
    typed::change(store, &key(name), |stored| {
        let (last, spent): (_, Spent) =
            stored.map_or_else(Default::default, |(last, spent)| (Some(last), spent));
        let (decision, next) = spent.spend(id, limits, now, random);
        if next == spent {
            return Change::Keep(decision);
        }
        let position = position_after(last, now);
        Change::Write { position, value: next, ttl: None, result: decision }
    })
    .await
}

/// Spends whatever is left: nothing more until a person resets it, also when the window is over.
///
/// # Errors
/// When the store cannot be asked, or what it holds is no budget.
pub async fn stop(store: &dyn Store, name: &str, now: u64) -> Result<(), Error> {
    typed::change(store, &key(name), |stored: Option<(u64, Spent)>| {
        let (last, spent) = stored.map_or_else(Default::default, |(at, spent)| (Some(at), spent));
        if spent.stopped {
            return Change::Keep(());
        }
        let value = Spent { stopped: true, ..spent };
        Change::Write { position: position_after(last, now), value, ttl: None, result: () }
    })
    .await
}

/// Gives the whole budget back: a person closed the circuit.
///
/// # Errors
/// When the store cannot be asked.
pub async fn reset(store: &dyn Store, name: &str, now: u64) -> Result<(), Error> {
    typed::change(store, &key(name), |stored: Option<(u64, Spent)>| match stored {
        Some((last, spent)) if spent != Spent::default() => {
            let position = position_after(Some(last), now);
            Change::Write { position, value: Spent::default(), ttl: None, result: () }
        }
        _ => Change::Keep(()),
    })
    .await
}

/// The shared budget; untouched when there is none.
///
/// # Errors
/// When the store cannot be asked, or what it holds is no budget.
pub async fn spent(store: &dyn Store, name: &str) -> Result<Spent, Error> {
    Ok(typed::read(store, &key(name)).await?.map(|(_, spent)| spent).unwrap_or_default())
}

/// The budgets that are spent until a person resets them, by name.
///
/// # Errors
/// When the store cannot be asked.
pub async fn stopped(store: &dyn Store) -> Result<BTreeSet<String>, Error> {
    let budgets = typed::list::<Spent>(store, &Key::new(&["budget"])).await?;
    let stopped = budgets.into_iter().filter(|(_, spent)| spent.is_stopped());
    Ok(stopped.map(|(name, _)| name).collect())
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Memory;

    const LIMITS: Limits = Limits {
        attempts: 3,
        window: Duration::from_secs(3600),
        first_pause: Duration::from_secs(60),
        longest_pause: Duration::from_secs(100),
        jitter: 0.5,
    };

    #[test]
    fn pauses_double_up_to_the_longest_and_then_it_stops() {
        let spent = Spent::default();
        let (decision, spent) = spent.spend("a", &LIMITS, 0, 0.0);
        assert_eq!(decision, Decision::Go(1));
        let (decision, spent) = spent.spend("b", &LIMITS, 59_999, 0.0);
        assert_eq!(decision, Decision::Wait(60_000));
        let (decision, spent) = spent.spend("b", &LIMITS, 60_000, 1.0);
        assert_eq!(decision, Decision::Go(2));
        // The longest pause, and half of it as jitter.
        let (decision, spent) = spent.spend("c", &LIMITS, 60_001, 0.0);
        assert_eq!(decision, Decision::Wait(60_000 + 150_000));
        let (decision, spent) = spent.spend("c", &LIMITS, 210_000, 0.0);
        assert_eq!(decision, Decision::Go(3));
        let (decision, spent) = spent.spend("d", &LIMITS, 3_000_000, 0.0);
        assert_eq!(decision, Decision::Stop);
        // Not even after the window.
        let (decision, spent) = spent.spend("d", &LIMITS, 90_000_000, 0.0);
        assert_eq!(decision, Decision::Stop);
        assert!(spent.is_stopped());
    }

    #[test]
    fn an_attempt_ends_with_the_window() {
        let mut spent = Spent::default();
        for hour in 0..10 {
            let (decision, next) = spent.spend(&hour.to_string(), &LIMITS, hour * 3_600_000, 0.0);
            assert_eq!(decision, Decision::Go(1));
            spent = next;
        }
    }

    #[tokio::test]
    async fn a_repeated_call_spends_once_and_a_person_resets() {
        let store = Memory::new();
        for _ in 0..3 {
            assert_eq!(spend(&store, "api", "a", &LIMITS, 5).await.unwrap(), Decision::Go(1));
        }
        let one = Limits { attempts: 1, ..LIMITS };
        assert_eq!(spend(&store, "api", "b", &one, 10).await.unwrap(), Decision::Stop);
        assert!(spent(&store, "api").await.unwrap().is_stopped());
        reset(&store, "api", 11).await.unwrap();
        assert_eq!(spend(&store, "api", "b", &one, 12).await.unwrap(), Decision::Go(1));
    }
}
