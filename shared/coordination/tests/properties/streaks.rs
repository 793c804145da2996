//! A shared streak equals a model that saw each slot once.

use std::sync::Arc;

use mcpmon_coordination::streak::{CheckResult, history, report};
use mcpmon_coordination::{Memory, Store};
use proptest::prelude::*;

use crate::lossy::{Lossy, fates};
use crate::on_paused_clock;

/// What the last results say, computed from all of them at once.
#[derive(Debug, PartialEq)]
struct Model {
    last_slot: Option<u64>,
    failures: u32,
    successes: u32,
    recent_failures: usize,
    first_failed_at: Option<u64>,
}

fn model(results: &[(u64, CheckResult)]) -> Model {
    let failed = |(_, result): &&(u64, CheckResult)| *result == CheckResult::Fail;
    let failures = results.iter().rev().take_while(failed).count();
    let successes = results.iter().rev().take_while(|it| !failed(it)).count();
    // What comes after the last two successes in a row.
    let well = results.windows(2).rposition(|pair| !pair.iter().any(|it| failed(&it)));
    let trouble = &results[well.map_or(0, |place| place + 2)..];
    Model {
        last_slot: results.last().map(|(slot, _)| *slot),
        failures: u32::try_from(failures).unwrap(),
        successes: u32::try_from(successes).unwrap(),
        recent_failures: results.iter().rev().take(12).filter(failed).count(),
        first_failed_at: trouble.iter().find(failed).map(|(slot, _)| *slot),
    }
}

async fn shared(store: &dyn Store) -> Model {
    let history = history(store, "api").await.unwrap();
    Model {
        last_slot: history.last_slot(),
        failures: history.consecutive_failures(),
        successes: history.consecutive_successes(),
        recent_failures: history.recent_failures(),
        first_failed_at: history.first_failed_at(),
    }
}

fn results() -> impl Strategy<Value = Vec<(u64, CheckResult)>> {
    let result = prop_oneof![Just(CheckResult::Ok), Just(CheckResult::Fail)];
    prop::collection::vec(result, 1..30)
        .prop_map(|results| (10u64..).step_by(10).zip(results).collect())
}

/// Reports until there is an answer.
async fn insist(store: &Lossy, slot: u64, result: CheckResult) {
    while let Err(error) = report(store, "api", slot, result).await {
        assert!(error.is_transient(), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Each slot is reported by several replicas, again after a lost reply, and once more later.
    #[test]
    fn each_slot_counts_once(
        results in results(),
        replicas in prop::collection::vec(fates(), 1..4),
        late in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let expected = model(&results);
        let found = on_paused_clock(async {
            let memory = Arc::new(Memory::new());
            let replicas: Vec<_> = replicas
                .into_iter()
                .map(|fates| Arc::new(Lossy::new(memory.clone(), fates)))
                .collect();
            for (slot, result) in &results {
                let (slot, result) = (*slot, *result);
                let mut tasks = tokio::task::JoinSet::new();
                for replica in &replicas {
                    let replica = Arc::clone(replica);
                    tasks.spawn(async move { insist(&replica, slot, result).await });
                }
                tasks.join_all().await;
            }
            for late in late {
                let (slot, result) = late.get(&results);
                insist(&replicas[0], *slot, *result).await;
            }
            shared(&*memory).await
        });
        prop_assert_eq!(found, expected);
    }

    /// In any order, what counts is an increasing run of slots, and the streak is theirs.
    #[test]
    fn slots_in_any_order_never_count_backwards(
        results in results().prop_shuffle(),
        fates in fates(),
    ) {
        let mut counted: Vec<(u64, CheckResult)> = Vec::new();
        for (slot, result) in &results {
            if counted.last().is_none_or(|(last, _)| slot > last) {
                counted.push((*slot, *result));
            }
        }
        let found = on_paused_clock(async {
            let memory = Arc::new(Memory::new());
            let store = Lossy::new(memory.clone(), fates);
            for (slot, result) in &results {
                insist(&store, *slot, *result).await;
            }
            shared(&*memory).await
        });
        prop_assert_eq!(found, model(&counted));
    }
}
