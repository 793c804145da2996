//! Several replicas behave as one.

use mcpmon_testkit::http_script::Gate;
use mcpmon_testkit::redis_server::{Persistence, RedisServer};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Kind, Monitor, Slack, Target, Way, World, assert_sound, history, until};

/// What must be the same on every replica.
fn shared(monitor: &Monitor) -> Vec<Value> {
    let report = monitor.report();
    let components = report["components"].as_array().unwrap();
    let pick = |component: &Value| {
        let keys = ["name", "state", "since", "up", "consecutive_failures", "tools"];
        keys.iter().map(|key| component[key].clone()).collect::<Value>()
    };
    components.iter().map(pick).collect()
}

#[test]
fn three_replicas_send_one_message_and_one_recovery_with_the_duration() {
    let (redis, slack, target) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start());
    let world = World::new(&slack).redis(redis.port()).http("api", &target, "");
    let monitors = ["a", "b", "c"].map(|replica| world.start(replica));
    for monitor in &monitors {
        monitor.wait_state("api", "healthy");
    }
    // One replica checks per slot.
    let (slot, asked) = (history(&redis, "api").last_slot(), target.checks());
    target.rounds(8);
    let counted = history(&redis, "api");
    let slots = counted.recent().filter(|(at, _)| Some(*at) > slot).count();
    let asked = target.checks() - asked;
    assert!(asked <= slots + 2, "{asked} checks for {slots} slots");

    target.set(Way::Down);
    let opened = slack.wait_for("api", Kind::Opened);
    target.rounds(15);
    assert_eq!(slack.of("api"), [Kind::Opened]);

    target.set(Way::Ok);
    let recovered = slack.wait_for("api", Kind::Recovered);
    assert_eq!(recovered.key, opened.key);
    assert!(recovered.text.starts_with("down for "), "{recovered:?}");
    let healthy = |monitor: &Monitor| monitor.component("api")["state"] == "healthy";
    let states = || monitors.each_ref().map(shared);
    until("the replicas agree", || {
        let [a, b, c] = states();
        (a == b && b == c && monitors.iter().all(healthy)).then_some(())
    });
    target.rounds(5);
    slack.assert_sound(true);
    assert_eq!(slack.told().len(), 2);
    // A check that was answered badly counted once.
    let failures = target.failures();
    for monitor in monitors {
        assert!(monitor.terminate().success());
    }
    let history = history(&redis, "api");
    assert_sound(&history);
    assert!(history.recent_failures() <= failures, "{history:?}");
}

#[test]
fn a_replica_killed_in_the_middle_of_a_check_is_replaced() {
    let (redis, slack, target) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start());
    let world = World::new(&slack).redis(redis.port()).http("api", &target, "");
    let first = world.start("a");
    first.wait_state("api", "healthy");
    let gate = Gate::default();
    target.set(Way::Held(gate.clone()));
    target.rounds(1);
    // It holds the lease of the probe and the one to notify, and takes both with it.
    first.kill();
    gate.open();
    target.set(Way::Down);
    let second = world.start("b");
    let opened = slack.wait_for("api", Kind::Opened);
    target.set(Way::Ok);
    assert_eq!(slack.wait_for("api", Kind::Recovered).key, opened.key);
    second.wait_state("api", "healthy");
    slack.assert_sound(true);
    assert_eq!(slack.told().len(), 2);
    assert_sound(&history(&redis, "api"));
}

#[test]
fn a_lease_that_ends_early_or_late_neither_counts_twice_nor_stops_the_checks() {
    const LEASE: &str = "mcpmon::lease:probe:api";
    let (redis, slack, target) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start());
    let world = World::new(&slack).redis(redis.port()).http("api", &target, "timeout_seconds = 20");
    let first = world.start("a");
    first.wait_state("api", "healthy");
    let gate = Gate::default();
    target.set(Way::Held(gate.clone()));
    target.rounds(1);
    first.signal(Signal::STOP);
    let second = world.start("b");
    // Early: the holder is in the middle of its check.
    redis.must(&["PEXPIRE", LEASE, "1"]);
    target.set(Way::Down);
    second.wait("it took over", |report| report["components"][0]["consecutive_failures"] != 0);
    first.signal(Signal::CONT);
    gate.open();
    slack.wait_for("api", Kind::Opened);
    target.rounds(5);
    let failures = target.failures();
    let counted = history(&redis, "api");
    assert_sound(&counted);
    assert!(counted.consecutive_failures() as usize <= failures + 1, "{counted:?}");

    // Late: whoever held it is dead, and the lease goes on.
    let gate = Gate::default();
    target.set(Way::Held(gate.clone()));
    target.rounds(1);
    first.kill();
    second.kill();
    let third = world.start("c");
    redis.must(&["PEXPIRE", LEASE, "3000"]);
    gate.open();
    target.set(Way::Ok);
    slack.wait_for("api", Kind::Recovered);
    third.wait_state("api", "healthy");
    slack.assert_sound(true);
    assert_sound(&history(&redis, "api"));
}
