//! What Redis does wrong.

use std::thread;
use std::time::Duration;

use mcpmon_testkit::http_script::Gate;
use mcpmon_testkit::metric::{Expected, metric};
use mcpmon_testkit::redis_server::Persistence;
use tokio::time::Instant;

use crate::support::{LEASE, Program, Restart, World, throughout, until};

fn up(value: u8) -> Expected {
    metric("mcp_coordination_up").label("backend", "redis").value(value)
}

fn held(reason: &str, value: u8) -> Expected {
    metric("mcp_remediation_held").label("reason", reason).value(value)
}

fn shows(expected: &Expected, remediation: &Program) -> bool {
    !expected.find(&remediation.metrics()).is_empty()
}

#[track_caller]
fn wait_held(remediation: &Program, reason: &str, value: u8) {
    until(&format!("held{{{reason}}} {value}"), || {
        shows(&held(reason, value), remediation).then_some(())
    });
}

#[test]
fn without_redis_nothing_is_repaired_and_afterwards_it_goes_on_by_itself() {
    let mut world = World::new().monitor_key("interval_seconds", "0.5").component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    let away = Instant::now();
    world.redis.kill();
    world.docker.crash("shop-1");
    wait_held(&remediation, "coordination_unavailable", 1);
    // Thirty intervals.
    throughout(Duration::from_secs(15), "it says that it is held", || {
        shows(&up(0), &remediation) && shows(&held("coordination_unavailable", 1), &remediation)
    });
    let back = Instant::now();
    world.redis.restart();
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    monitor.wait_state("shop", "healthy");
    until("it is up", || shows(&up(1), &remediation).then_some(()));
    wait_held(&remediation, "coordination_unavailable", 0);
    let history = world.history();
    history.assert_quiet(away, back);
    history.assert_all_ended();
    assert_eq!(world.docker.count("shop-1"), 1);
}

#[test]
fn a_redis_that_forgot_everything_is_given_time_and_gives_no_budget_back() {
    let mut world = World::over(Persistence::None).key("attempts", "2").component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    world.docker.crash("shop-1");
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    monitor.wait_state("shop", "healthy");

    world.redis.kill();
    world.docker.crash("shop-1");
    let back = Instant::now();
    world.redis.restart();
    wait_held(&remediation, "hold_off", 1);
    assert_eq!(world.wait_outcomes(2).results(), ["success"; 2]);
    let history = world.history();
    history.assert_quiet(back, back + LEASE);
    history.assert_all_ended();
    monitor.wait_state("shop", "healthy");
    assert_eq!(world.spent("shop"), 2, "the budget is what it was");

    // A third time: the budget is spent.
    world.redis.restart();
    world.docker.crash("shop-1");
    remediation.wait_reason("shop", "circuit_open");
    assert_eq!(world.docker.count("shop-1"), 2);
}

/// Breaks Redis, kills the component meanwhile, and mends Redis.
fn refused(breaks: &[&str], mends: &[&str], lease_is_lost: bool) {
    let world = World::new().component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    world.redis.must(breaks);
    if lease_is_lost {
        until("nobody may act", || (!remediation.leads()).then_some(()));
    }
    let from = Instant::now();
    world.docker.crash("shop-1");
    throughout(Duration::from_secs(5), "nothing is repaired", || world.docker.acts().is_empty());
    let to = Instant::now();
    world.redis.must(mends);
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    let history = world.history();
    history.assert_quiet(from, to);
    history.assert_all_ended();
    assert_eq!(world.docker.count("shop-1"), 1);
}

#[test]
fn a_redis_that_became_a_replica_is_as_good_as_none() {
    refused(&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"], true);
}

#[test]
fn a_redis_without_memory_is_as_good_as_none() {
    // A lease that is there can still be renewed.
    refused(&["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"], false);
}

#[test]
fn a_redis_that_is_busy_with_a_script_is_as_good_as_none() {
    let world = World::new().component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    world.redis.must(&["CONFIG", "SET", "lua-time-limit", "100"]);
    let (from, to) = thread::scope(|scope| {
        // It is answered when it is killed.
        scope.spawn(|| world.redis.command(&["EVAL", "while true do end", "0"]));
        wait_held(&remediation, "coordination_unavailable", 1);
        let from = Instant::now();
        world.docker.crash("shop-1");
        throughout(Duration::from_secs(4), "nothing is done", || world.docker.acts().is_empty());
        let to = Instant::now();
        until("the script is killed", || {
            (world.redis.command(&["SCRIPT", "KILL"]) == "+OK").then_some(())
        });
        (from, to)
    });
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    world.history().assert_quiet(from, to);
    assert_eq!(world.docker.count("shop-1"), 1);
}

#[test]
fn a_redis_that_freezes_while_it_acts_costs_no_second_action() {
    let world = World::new().component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    let gate = Gate::default();
    world.docker.on_restart("shop-1", Restart::AnsweredLate(gate.clone()));
    world.docker.crash("shop-1");
    world.docker.wait_acts(1);
    world.redis.freeze();
    gate.open();
    wait_held(&remediation, "coordination_unavailable", 1);
    throughout(LEASE, "it is not repeated", || world.docker.acts().len() == 1);
    world.redis.thaw();
    world.wait_outcomes(1);
    monitor.wait_state("shop", "healthy");
    world.history().assert_all_ended();
    assert_eq!((world.docker.acts().len(), world.spent("shop")), (1, 1));
}
