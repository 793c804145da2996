//! What must hold at the end, however it came about.

use std::collections::BTreeMap;
use std::path::Path;

use mcp_remediation::audit::{Audit, Record};

use crate::history::Done;
use crate::replica::{ATTEMPTS, SYSTEM_ATTEMPTS, WINDOW};
use crate::world::World;

/// How much younger than the incident a target may be: the skew of clocks.
const SKEW: u64 = 2_000;

/// Checks all of it, and gives the audit, the oldest record first.
pub(crate) async fn check(world: &World, folder: &Path) -> Vec<Record> {
    let audit = Audit::open(folder, "the model").unwrap();
    let mut records = audit.page(None, 100_000).await.unwrap();
    records.reverse();
    let history = world.history();
    let acts = &history.acts;

    let numbers: Vec<_> = records.iter().map(|record| record.seq).collect();
    assert_eq!(numbers, (1..=records.len() as u64).collect::<Vec<_>>(), "the audit has holes");

    one_at_a_time(acts);
    never_an_older_number(acts);
    for act in acts {
        assert!(!act.was_paused, "acted in maintenance: {act:?}");
        assert!(!act.was_stopped, "acted on what a person stopped: {act:?}");
        let began: u64 = act.incident.rsplit_once('@').unwrap().1.parse().unwrap();
        let by_us = acts.iter().any(|earlier| {
            earlier.component == act.component
                && earlier.began <= act.started_at
                && earlier.ended.is_some_and(|ended| act.started_at <= ended)
        });
        let as_it_failed = act.started_at <= began + SKEW;
        assert!(as_it_failed || by_us, "acted on what somebody else started anew: {act:?}");
    }
    within_the_budget(acts, &history.closed);
    on_record(acts, &records);
    records
}

fn one_at_a_time(acts: &[Done]) {
    for pair in acts.windows(2) {
        let end = pair[0].ended.expect("the next began only after it ended");
        assert!(end <= pair[1].began, "two at once: {pair:?}");
    }
}

fn never_an_older_number(acts: &[Done]) {
    assert!(acts.is_sorted_by_key(|act| act.fencing), "an older replica acted: {acts:?}");
}

fn within_the_budget(acts: &[Done], closed: &[(String, u64)]) {
    let window = u64::try_from(WINDOW.as_millis()).unwrap();
    let within = |acts: &[&Done], limit: u32, closings: usize| {
        for (first, act) in acts.iter().enumerate() {
            let count =
                acts[first..].iter().filter(|other| other.began < act.began + window).count();
            // Each time that a person closed the circuit, the budget was whole again.
            let limit = limit as usize * (1 + closings);
            assert!(count <= limit, "{count} actions, and {limit} are the budget: {acts:?}");
        }
    };
    let mut by_component: BTreeMap<&str, Vec<&Done>> = BTreeMap::new();
    for act in acts {
        by_component.entry(&act.component).or_default().push(act);
    }
    for (component, acts) in by_component {
        let closings = closed.iter().filter(|(name, _)| name == component).count();
        within(&acts, ATTEMPTS, closings);
    }
    within(&acts.iter().collect::<Vec<_>>(), SYSTEM_ATTEMPTS, 0);
}

/// Each action has its intent before it, and one outcome after it.
fn on_record(acts: &[Done], records: &[Record]) {
    let named = |event: &str| {
        let mut found: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
        for record in records.iter().filter(|record| record.event.event == event) {
            found.entry(record.event.attempt.as_deref().unwrap()).or_default().push(record);
        }
        found
    };
    let (intents, outcomes) = (named("intent"), named("outcome"));
    for act in acts {
        let intent = intents.get(act.attempt.as_str());
        let intent = intent.unwrap_or_else(|| panic!("acted without an intent: {act:?}"));
        assert!(intent.iter().any(|record| record.at <= act.began), "{act:?}");
        let ends = outcomes.get(act.attempt.as_str()).map_or(0, Vec::len);
        assert_eq!(ends, 1, "{act:?} has {ends} ends");
    }
    let mut attempts: Vec<_> = acts.iter().map(|act| &act.attempt).collect();
    attempts.sort();
    let before = attempts.len();
    attempts.dedup();
    assert_eq!(attempts.len(), before, "an attempt was made twice: {acts:?}");
    for (attempt, ends) in outcomes {
        assert_eq!(ends.len(), 1, "{attempt} ended twice");
    }
}
