use std::time::Duration;

use mcpmon_coordination::{Entry, Store};

use crate::{Harness, TTL, key};

const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(60);

async fn consume(store: &dyn Store, consumer: &str, patience: Duration) -> Vec<Entry> {
    store.consume(&key("s"), "group", consumer, patience, NOW).await.unwrap()
}

fn values(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.value.as_str()).collect()
}

pub(crate) async fn a_group_begins_with_the_oldest_and_shares_the_work(harness: &dyn Harness) {
    let store = harness.make();
    store.publish(&key("s"), "1").await.unwrap();
    store.publish(&key("s"), "2").await.unwrap();
    assert_eq!(values(&consume(&*store, "a", LONG).await), ["1", "2"]);
    assert!(consume(&*store, "b", LONG).await.is_empty());
    store.publish(&key("s"), "3").await.unwrap();
    assert_eq!(values(&consume(&*store, "b", LONG).await), ["3"]);
    let other = store.consume(&key("s"), "another", "a", LONG, NOW).await.unwrap();
    assert_eq!(values(&other), ["1", "2", "3"]);
}

pub(crate) async fn what_nobody_acknowledged_comes_again(harness: &dyn Harness) {
    let store = harness.make();
    store.publish(&key("s"), "x").await.unwrap();
    let first = consume(&*store, "a", TTL).await;
    assert_eq!(first.iter().map(|entry| entry.deliveries).collect::<Vec<_>>(), [1]);
    assert!(consume(&*store, "b", LONG).await.is_empty());
    harness.elapse(TTL + Duration::from_millis(50)).await;
    let second = consume(&*store, "b", TTL).await;
    assert_eq!((&second[0].id, values(&second)), (&first[0].id, vec!["x"]));
    assert_eq!(second[0].deliveries, 2);
}

pub(crate) async fn what_was_acknowledged_stays_away(harness: &dyn Harness) {
    let store = harness.make();
    store.publish(&key("s"), "x").await.unwrap();
    let entries = consume(&*store, "a", TTL).await;
    for _ in 0..2 {
        store.acknowledge(&key("s"), "group", &entries[0].id).await.unwrap();
    }
    harness.elapse(TTL + Duration::from_millis(50)).await;
    assert!(consume(&*store, "b", TTL).await.is_empty());
}

pub(crate) async fn a_reader_waits_for_the_first_entry(harness: &dyn Harness) {
    let (reader, writer) = (harness.make(), harness.make());
    let waiting =
        tokio::spawn(async move { reader.consume(&key("s"), "group", "a", LONG, LONG).await });
    // The reader comes first; on Redis this is not certain, and then it finds the entry at once.
    tokio::task::yield_now().await;
    writer.publish(&key("s"), "x").await.unwrap();
    assert_eq!(values(&waiting.await.unwrap().unwrap()), ["x"]);
}

pub(crate) async fn nothing_comes_from_an_empty_stream(harness: &dyn Harness) {
    let store = harness.make();
    let wait = Duration::from_millis(30);
    assert!(store.consume(&key("s"), "group", "a", LONG, wait).await.unwrap().is_empty());
    store.acknowledge(&key("none"), "group", "1-1").await.unwrap();
}
