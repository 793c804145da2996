use std::time::Duration;

use mcpmon_coordination::Fencing;

use crate::{Harness, TTL, key};

const LONG: Duration = Duration::from_secs(60);

pub(crate) async fn one_holder_at_a_time_with_growing_numbers(harness: &dyn Harness) {
    let (one, other) = (harness.make(), harness.make());
    let mut last = Fencing(0);
    for _ in 0..3 {
        for (store, holder) in [(&one, "one"), (&other, "other")] {
            let fencing = store.acquire(&key("l"), holder, LONG).await.unwrap().expect("free");
            assert!(fencing > last, "{fencing:?} after {last:?}");
            last = fencing;
            assert_eq!(store.acquire(&key("l"), "third", LONG).await.unwrap(), None);
            assert!(store.release(&key("l"), holder, fencing).await.unwrap());
        }
    }
    assert!(one.acquire(&key("another"), "one", LONG).await.unwrap().is_some());
}

pub(crate) async fn asking_again_gives_the_same_number_and_more_time(harness: &dyn Harness) {
    let store = harness.make();
    let first = store.acquire(&key("l"), "me", TTL).await.unwrap();
    assert!(first.is_some());
    assert_eq!(store.acquire(&key("l"), "me", LONG).await.unwrap(), first);
    harness.elapse(TTL + Duration::from_millis(50)).await;
    assert_eq!(store.acquire(&key("l"), "other", LONG).await.unwrap(), None);
}

pub(crate) async fn a_lease_ends_with_its_time(harness: &dyn Harness) {
    let store = harness.make();
    let first = store.acquire(&key("l"), "me", TTL).await.unwrap().expect("free");
    harness.elapse(TTL + Duration::from_millis(50)).await;
    assert!(!store.renew(&key("l"), "me", first, LONG).await.unwrap());
    assert!(!store.release(&key("l"), "me", first).await.unwrap());
    let next = store.acquire(&key("l"), "other", LONG).await.unwrap().expect("it ended");
    assert!(next > first);
}

pub(crate) async fn renewing_needs_holder_and_number(harness: &dyn Harness) {
    let store = harness.make();
    let fencing = store.acquire(&key("l"), "me", TTL).await.unwrap().expect("free");
    assert!(!store.renew(&key("l"), "other", fencing, LONG).await.unwrap());
    assert!(!store.renew(&key("l"), "me", Fencing(fencing.0 + 1), LONG).await.unwrap());
    assert!(store.renew(&key("l"), "me", fencing, LONG).await.unwrap());
    harness.elapse(TTL + Duration::from_millis(50)).await;
    assert!(store.renew(&key("l"), "me", fencing, LONG).await.unwrap());
}

pub(crate) async fn releasing_needs_holder_and_number(harness: &dyn Harness) {
    let store = harness.make();
    let fencing = store.acquire(&key("l"), "me", LONG).await.unwrap().expect("free");
    assert!(!store.release(&key("l"), "other", fencing).await.unwrap());
    assert!(!store.release(&key("l"), "me", Fencing(fencing.0 + 1)).await.unwrap());
    assert_eq!(store.acquire(&key("l"), "other", LONG).await.unwrap(), None);
    assert!(store.release(&key("l"), "me", fencing).await.unwrap());
    assert!(!store.release(&key("l"), "me", fencing).await.unwrap());
}
