//! What happened, from two sides: the audit, and the engine's own log of what it was asked to do.
//! After each run both must fit together, whatever was broken.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::docker::Act;

#[derive(Debug, Clone)]
pub(crate) struct History {
    /// The records of each machine's audit.
    audits: Vec<Vec<Value>>,
    acts: Vec<Act>,
}

impl History {
    /// Reads the audit in these folders.
    pub(crate) fn read(folders: &[PathBuf], acts: Vec<Act>) -> Self {
        let audits = folders.iter().map(|folder| {
            let text = fs::read_to_string(folder.join("audit.jsonl")).unwrap_or_default();
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
        });
        Self { audits: audits.collect(), acts }
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = &Value> {
        self.audits.iter().flatten()
    }

    fn events(&self, event: &str) -> Vec<&Value> {
        self.records().filter(|record| record["event"] == event).collect()
    }

    /// How each action ended, in order.
    pub(crate) fn results(&self) -> Vec<&str> {
        self.events("outcome").iter().map(|it| it["result"].as_str().unwrap()).collect()
    }

    /// The incidents that an action ended, in order.
    pub(crate) fn repaired(&self) -> Vec<&str> {
        let well = self.events("outcome").into_iter().filter(|it| it["result"] == "success");
        well.map(|it| it["incident"].as_str().unwrap()).collect()
    }

    /// What was noted of each action's end, in order.
    pub(crate) fn notes(&self) -> Vec<&str> {
        self.events("outcome").iter().map(|it| it["note"].as_str().unwrap_or_default()).collect()
    }

    /// That which holds of every history.
    #[track_caller]
    pub(crate) fn assert_sound(&self) {
        for audit in &self.audits {
            let numbers: Vec<_> = audit.iter().map(|it| it["seq"].as_u64().unwrap()).collect();
            let whole: Vec<_> = (1..=numbers.len() as u64).collect();
            assert_eq!(numbers, whole, "the audit has holes");
        }
        let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
        for outcome in self.events("outcome") {
            *outcomes.entry(outcome["attempt"].as_str().unwrap()).or_default() += 1;
        }
        let intents = self.events("intent");
        for (attempt, count) in &outcomes {
            assert_eq!(*count, 1, "{attempt} ended {count} times");
            assert!(intents.iter().any(|it| it["attempt"] == *attempt), "{attempt} was not begun");
        }
        // Whatever came over the wire was announced, in the run in which the failure was seen.
        for act in &self.acts {
            let announced = intents.iter().any(|it| {
                it["target"] == *act.container
                    && it["evidence"]["run"]["generation"] == *act.generation
            });
            assert!(announced, "nobody announced {act:?}: {intents:#?}");
        }
        let mut runs: Vec<_> = self.acts.iter().map(|it| (&it.container, &it.generation)).collect();
        let acts = runs.len();
        runs.sort();
        runs.dedup();
        let lied = self.acts.len() - runs.len();
        let ineffective = self.results().iter().filter(|it| **it != "success").count();
        assert!(lied <= ineffective, "{acts} restarts of {} runs", runs.len());
        // One action at a time, in the whole system.
        for pair in self.acts.windows(2) {
            let over = pair[0].ended.is_some_and(|ended| ended <= pair[1].began);
            assert!(over, "two at once: {pair:#?}");
        }
    }

    /// Every action that was begun came to its end.
    #[track_caller]
    pub(crate) fn assert_all_ended(&self) {
        self.assert_sound();
        let ended: Vec<_> = self.events("outcome").iter().map(|it| &it["attempt"]).collect();
        for intent in self.events("intent") {
            assert!(ended.contains(&&intent["attempt"]), "this has no end: {intent:#}");
        }
    }

    /// Between two actions on one component there is at least this pause.
    #[track_caller]
    pub(crate) fn assert_pauses(&self, at_least: Duration) {
        let mut last: BTreeMap<&str, Instant> = BTreeMap::new();
        for act in &self.acts {
            if let Some(before) = last.insert(&act.container, act.began) {
                let pause = act.began - before;
                // The budget counts from the decision, which is a little before the action.
                assert!(pause + Duration::from_millis(150) >= at_least, "{pause:?} is too short");
            }
        }
    }

    /// Nothing was done between these moments.
    #[track_caller]
    pub(crate) fn assert_quiet(&self, from: Instant, to: Instant) {
        let acts: Vec<_> =
            self.acts.iter().filter(|it| from <= it.began && it.began < to).collect();
        assert!(acts.is_empty(), "there should have been none: {acts:#?}");
    }
}
