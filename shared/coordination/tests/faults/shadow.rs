//! The monitor's store over a Redis that goes away.

use std::sync::Arc;
use std::time::Duration;

use mcpmon_coordination::streak::history;
use mcpmon_coordination::{Document, Key, Memory, Put, Shadow, Store};
use mcpmon_testkit::redis_server::{Persistence, RedisServer};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::{LONG, connect, fail, key, refused};

fn open(server: &RedisServer, directory: &TempDir) -> Shadow {
    Shadow::open(Arc::new(connect(server)), directory.path()).unwrap()
}

fn document(position: u64, value: &str) -> Document {
    Document { position, value: value.to_owned() }
}

async fn failures(store: &dyn Store) -> u32 {
    history(store, "api").await.unwrap().consecutive_failures()
}

#[tokio::test]
async fn it_goes_on_without_redis_and_brings_both_together() {
    let (mut server, directory) = (RedisServer::start(Persistence::Aof), TempDir::new().unwrap());
    let (shadow, redis) = (open(&server, &directory), connect(&server));
    let mut up = shadow.up();
    assert_eq!(fail(&shadow, 1).await.unwrap(), 1);
    assert!(*up.borrow_and_update());
    shadow.put(&key("gone"), None, &document(1, "x"), None).await.unwrap();
    // Another replica writes: ours has seen it when the trouble begins.
    assert_eq!(fail(&redis, 2).await.unwrap(), 2);
    assert_eq!(failures(&shadow).await, 2);

    server.kill();
    assert_eq!(fail(&shadow, 3).await.unwrap(), 3);
    assert!(up.has_changed().unwrap() && !*up.borrow_and_update());
    assert!(shadow.remove(&key("gone"), 1).await.unwrap());
    shadow.put(&key("new"), None, &document(5, "ours"), Some(LONG)).await.unwrap();
    assert_eq!(shadow.list(&Key::new(&["test"])).await.unwrap().len(), 1);
    refused(&crate::config(&server), shadow.acquire(&key("l"), "me", LONG)).await;
    shadow.recover().await.unwrap_err();

    server.restart();
    // The other replica was back first, and further.
    redis.get(&key("a")).await.unwrap_err();
    redis.put(&key("new"), None, &document(6, "theirs"), None).await.unwrap();
    shadow.recover().await.unwrap();
    assert!(*up.borrow_and_update());
    assert_eq!(failures(&redis).await, 3);
    assert_eq!(redis.get(&key("gone")).await.unwrap(), None);
    assert_eq!(shadow.get(&key("new")).await.unwrap(), Some(document(6, "theirs")));
    assert_eq!(fail(&shadow, 4).await.unwrap(), 4);
    assert_eq!(failures(&redis).await, 4);
}

#[tokio::test]
async fn an_empty_redis_is_seeded() {
    let (mut server, directory) = (RedisServer::start(Persistence::None), TempDir::new().unwrap());
    let shadow = open(&server, &directory);
    assert_eq!(fail(&shadow, 1).await.unwrap(), 1);
    shadow.put(&key("ends"), None, &document(1, "x"), Some(LONG)).await.unwrap();
    server.restart();
    // The first call finds the connection broken and goes on locally.
    assert_eq!(fail(&shadow, 2).await.unwrap(), 2);
    shadow.recover().await.unwrap();
    assert_eq!(failures(&connect(&server)).await, 2);
    let left = server.must(&["PTTL", "mcpmon:test:ends"]);
    let left: u64 = left.trim_start_matches(':').parse().expect("it ends");
    assert!(left > 0 && u128::from(left) <= LONG.as_millis(), "{left}");
}

#[tokio::test]
async fn a_redis_that_was_emptied_behind_the_connection_is_seeded_before_a_document_is_forgotten() {
    let (server, directory) = (RedisServer::start(Persistence::None), TempDir::new().unwrap());
    let (shadow, redis) = (open(&server, &directory), connect(&server));
    let (all, ours) = (Key::new(&["test"]), Some(document(5, "ours")));
    shadow.put(&key("a"), None, &document(5, "ours"), None).await.unwrap();
    shadow.put(&key("b"), None, &document(5, "ours"), None).await.unwrap();

    server.must(&["FLUSHALL"]);
    assert_eq!(shadow.get(&key("a")).await.unwrap(), ours);
    assert_eq!(redis.get(&key("b")).await.unwrap(), ours);
    assert!(*shadow.up().borrow());

    server.must(&["FLUSHALL"]);
    assert_eq!(shadow.list(&all).await.unwrap().len(), 2);
    assert_eq!(redis.list(&all).await.unwrap().len(), 2);

    server.must(&["FLUSHALL"]);
    // Another replica began anew, and ours has come further.
    redis.put(&key("b"), None, &document(1, "theirs"), None).await.unwrap();
    let put = shadow.put(&key("b"), Some(5), &document(6, "more"), None).await.unwrap();
    assert_eq!(put, Put::Stored);
    assert_eq!(redis.get(&key("a")).await.unwrap(), ours);

    // What another removed is gone all the same.
    assert!(redis.remove(&key("a"), 5).await.unwrap());
    assert_eq!(shadow.get(&key("a")).await.unwrap(), None);
    drop(shadow);
    let shadow = open(&server, &directory);
    server.must(&["FLUSHALL"]);
    let left = [(key("b"), document(6, "more"))];
    assert_eq!(shadow.list(&all).await.unwrap(), left);
    assert_eq!(redis.list(&all).await.unwrap(), left);
}

