//! Many contenders, lost replies, holders that sleep too long: at most one acts at any time, and
//! the numbers grow.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcpmon_coordination::{Fencing, Holder, Key, Lease, Memory};
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use crate::lossy::{Fate, Lossy, fates};
use crate::on_paused_clock;

const TTL: Duration = Duration::from_millis(100);

/// What a contender does with each lease that it gets.
#[derive(Debug, Clone, Copy)]
struct Step {
    pause: u64,
    work: u64,
    renew: bool,
    release: bool,
}

/// A time in which a contender believed that it may act.
#[derive(Debug, Clone, Copy)]
struct Held {
    from: Instant,
    until: Instant,
    fencing: Fencing,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..150u64, 0..150u64, any::<bool>(), any::<bool>())
        .prop_map(|(pause, work, renew, release)| Step { pause, work, renew, release });
    prop::collection::vec(step, 1..6)
}

async fn contend(store: Lossy, steps: Vec<Step>, history: Arc<Mutex<Vec<Held>>>) {
    let (name, holder) = (Key::new(&["action"]), Holder::new());
    for step in steps {
        sleep(Duration::from_millis(step.pause)).await;
        let Ok(Some(mut lease)) = Lease::acquire(&store, &name, &holder, TTL).await else {
            continue;
        };
        let from = Instant::now();
        let mut until = from;
        for millisecond in 0..step.work {
            if !lease.still_held(Instant::now()) {
                break;
            }
            until = Instant::now();
            sleep(Duration::from_millis(1)).await;
            if step.renew && millisecond % 30 == 29 {
                // Without an answer the old end stays.
                let _ = lease.renew(&store).await;
            }
        }
        if step.work > 0 {
            history.lock().unwrap().push(Held { from, until, fencing: lease.fencing() });
        }
        if step.release {
            // Without an answer it ends with its time.
            let _ = lease.release(&store).await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn at_most_one_holder_and_growing_numbers(
        contenders in prop::collection::vec((steps(), fates()), 2..6),
    ) {
        let history = Arc::new(Mutex::new(Vec::new()));
        on_paused_clock(async {
            let memory = Arc::new(Memory::new());
            let mut tasks = tokio::task::JoinSet::new();
            for (steps, fates) in contenders {
                let store = Lossy::new(memory.clone(), fates);
                tasks.spawn(contend(store, steps, Arc::clone(&history)));
            }
            tasks.join_all().await;
        });
        let mut history = history.lock().unwrap().clone();
        history.sort_by_key(|held| held.fencing);
        for pair in history.windows(2) {
            // One contender may get the same lease twice, when its release was lost.
            if pair[0].fencing != pair[1].fencing {
                prop_assert!(pair[0].until <= pair[1].from, "{pair:?}");
            }
        }
    }
}

#[test]
fn an_unanswered_acquire_is_resolved_by_asking_again() {
    on_paused_clock(async {
        let memory = Arc::new(Memory::new());
        let store = Lossy::new(memory, vec![Fate::AppliedAndLost]);
        let (name, holder) = (Key::new(&["action"]), Holder::new());
        let lease = Lease::acquire(&store, &name, &holder, TTL).await.unwrap().unwrap();
        assert_eq!(lease.fencing(), Fencing(1));
        assert!(lease.still_held(Instant::now()));
        let other = Lease::acquire(&store, &name, &Holder::new(), TTL).await.unwrap();
        assert!(other.is_none());
    });
}

#[test]
fn the_holder_stops_before_the_store_gives_it_to_another() {
    on_paused_clock(async {
        let memory = Memory::new();
        let (name, holder) = (Key::new(&["action"]), Holder::new());
        let mut lease = Lease::acquire(&memory, &name, &holder, TTL).await.unwrap().unwrap();
        sleep(TTL * 9 / 10).await;
        assert!(!lease.still_held(Instant::now()));
        let other = Lease::acquire(&memory, &name, &Holder::new(), TTL).await.unwrap();
        assert!(other.is_none(), "the store still counts it");
        assert!(!lease.renew(&memory).await.unwrap(), "over is over");
    });
}
