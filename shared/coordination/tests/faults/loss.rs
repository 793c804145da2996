//! Redis is frozen, killed, started again; connections are cut.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use mcpmon_coordination::{Document, Fencing, Holder, Lease, Put, Redis, Store};
use mcpmon_testkit::redis_server::{Persistence, RedisServer};

use crate::{LONG, config, connect, fail, key, recovered, refused};

#[tokio::test]
async fn a_frozen_redis_bounds_every_call_and_counts_once() {
    let server = RedisServer::start(Persistence::None);
    let (config, store) = (config(&server), connect(&server));
    assert_eq!(fail(&store, 1).await.unwrap(), 1);
    store.publish(&key("s"), "x").await.unwrap();
    server.freeze();
    // Sent over the open connection: Redis applies it once it goes on, without a caller.
    refused(&config, store.put(&key("a"), None, &document(1), None)).await;
    refused(&config, fail(&store, 2)).await;
    refused(&config, store.list(&key("a"))).await;
    refused(&config, store.consume(&key("s"), "g", "c", LONG, config.response_timeout)).await;
    refused(&config, store.epoch()).await;
    server.thaw();
    assert_eq!(recovered(|| fail(&store, 2)).await, 2);
    assert_eq!(recovered(|| fail(&store, 2)).await, 2);
    assert_eq!(fail(&store, 3).await.unwrap(), 3);
    let again = store.put(&key("a"), None, &document(1), None).await.unwrap();
    assert_eq!(again, Put::Conflict(Some(document(1))), "it was applied after the timeout");
}

#[tokio::test]
async fn a_lease_whose_grant_was_lost_is_found_by_asking_again() {
    let server = RedisServer::start(Persistence::None);
    let (config, store) = (config(&server), connect(&server));
    // Opens the connection and loads the script, so that the request below is the grant itself.
    store.acquire(&key("another"), "me", LONG).await.unwrap();
    let (name, holder) = (key("l"), Holder::new());
    server.freeze();
    refused(&config, store.acquire(&name, holder.as_str(), LONG)).await;
    server.thaw();
    let other = recovered(|| store.acquire(&name, "other", LONG)).await;
    assert_eq!(other, None, "the lost grant stands");
    let lease = Lease::acquire(&store, &name, &holder, LONG).await.unwrap().expect("ours");
    assert_eq!(lease.fencing(), Fencing(1));
    assert!(lease.release(&store).await.unwrap());
}

#[tokio::test]
async fn a_killed_redis_with_its_file_remembers() {
    let mut server = RedisServer::start(Persistence::Aof);
    let store = connect(&server);
    let epoch = store.epoch().await.unwrap();
    assert_eq!(fail(&store, 1).await.unwrap(), 1);
    let first = store.acquire(&key("l"), "me", LONG).await.unwrap().expect("free");
    assert!(store.release(&key("l"), "me", first).await.unwrap());
    store.acquire(&key("held"), "me", LONG).await.unwrap().expect("free");
    store.publish(&key("s"), "x").await.unwrap();
    server.kill();
    refused(&config(&server), fail(&store, 2)).await;
    server.restart();
    assert_eq!(recovered(|| fail(&store, 2)).await, 2);
    assert_eq!(store.epoch().await.unwrap(), epoch);
    let second = store.acquire(&key("l"), "me", LONG).await.unwrap().expect("free");
    assert!(second > first, "{second:?} after {first:?}");
    assert_eq!(store.acquire(&key("held"), "other", LONG).await.unwrap(), None);
    let entries = store.consume(&key("s"), "g", "c", LONG, LONG).await.unwrap();
    assert_eq!(entries.len(), 1);
}

#[tokio::test]
async fn a_killed_redis_without_its_file_has_another_epoch() {
    let mut server = RedisServer::start(Persistence::None);
    let store = connect(&server);
    let epoch = store.epoch().await.unwrap();
    assert_eq!(fail(&store, 1).await.unwrap(), 1);
    server.restart();
    assert_ne!(recovered(|| store.epoch()).await, epoch);
    assert_eq!(store.list(&mcpmon_coordination::Key::new(&["streak"])).await.unwrap(), []);
}

#[tokio::test]
async fn a_cut_connection_costs_at_most_one_call() {
    let server = RedisServer::start(Persistence::None);
    let store = connect(&server);
    assert_eq!(fail(&store, 1).await.unwrap(), 1);
    server.must(&["CLIENT", "KILL", "TYPE", "normal"]);
    if let Err(error) = fail(&store, 2).await {
        assert!(error.is_transient(), "{error}");
    }
    assert_eq!(fail(&store, 2).await.unwrap(), 2);
}

#[tokio::test]
async fn forgotten_scripts_are_loaded_again() {
    let server = RedisServer::start(Persistence::None);
    let store = connect(&server);
    assert_eq!(fail(&store, 1).await.unwrap(), 1);
    server.must(&["SCRIPT", "FLUSH"]);
    assert_eq!(fail(&store, 2).await.unwrap(), 2);
}

#[tokio::test]
async fn a_listing_among_many_keys_of_others_may_take_longer_than_one_operation() {
    let server = RedisServer::start(Persistence::None);
    let many = "for i = 1, 40000 do redis.call('SET', 'other:' .. i, '') end";
    server.must(&["EVAL", many, "0"]);
    connect(&server).put(&key("a"), None, &document(1), None).await.unwrap();
    let mut config = config(&server);
    let delay = config.response_timeout / 4;
    // So many keys cannot be looked at within the deadline of one operation.
    assert!(delay * 40 > config.deadline());
    config.url = format!("redis://127.0.0.1:{}", slow_way(server.port(), delay)).into();
    let store = Redis::new(&config).unwrap();
    let found = store.list(&mcpmon_coordination::Key::new(&["test"])).await.unwrap();
    assert_eq!(found, [(key("a"), document(1))]);
    server.freeze();
    refused(&config, store.list(&key("a"))).await;
    server.thaw();
}

/// The port of a way to the server, for one connection, on which every reply takes so long.
fn slow_way(port: u16, delay: Duration) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let way = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let (mut requests, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || io::copy(&mut requests, &mut to));
        let mut bytes = [0; 64 << 10];
        while let Ok(count @ 1..) = server.read(&mut bytes) {
            thread::sleep(delay);
            if client.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
    });
    way
}

fn document(position: u64) -> Document {
    Document { position, value: "x".to_owned() }
}
