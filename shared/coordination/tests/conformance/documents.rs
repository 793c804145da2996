use std::time::Duration;

use mcpmon_coordination::{Document, Key, Put};

use crate::{Harness, TTL, key};

fn document(position: u64, value: &str) -> Document {
    Document { position, value: value.to_owned() }
}

pub(crate) async fn a_document_is_written_once_per_position(harness: &dyn Harness) {
    let (store, key) = (harness.make(), key("a"));
    assert_eq!(store.get(&key).await.unwrap(), None);
    assert_eq!(store.put(&key, None, &document(5, "five"), None).await.unwrap(), Put::Stored);
    let stored = Some(document(5, "five"));
    assert_eq!(store.get(&key).await.unwrap(), stored);
    for (expected, position) in [(None, 6), (Some(4), 6), (Some(5), 5), (Some(5), 4)] {
        let put = store.put(&key, expected, &document(position, "x"), None).await.unwrap();
        assert_eq!(put, Put::Conflict(stored.clone()), "{expected:?} to {position}");
    }
    let put = store.put(&key, Some(5), &document(6, "six"), None).await.unwrap();
    assert_eq!(put, Put::Stored);
    let absent = store.put(&Key::new(&["b"]), Some(1), &document(2, "x"), None).await.unwrap();
    assert_eq!(absent, Put::Conflict(None));
    assert_eq!(harness.make().get(&key).await.unwrap(), Some(document(6, "six")));
}

pub(crate) async fn only_one_of_many_writers_wins(harness: &dyn Harness) {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..16 {
        let store = harness.make();
        writers.spawn(async move {
            let mine = document(1, &writer.to_string());
            store.put(&key("race"), None, &mine, None).await.unwrap()
        });
    }
    let puts = writers.join_all().await;
    let winner = harness.make().get(&key("race")).await.unwrap();
    assert!(winner.is_some());
    let lost = puts.iter().filter(|put| **put == Put::Conflict(winner.clone())).count();
    assert_eq!((lost, puts.len()), (15, 16), "{puts:?}");
}

pub(crate) async fn a_repeated_write_shows_what_was_written(harness: &dyn Harness) {
    let (store, mine) = (harness.make(), document(3, "mine"));
    assert_eq!(store.put(&key("a"), None, &mine, None).await.unwrap(), Put::Stored);
    let again = store.put(&key("a"), None, &mine, None).await.unwrap();
    assert_eq!(again, Put::Conflict(Some(mine)));
}

pub(crate) async fn a_document_ends_with_its_time(harness: &dyn Harness) {
    let store = harness.make();
    for name in ["ends", "stays"] {
        store.put(&key(name), None, &document(1, "x"), Some(TTL)).await.unwrap();
    }
    store.put(&key("stays"), Some(1), &document(2, "y"), None).await.unwrap();
    assert_eq!(store.list(&Key::new(&["test"])).await.unwrap().len(), 2);
    harness.elapse(TTL + Duration::from_millis(50)).await;
    assert_eq!(store.get(&key("ends")).await.unwrap(), None);
    let left = store.list(&Key::new(&["test"])).await.unwrap();
    assert_eq!(left, [(key("stays"), document(2, "y"))]);
    assert_eq!(store.put(&key("ends"), None, &document(1, "z"), None).await.unwrap(), Put::Stored);
}

pub(crate) async fn a_removal_can_be_repeated(harness: &dyn Harness) {
    let store = harness.make();
    store.put(&key("a"), None, &document(7, "x"), None).await.unwrap();
    assert!(!store.remove(&key("a"), 6).await.unwrap());
    assert!(store.remove(&key("a"), 7).await.unwrap());
    assert!(store.remove(&key("a"), 7).await.unwrap());
    assert_eq!(store.get(&key("a")).await.unwrap(), None);
}

pub(crate) async fn a_listing_has_what_stands_below_in_order(harness: &dyn Harness) {
    let store = harness.make();
    let names = [&["ack", "b"][..], &["ack", "a", "x"], &["ack"], &["acks", "a"], &["a*k", "c"]];
    for name in names {
        store.put(&Key::new(name), None, &document(1, name[0]), None).await.unwrap();
    }
    // Neither a lease nor a stream of that name is a document.
    store.acquire(&Key::new(&["ack", "l"]), "me", TTL).await.unwrap();
    store.publish(&Key::new(&["ack", "s"]), "x").await.unwrap();
    let below = |listed: Vec<(Key, Document)>| -> Vec<String> {
        listed.into_iter().map(|(key, _)| key.to_string()).collect()
    };
    assert_eq!(below(store.list(&Key::new(&["ack"])).await.unwrap()), ["ack:a:x", "ack:b"]);
    assert_eq!(below(store.list(&Key::new(&["a*k"])).await.unwrap()), ["a*k:c"]);
    assert!(store.list(&Key::new(&["none"])).await.unwrap().is_empty());
}

pub(crate) async fn the_greatest_positions_are_told_apart(harness: &dyn Harness) {
    let (store, key) = (harness.make(), key("a"));
    // Two numbers that are the same in floating point.
    let (less, more) = (u64::MAX - 1, u64::MAX);
    store.put(&key, None, &document(less, "less"), None).await.unwrap();
    let wrong = store.put(&key, Some(more), &document(more, "x"), None).await.unwrap();
    assert_eq!(wrong, Put::Conflict(Some(document(less, "less"))));
    let put = store.put(&key, Some(less), &document(more, "more"), None).await.unwrap();
    assert_eq!(put, Put::Stored);
}

pub(crate) async fn everyone_sees_the_same_epoch(harness: &dyn Harness) {
    let first = harness.make().epoch().await.unwrap();
    assert!(!first.is_empty());
    assert_eq!(harness.make().epoch().await.unwrap(), first);
}
