//! The store of who must not act without Redis.

use std::sync::Arc;

use mcpmon_coordination::{Document, Error, Key, Memory, Put, Shadow, Store};
use mcpmon_testkit::redis_server::{Persistence, RedisServer};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::{config, connect, fail, key, recovered, refused};

fn open(server: &RedisServer, directory: &TempDir) -> Shadow {
    Shadow::open_strict(Arc::new(connect(server)), directory.path()).unwrap()
}

fn document(position: u64) -> Document {
    Document { position, value: "\"ours\"".to_owned() }
}

fn seeded_at(shadow: &Shadow) -> Option<Instant> {
    *shadow.seeded_at().borrow()
}

async fn refuses_everything(server: &RedisServer, shadow: &Shadow) {
    let config = config(server);
    refused(&config, shadow.get(&key("a"))).await;
    refused(&config, shadow.list(&Key::new(&["test"]))).await;
    refused(&config, shadow.put(&key("a"), Some(1), &document(2), None)).await;
    refused(&config, shadow.put(&key("new"), None, &document(1), None)).await;
    refused(&config, shadow.remove(&key("a"), 1)).await;
    refused(&config, fail(shadow, 9)).await;
    assert!(!*shadow.up().borrow());
}

#[tokio::test]
async fn nothing_is_done_without_redis_and_nothing_of_it_comes_later() {
    let (mut server, directory) = (RedisServer::start(Persistence::Aof), TempDir::new().unwrap());
    let shadow = open(&server, &directory);
    shadow.put(&key("a"), None, &document(1), None).await.unwrap();
    server.kill();
    refuses_everything(&server, &shadow).await;
    server.restart();
    assert_eq!(recovered(|| async { shadow.get(&key("a")).await }).await, Some(document(1)));
    assert_eq!(shadow.list(&Key::new(&["test"])).await.unwrap(), [(key("a"), document(1))]);
    assert!(shadow.list(&Key::new(&["streak"])).await.unwrap().is_empty());
    assert!(*shadow.up().borrow());
    assert_eq!(seeded_at(&shadow), None, "it is the same set of data");
}

#[tokio::test]
async fn a_redis_that_was_never_there_may_come_later() {
    let (mut server, directory) = (RedisServer::start(Persistence::None), TempDir::new().unwrap());
    server.kill();
    let shadow = open(&server, &directory);
    refuses_everything(&server, &shadow).await;
    server.restart();
    assert_eq!(recovered(|| fail(&shadow, 1)).await, 1);
    assert_eq!(seeded_at(&shadow), None, "no other was known before");
}

#[tokio::test]
async fn an_emptied_redis_is_not_believed_once() {
    let (server, directory) = (RedisServer::start(Persistence::None), TempDir::new().unwrap());
    let (shadow, redis) = (open(&server, &directory), connect(&server));
    shadow.put(&key("a"), None, &document(1), None).await.unwrap();
    redis.put(&key("theirs"), None, &document(1), None).await.unwrap();
    // Three ways to come upon it, each at once after it was emptied.
    let mut last = None;
    for way in 0..3 {
        let before = Instant::now();
        server.must(&["FLUSHALL"]);
        match way {
            // What only another wrote: the answer itself gives no reason to doubt.
            0 => assert_eq!(shadow.get(&key("theirs")).await.unwrap(), None),
            1 => {
                let listed = shadow.list(&Key::new(&["test"])).await.unwrap();
                assert_eq!(listed, [(key("a"), document(1))]);
            }
            _ => {
                let put = shadow.put(&key("theirs"), Some(1), &document(2), None).await.unwrap();
                assert_eq!(put, Put::Conflict(None));
            }
        }
        let now = seeded_at(&shadow);
        assert!(now >= Some(before) && now > last, "{way}: {now:?}");
        last = now;
        assert_eq!(redis.get(&key("a")).await.unwrap(), Some(document(1)), "{way}");
    }
}

#[tokio::test]
async fn a_redis_that_died_without_a_file_is_another_also_for_the_next_process() {
    let (mut server, directory) = (RedisServer::start(Persistence::None), TempDir::new().unwrap());
    let shadow = open(&server, &directory);
    shadow.put(&key("a"), None, &document(1), None).await.unwrap();
    server.kill();
    server.restart();
    assert_eq!(recovered(|| async { shadow.get(&key("a")).await }).await, Some(document(1)));
    assert!(seeded_at(&shadow).is_some());
    drop(shadow);

    // The same Redis is none for the next process, and another one is.
    let shadow = open(&server, &directory);
    assert_eq!(shadow.get(&key("a")).await.unwrap(), Some(document(1)));
    assert_eq!(seeded_at(&shadow), None);
    drop(shadow);
    server.kill();
    server.restart();
    let shadow = open(&server, &directory);
    assert_eq!(shadow.get(&key("a")).await.unwrap(), Some(document(1)));
    assert!(seeded_at(&shadow).is_some());
}

#[tokio::test]
async fn a_frozen_redis_is_away() {
    let (server, directory) = (RedisServer::start(Persistence::None), TempDir::new().unwrap());
    let shadow = open(&server, &directory);
    shadow.put(&key("a"), None, &document(1), None).await.unwrap();
    server.freeze();
    let error = refused(&config(&server), shadow.get(&key("a"))).await;
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    server.thaw();
    assert_eq!(recovered(|| async { shadow.get(&key("a")).await }).await, Some(document(1)));
    assert_eq!(seeded_at(&shadow), None);
}

#[tokio::test(start_paused = true)]
async fn over_memory_each_start_is_another_set_of_data() {
    let directory = TempDir::new().unwrap();
    for run in 1..=3 {
        let shadow = Shadow::open_strict(Arc::new(Memory::new()), directory.path()).unwrap();
        assert_eq!(seeded_at(&shadow), None);
        assert_eq!(fail(&shadow, u64::from(run)).await.unwrap(), run);
        let first = seeded_at(&shadow);
        assert!(first.is_some());
        assert_eq!(fail(&shadow, u64::from(run)).await.unwrap(), run);
        assert_eq!(seeded_at(&shadow), first);
    }
}
