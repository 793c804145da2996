//! The part that is not real: how long the pretended work takes and when it fails.
//!
//! Everything here follows from the seed. Rare things come from shuffled decks and not from
//! chance, so that a short demo shows each of them and a long one keeps its shares.

use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use mcpmon_sdk::label::LimitType;

use crate::deck::Deck;
use crate::failure::Failure;

/// What the simulated world does to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Fine,
    /// The upstream answers 503.
    UpstreamDown,
    /// The upstream answers 429.
    UpstreamLimit,
    /// The boutique's own quota is spent.
    Quota(LimitType),
    /// The upstream never answers.
    Stall,
}

/// A language model, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) provider: &'static str,
    pub(crate) name: &'static str,
}

/// The last one runs in the boutique's own cellar: nobody has a list price for it.
const MODELS: [Model; 5] = [
    Model { provider: "anthropic", name: "claude-sonnet-4-5" },
    Model { provider: "anthropic", name: "claude-haiku-4-5" },
    Model { provider: "openai", name: "gpt-4o" },
    Model { provider: "openai", name: "gpt-4o-mini" },
    Model { provider: "boutique", name: "stylist-7b" },
];

/// Of so many calls, five fail by fate: 2 %.
const FATES: usize = 250;

/// The simulated world.
#[derive(Debug)]
pub(crate) struct Simulation {
    pace: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rng: Rng,
    fates: Deck<Fate>,
    models: Deck<Model>,
    renders: Deck<bool>,
}

impl Simulation {
    /// `pace` stretches every duration: 0.1 is ten times as fast.
    pub(crate) fn new(seed: u64, pace: f64) -> Self {
        let mut fates = vec![
            Fate::UpstreamDown,
            Fate::UpstreamDown,
            Fate::UpstreamLimit,
            Fate::Quota(LimitType::PerMinute),
            Fate::Stall,
        ];
        fates.resize(FATES, Fate::Fine);
        let state = State {
            rng: Rng::with_seed(seed),
            fates: Deck::new(fates),
            models: Deck::new(MODELS.to_vec()),
            renders: Deck::new(vec![true, true, true, false]),
        };
        Self { pace, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No state between two draws is invalid, so a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fate(&self) -> Fate {
        let State { rng, fates, .. } = &mut *self.state();
        fates.draw(rng)
    }

    pub(crate) fn model(&self) -> Model {
        let State { rng, models, .. } = &mut *self.state();
        models.draw(rng)
    }

    /// Whether a 3D generation turns out well.
    pub(crate) fn render(&self) -> bool {
        let State { rng, renders, .. } = &mut *self.state();
        renders.draw(rng)
    }

    pub(crate) fn number(&self, range: RangeInclusive<u64>) -> u64 {
        self.state().rng.u64(range)
    }

    /// A duration of `millis` simulated milliseconds.
    pub(crate) fn millis(&self, millis: f64) -> Duration {
        Duration::from_secs_f64(millis * self.pace / 1000.0)
    }

    /// Pretends to ask somebody else's service, which takes `millis` and shares the call's fate.
    pub(crate) async fn upstream(
        &self,
        fate: Fate,
        millis: RangeInclusive<f64>,
    ) -> Result<(), Failure> {
        if let Fate::Quota(limit) = fate {
            return Err(Failure::Quota(limit));
        }
        // Squared, because most answers come early and a few take long.
        let luck = self.state().rng.f64().powi(2);
        let millis = millis.start() + (millis.end() - millis.start()) * luck;
        tokio::time::sleep(self.millis(millis)).await;
        match fate {
            Fate::Fine | Fate::Quota(_) => Ok(()),
            Fate::UpstreamDown => Err(Failure::Upstream),
            Fate::UpstreamLimit => Err(Failure::UpstreamLimit),
            // The tool's deadline ends this.
            Fate::Stall => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fate_comes_once_per_deck() {
        let simulation = Simulation::new(7, 1.0);
        let fates: Vec<_> = (0..FATES).map(|_| simulation.fate()).collect();
        let share = |fate| fates.iter().filter(|drawn| **drawn == fate).count();
        assert_eq!(share(Fate::UpstreamDown), 2);
        assert_eq!(share(Fate::UpstreamLimit), 1);
        assert_eq!(share(Fate::Quota(LimitType::PerMinute)), 1);
        assert_eq!(share(Fate::Stall), 1);
        assert_eq!(share(Fate::Fine), FATES - 5);
    }

    #[test]
    fn the_seed_decides() {
        let fates = |seed| {
            let simulation = Simulation::new(seed, 1.0);
            (0..FATES).map(|_| simulation.fate()).collect::<Vec<_>>()
        };
        assert_eq!(fates(1), fates(1));
        assert_ne!(fates(1), fates(2));
    }

    #[tokio::test(start_paused = true)]
    async fn pace_stretches_the_work() {
        let begin = tokio::time::Instant::now();
        let simulation = Simulation::new(1, 0.5);
        assert_eq!(simulation.upstream(Fate::Fine, 100.0..=100.0).await, Ok(()));
        assert_eq!(begin.elapsed(), Duration::from_millis(50));
    }
}
