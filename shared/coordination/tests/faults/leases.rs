//! Leases of a real Redis: what they cost, and what becomes of them when its clock jumps.

use mcpmon_coordination::{Holder, Lease, Store};
use mcpmon_testkit::redis_server::{Persistence, RedisServer};
use tokio::time::Instant;

use crate::{LONG, connect, key};

#[tokio::test]
async fn acquiring_and_releasing_are_two_round_trips() {
    let server = RedisServer::start(Persistence::None);
    let (store, holder) = (connect(&server), Holder::new());
    let cycle = async || {
        let lease = Lease::acquire(&store, &key("l"), &holder, LONG).await.unwrap().expect("free");
        assert!(lease.release(&store).await.unwrap());
    };
    // Opens the connection and loads the scripts.
    cycle().await;
    server.must(&["CONFIG", "RESETSTAT"]);
    cycle().await;
    // What a client sent; the commands within a script are no round trips.
    let stats = server.info("commandstats");
    assert!(stats.contains("cmdstat_evalsha:calls=2,"), "{stats}");
    for other in ["cmdstat_ping:", "cmdstat_eval:", "cmdstat_script|load:", "cmdstat_hello:"] {
        assert!(!stats.contains(other), "{other} in {stats}");
    }
}

#[tokio::test]
async fn a_lease_that_ends_early_is_not_renewed_or_released_by_its_old_holder() {
    let server = RedisServer::start(Persistence::None);
    let (store, name) = (connect(&server), key("l"));
    let mut old = Lease::acquire(&store, &name, &Holder::new(), LONG).await.unwrap().expect("free");
    // As when Redis's clock jumps forward.
    server.must(&["PEXPIRE", "mcpmon::lease:test:l", "-1"]);
    let new = Lease::acquire(&store, &name, &Holder::new(), LONG).await.unwrap().expect("it ended");
    assert!(new.fencing() > old.fencing());
    assert!(!old.renew(&store).await.unwrap());
    assert!(!old.still_held(Instant::now()));
    assert!(!old.release(&store).await.unwrap());
    assert_eq!(store.acquire(&name, "third", LONG).await.unwrap(), None);
}

#[tokio::test]
async fn a_lease_that_ends_late_waits_and_goes_on() {
    let server = RedisServer::start(Persistence::None);
    let (store, name) = (connect(&server), key("l"));
    store.acquire(&name, "dead", LONG).await.unwrap().expect("free");
    server.must(&["PEXPIRE", "mcpmon::lease:test:l", "9999999"]);
    assert_eq!(store.acquire(&name, "next", LONG).await.unwrap(), None);
    server.must(&["PEXPIRE", "mcpmon::lease:test:l", "-1"]);
    assert!(store.acquire(&name, "next", LONG).await.unwrap().is_some());
}