#[tokio::test]
async fn what_another_wrote_is_believed_as_long_as_redis_would_have_it() {
    let (mut server, directory) = (RedisServer::start(Persistence::None), TempDir::new().unwrap());
    let (shadow, redis) = (open(&server, &directory), connect(&server));
    let hour = Duration::from_secs(60 * 60);
    for (name, ttl) in [("listed", Some(hour)), ("got", Some(hour)), ("ever", None)] {
        redis.put(&key(name), None, &document(1, "x"), ttl).await.unwrap();
    }
    assert_eq!(shadow.list(&Key::new(&["test"])).await.unwrap().len(), 3);
    redis.put(&key("got"), Some(1), &document(2, "x"), Some(hour * 2)).await.unwrap();
    // Ours at first, then written by the other with an end of its own.
    shadow.put(&key("ours"), None, &document(1, "x"), Some(LONG)).await.unwrap();
    redis.put(&key("ours"), Some(1), &document(2, "x"), Some(hour * 2)).await.unwrap();
    for name in ["got", "ours"] {
        assert_eq!(shadow.get(&key(name)).await.unwrap(), Some(document(2, "x")));
    }
    server.kill();
    for left in [&["ever", "got", "listed", "ours"][..], &["ever", "got", "ours"], &["ever"]] {
        let found = shadow.list(&Key::new(&["test"])).await.unwrap();
        let found: Vec<_> = found.iter().map(|(key, _)| key.last_part()).collect();
        assert_eq!(found, left);
        advance(hour).await;
    }
}

/// Lets time pass for us; a real Redis has a clock of its own.
async fn advance(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_redis_in_use_is_asked_for_its_name_now_and_then() {
    let (server, directory) = (RedisServer::start(Persistence::None), TempDir::new().unwrap());
    let (shadow, redis) = (open(&server, &directory), connect(&server));
    shadow.put(&key("a"), None, &document(5, "ours"), None).await.unwrap();
    redis.put(&key("other"), None, &document(1, "x"), None).await.unwrap();

    // An operation costs no round trip of its own; only asking for the name is a GET.
    let (before, began) = (gets(&server), Instant::now());
    for _ in 0..50 {
        shadow.get(&key("a")).await.unwrap();
        shadow.get(&key("none")).await.unwrap();
    }
    let looks = began.elapsed().as_secs() / 3 + 1;
    assert!(gets(&server) - before <= looks, "{} of {looks}", gets(&server) - before);

    server.must(&["FLUSHALL"]);
    advance(Duration::from_secs(3)).await;
    assert_eq!(shadow.get(&key("other")).await.unwrap(), None);
    assert_eq!(redis.get(&key("a")).await.unwrap(), Some(document(5, "ours")));
}

fn gets(server: &RedisServer) -> u64 {
    let stats = server.info("commandstats");
    let calls = stats.split("cmdstat_get:calls=").nth(1).and_then(|rest| rest.split(',').next());
    calls.map_or(0, |calls| calls.parse().unwrap())
}

#[tokio::test]
async fn the_journal_outlives_the_process_and_redis() {
    let (mut server, directory) = (RedisServer::start(Persistence::None), TempDir::new().unwrap());
    let shadow = open(&server, &directory);
    assert_eq!(fail(&shadow, 1).await.unwrap(), 1);
    server.kill();
    assert_eq!(fail(&shadow, 2).await.unwrap(), 2);
    drop(shadow);
    let shadow = open(&server, &directory);
    assert_eq!(fail(&shadow, 3).await.unwrap(), 3);
    server.restart();
    shadow.recover().await.unwrap();
    assert_eq!(failures(&connect(&server)).await, 3);
}

#[tokio::test]
async fn what_ended_in_redis_while_we_were_away_does_not_come_back() {
    let (server, directory) = (RedisServer::start(Persistence::None), TempDir::new().unwrap());
    let shadow = open(&server, &directory);
    shadow.put(&key("a"), None, &document(1, "x"), None).await.unwrap();
    drop(shadow);
    let redis = connect(&server);
    assert!(redis.remove(&key("a"), 1).await.unwrap());
    let shadow = open(&server, &directory);
    shadow.recover().await.unwrap();
    assert_eq!(shadow.get(&key("a")).await.unwrap(), None);
    assert_eq!(redis.get(&key("a")).await.unwrap(), None);
}

#[tokio::test]
async fn a_write_that_a_frozen_redis_applied_later_counts_once() {
    let (server, directory) = (RedisServer::start(Persistence::None), TempDir::new().unwrap());
    let shadow = open(&server, &directory);
    assert_eq!(fail(&shadow, 1).await.unwrap(), 1);
    server.freeze();
    // The write is lost, applied later, and repeated: it counts once.
    let put = shadow.put(&key("a"), None, &document(1, "x"), None).await.unwrap();
    assert_eq!(put, Put::Stored);
    assert_eq!(fail(&shadow, 2).await.unwrap(), 2);
    server.thaw();
    shadow.recover().await.unwrap();
    assert_eq!(fail(&shadow, 2).await.unwrap(), 2);
    assert_eq!(failures(&connect(&server)).await, 2);
}

#[tokio::test(start_paused = true)]
async fn over_memory_it_is_a_state_that_outlives_the_process() {
    let directory = TempDir::new().unwrap();
    for run in 1..=3 {
        let shadow = Shadow::open(Arc::new(Memory::new()), directory.path()).unwrap();
        assert_eq!(fail(&shadow, u64::from(run) * 10).await.unwrap(), run);
        let short = Some(Duration::from_millis(1));
        shadow.put(&key("short"), None, &document(1, "x"), short).await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(shadow.get(&key("short")).await.unwrap(), None);
    }
}
