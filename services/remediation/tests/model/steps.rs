//! Random sequences.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mcpmon_coordination::marks::{self, Maintenance};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::sleep;

use crate::invariants;
use crate::replica::Replica;
use crate::world::{Effect, World};

const COMPONENTS: usize = 4;
const REPLICAS: usize = 3;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    Breaks(usize),
    /// Somebody else starts the target anew, and that helps.
    StartedByOthers(usize),
    StoppedByOperator(usize),
    /// From now on an action has this effect.
    Becomes(usize, Effect),
    /// A replica dies, wherever it is, and another one starts.
    Dies(usize),
    Pause(usize),
    Resume(usize),
    CloseCircuit(usize),
    /// Redis loses commands and replies, or does not any more.
    Redis(bool),
    /// So many tenths of seconds pass.
    Time(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let component = 0..COMPONENTS;
    let effect = prop_oneof![
        4 => Just(Effect::Heals),
        3 => Just(Effect::DoesNotHelp),
        1 => Just(Effect::LosesTools),
        1 => Just(Effect::HealsSlowly),
        2 => Just(Effect::Hangs),
        2 => Just(Effect::HealsAndHangs),
        1 => Just(Effect::Refused),
    ];
    prop_oneof![
        5 => component.clone().prop_map(Step::Breaks),
        1 => component.clone().prop_map(Step::StartedByOthers),
        1 => component.clone().prop_map(Step::StoppedByOperator),
        3 => (component.clone(), effect).prop_map(|(component, effect)| Step::Becomes(component, effect)),
        3 => (0..REPLICAS).prop_map(Step::Dies),
        1 => component.clone().prop_map(Step::Pause),
        1 => component.clone().prop_map(Step::Resume),
        1 => component.prop_map(Step::CloseCircuit),
        2 => any::<bool>().prop_map(Step::Redis),
        // Within an action, within a verification, beyond a lease, beyond a pause.
        8 => prop_oneof![1_u64..20, 20_u64..200, 200_u64..1_000, 1_000_u64..6_000].prop_map(Step::Time),
    ]
}

async fn happen(
    world: &Arc<World>,
    replicas: &mut [Option<Replica>],
    folder: &std::path::Path,
    step: &Step,
) {
    let now = world.now();
    let name = |component: &usize| format!("c{component}");
    match step {
        Step::Breaks(component) => {
            let mut parts = world.parts();
            let part = parts.get_mut(&name(component)).unwrap();
            (part.well, part.well_at) = (false, None);
        }
        Step::StartedByOthers(component) => {
            let mut parts = world.parts();
            let part = parts.get_mut(&name(component)).unwrap();
            part.generation += 1;
            (part.started_at, part.well, part.stopped) = (now, true, false);
        }
        Step::StoppedByOperator(component) => {
            let mut parts = world.parts();
            let part = parts.get_mut(&name(component)).unwrap();
            (part.well, part.well_at, part.stopped) = (false, None, true);
        }
        Step::Becomes(component, effect) => {
            world.parts().get_mut(&name(component)).unwrap().effect = *effect;
        }
        Step::Dies(number) => {
            replicas[*number].take().unwrap().kill();
            replicas[*number] = Some(Replica::start(world, folder, *number));
        }
        Step::Pause(component) => {
            let until = now + 120_000;
            let window = Maintenance { until, reason: "model".to_owned() };
            marks::start_maintenance(world.store(), &name(component), &window, now).await.unwrap();
            world.parts().get_mut(&name(component)).unwrap().paused_until = until;
        }
        Step::Resume(component) => {
            marks::end_maintenance(world.store(), &name(component)).await.unwrap();
            world.parts().get_mut(&name(component)).unwrap().paused_until = 0;
        }
        Step::CloseCircuit(component) => {
            mcpmon_coordination::budget::reset(world.store(), &name(component), now).await.unwrap();
            world.history().closed(&name(component), now);
        }
        Step::Redis(stumbles) => world.redis.stumbles.store(*stumbles, Ordering::Relaxed),
        Step::Time(tenths) => sleep(Duration::from_millis(tenths * 100)).await,
    }
}

fn run(steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let world = World::new(COMPONENTS);
        let seen = world.clone();
        let monitor = tokio::spawn(async move {
            loop {
                seen.monitor().await;
                sleep(Duration::from_secs(5)).await;
            }
        });
        let mut replicas: Vec<_> = (0..REPLICAS)
            .map(|number| Some(Replica::start(&world, folder.path(), number)))
            .collect();
        sleep(Duration::from_secs(10)).await;
        for step in steps {
            happen(&world, &mut replicas, folder.path(), step).await;
        }
        world.redis.stumbles.store(false, Ordering::Relaxed);
        // Whatever is under way comes to its end.
        sleep(Duration::from_secs(600)).await;
        monitor.abort();
        invariants::check(&world, folder.path()).await;
    });
}

/// As many as the environment asks for; few where nobody does, for each lives through an hour.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_repairs_does_harm(steps in vec(step(), 1..40)) {
        run(&steps);
    }
}

#[test]
fn a_failure_is_repaired_once_and_on_record() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let world = World::new(COMPONENTS);
        let replicas: Vec<_> =
            (0..5).map(|number| Replica::start(&world, folder.path(), number)).collect();
        world.monitor().await;
        world.parts().get_mut("c1").unwrap().well = false;
        for _ in 0..20 {
            sleep(Duration::from_secs(5)).await;
            world.monitor().await;
        }
        let acts = world.history().acts.clone();
        assert_eq!(acts.len(), 1, "{acts:?}");
        assert!(world.parts()["c1"].well);
        let records = invariants::check(&world, folder.path()).await;
        let results: Vec<_> = records.iter().filter_map(|record| record.event.result).collect();
        assert_eq!(results, [mcp_remediation::case::ActionResult::Success]);
        drop(replicas);
    });
}
