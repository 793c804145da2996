//! Redis answers, but refuses: read-only, full, not allowed; or what it holds is not ours.

use mcpmon_coordination::{Document, Error, Key, Redis, RedisConfig, Store};
use mcpmon_testkit::redis_server::{Persistence, RedisServer};

use crate::{LONG, config, connect, fail, key, recovered, refused};

#[tokio::test]
async fn a_replica_refuses_until_it_is_a_master_again() {
    let server = RedisServer::start(Persistence::None);
    let (config, store) = (config(&server), connect(&server));
    assert_eq!(fail(&store, 1).await.unwrap(), 1);
    // A master that nobody can reach: it keeps its data and becomes read-only.
    server.must(&["REPLICAOF", "127.0.0.1", "1"]);
    let error = refused(&config, fail(&store, 2)).await;
    assert!(error.to_string().to_lowercase().contains("read"), "{error}");
    refused(&config, store.acquire(&key("l"), "me", LONG)).await;
    refused(&config, store.publish(&key("s"), "x")).await;
    refused(&config, store.consume(&key("s"), "g", "c", LONG, config.response_timeout)).await;
    server.must(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(recovered(|| fail(&store, 2)).await, 2);
}

#[tokio::test]
async fn a_full_redis_refuses_writes_and_still_reads() {
    let server = RedisServer::start(Persistence::None);
    let (config, store) = (config(&server), connect(&server));
    let epoch = store.epoch().await.unwrap();
    assert_eq!(fail(&store, 1).await.unwrap(), 1);
    server.must(&["CONFIG", "SET", "maxmemory", "100kb"]);
    let error = refused(&config, fail(&store, 2)).await;
    assert!(
        error.to_string().contains("maxmemory") || error.to_string().contains("OOM"),
        "{error}"
    );
    refused(&config, store.acquire(&key("l"), "me", LONG)).await;
    assert_eq!(store.epoch().await.unwrap(), epoch);
    assert_eq!(store.list(&Key::new(&["streak"])).await.unwrap().len(), 1);
    server.must(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(fail(&store, 2).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_script_bounds_every_call() {
    let server = RedisServer::start(Persistence::None);
    let (config, store) = (config(&server), connect(&server));
    assert_eq!(fail(&store, 1).await.unwrap(), 1);
    server.must(&["CONFIG", "SET", "busy-reply-threshold", "50"]);
    std::thread::scope(|scope| {
        scope.spawn(|| server.command(&["EVAL", "while true do end", "0"]));
        tokio::task::block_in_place(|| {
            // It is busy from the moment that it says so.
            while !server.command(&["PING"]).starts_with("-BUSY") {}
            tokio::runtime::Handle::current().block_on(refused(&config, fail(&store, 2)));
            server.must(&["SCRIPT", "KILL"]);
        });
    });
    assert_eq!(recovered(|| fail(&store, 2)).await, 2);
}

#[tokio::test]
async fn what_somebody_else_wrote_is_not_transient() {
    let server = RedisServer::start(Persistence::None);
    let store = connect(&server);
    server.must(&["SET", "mcpmon:streak:api", "x"]);
    server.must(&["HSET", "mcpmon:test:a", "p", "many", "v", "x"]);
    for error in [fail(&store, 1).await.unwrap_err(), store.get(&key("a")).await.unwrap_err()] {
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    }
}

/// The user as `deploy/lib/secrets.sh` writes it: what we do must be allowed to it.
#[tokio::test]
async fn the_shipped_users_may_do_all_that_we_do_and_no_more() {
    let script = include_str!("../../../../deploy/lib/secrets.sh");
    let keys = script.lines().find_map(|line| line.trim().strip_prefix("keys='"));
    let rules = script.lines().find_map(|line| line.trim().strip_prefix("\"-@all "));
    let keys = keys.and_then(|it| it.strip_suffix('\'')).expect("the users' keys stand there");
    let rules = rules.and_then(|it| it.strip_suffix('"')).expect("the users' rules stand there");
    let server = RedisServer::start(Persistence::None);
    let user = ["ACL", "SETUSER", "monitor", "on", ">pw", "-@all"];
    let words = user.into_iter().chain(keys.split(' ')).chain(rules.split(' '));
    server.must(&words.collect::<Vec<_>>());

    let url = format!("redis://monitor:pw@127.0.0.1:{}", server.port());
    let store = Redis::new(&RedisConfig::new(url.clone())).unwrap();
    store.epoch().await.unwrap();
    assert_eq!(fail(&store, 1).await.unwrap(), 1);
    assert_eq!(store.list(&Key::new(&["streak"])).await.unwrap().len(), 1);
    let document = Document { position: 1, value: "x".to_owned() };
    store.put(&key("a"), None, &document, Some(LONG)).await.unwrap();
    assert!(store.remove(&key("a"), 1).await.unwrap());
    let fencing = store.acquire(&key("l"), "me", LONG).await.unwrap().expect("free");
    assert!(store.renew(&key("l"), "me", fencing, LONG).await.unwrap());
    assert!(store.release(&key("l"), "me", fencing).await.unwrap());
    store.publish(&key("s"), "x").await.unwrap();
    // Twice, for a connection that comes back from the pool is tested with commands of its own.
    for patience in [LONG, std::time::Duration::ZERO] {
        let entries = store.consume(&key("s"), "g", "c", patience, LONG).await.unwrap();
        store.acknowledge(&key("s"), "g", &entries[0].id).await.unwrap();
        store.publish(&key("s"), "y").await.unwrap();
    }

    let mut outside = RedisConfig::new(url);
    outside.prefix = "another".to_owned();
    let error = Redis::new(&outside).unwrap().get(&key("a")).await.unwrap_err();
    assert!(error.to_string().to_lowercase().contains("perm"), "{error}");
}
