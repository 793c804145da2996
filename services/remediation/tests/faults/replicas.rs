//! Several replicas: at most one acts, whatever happens to the one that may.

use std::path::PathBuf;
use std::time::Duration;

use mcpmon_coordination::incident::{self, Origin};
use mcpmon_coordination::marks;
use mcpmon_testkit::http_script::Gate;
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::Instant;

use crate::support::{History, LEASE, LEASE_KEY, Program, Restart, World, now, throughout, until};

/// Waits until one of them may act, and gives it and the others.
fn leader_of(mut replicas: Vec<Program>) -> (Program, Vec<Program>) {
    let at = until("one leads", || replicas.iter().position(Program::leads));
    let leader = replicas.remove(at);
    (leader, replicas)
}

#[test]
fn two_monitors_and_two_remediations_repair_once_and_tell_once() {
    let world = World::new().component("shop");
    let monitors = [world.monitor(), world.another_monitor()];
    monitors[0].wait_state("shop", "healthy");
    let _replicas = ["a", "b"].map(|name| world.remediation(name));
    world.docker.crash("shop-1");
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    for monitor in &monitors {
        monitor.wait_state("shop", "healthy");
    }
    world.slack.wait("shop was repaired");
    throughout(Duration::from_secs(2), "one action", || world.docker.acts().len() == 1);
    assert_eq!(world.slack.count("shop was repaired"), 1, "{:?}", world.slack.titles());
    world.history().assert_all_ended();
    assert_eq!(world.spent("shop"), 1);
}

#[test]
fn a_replica_that_was_frozen_before_it_looked_does_not_act_when_it_wakes() {
    let world = World::new().component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let first = world.leader("a");
    let second = world.remediation("b");
    let gate = world.docker.hold_look("shop-1", 0);
    world.docker.crash("shop-1");
    world.docker.wait_looks("shop-1", 1);
    first.freeze();
    gate.open();
    until("the other one leads", || second.leads().then_some(()));
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    first.thaw();
    until("it knows", || (!first.leads()).then_some(()));
    throughout(Duration::from_secs(2), "it does not act", || world.docker.acts().len() == 1);
    world.history().assert_all_ended();
    assert_eq!(world.spent("shop"), 1);
}

/// Freezes the one that acts between its last look and the action, on the machine of the other or
/// on one of its own. Gives how often was acted while it stood still.
fn frozen_before_it_acts(one_machine: bool) -> usize {
    let world = World::new().key("verify_seconds", "0.5").key("act_seconds", "1");
    let world = world.component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let folders: [PathBuf; 2] = match one_machine {
        true => [world.shared_dir(), world.shared_dir()],
        false => ["machine-1", "machine-2"].map(|name| world.state(name)),
    };
    let first = world.remediation_in("a", &folders[0]);
    until("it leads", || first.leads().then_some(()));
    let _second = world.remediation_in("b", &folders[1]);
    let gate = world.docker.hold_look("shop-1", 1);
    world.docker.crash("shop-1");
    world.docker.wait_looks("shop-1", 2);
    first.freeze();
    gate.open();
    let read = || match one_machine {
        true => History::read(&folders[..1], world.docker.acts()),
        false => History::read(&folders, world.docker.acts()),
    };
    // The other one finds what it began, and that it was not done.
    until("the other one brings it to its end", || (!read().results().is_empty()).then_some(()));
    assert_eq!(read().results(), ["refused"]);
    assert!(read().notes()[0].contains("ended before it acted"), "{:?}", read().notes());
    if one_machine {
        // The frozen one holds the lock of this machine.
        throughout(Duration::from_secs(3), "nobody acts", || world.docker.acts().is_empty());
    } else {
        world.docker.wait_acts(1);
    }
    let while_frozen = world.docker.acts().len();
    first.thaw();
    monitor.wait_state("shop", "healthy");
    until("it is verified", || read().results().contains(&"success").then_some(()));
    throughout(Duration::from_secs(2), "it does not act", || world.docker.acts().len() == 1);
    if one_machine {
        read().assert_all_ended();
    }
    while_frozen
}

#[test]
fn a_replica_that_was_frozen_just_before_it_acts_does_not_act_when_it_wakes() {
    assert_eq!(frozen_before_it_acts(true), 0);
}

#[test]
fn another_machine_goes_on_while_the_first_one_is_frozen() {
    assert_eq!(frozen_before_it_acts(false), 1);
}

#[test]
fn an_action_whose_replica_was_killed_is_verified_and_not_repeated() {
    let world = World::new().component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let first = world.leader("a");
    let second = world.remediation("b");
    let gate = Gate::default();
    world.docker.on_restart("shop-1", Restart::AnsweredLate(gate.clone()));
    world.docker.crash("shop-1");
    world.docker.wait_acts(1);
    first.kill();
    gate.open();
    let history = world.wait_outcomes(1);
    assert_eq!(history.results(), ["success"]);
    assert!(history.notes()[0].contains("verified by another replica; it was done"), "{history:?}");
    until("the other one leads", || second.leads().then_some(()));
    throughout(Duration::from_secs(2), "it is not repeated", || world.docker.acts().len() == 1);
    monitor.wait_state("shop", "healthy");
    world.history().assert_all_ended();
    assert_eq!(world.spent("shop"), 1, "the budget is spent once");
}

#[test]
fn a_replica_that_comes_back_ends_what_it_began_before_it_was_killed() {
    let world = World::new().component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let first = world.leader("a");
    let gate = Gate::default();
    world.docker.on_restart("shop-1", Restart::AnsweredLate(gate.clone()));
    world.docker.crash("shop-1");
    world.docker.wait_acts(1);
    first.kill();
    gate.open();
    let _again = world.remediation("a");
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    throughout(Duration::from_secs(1), "it is not repeated", || world.docker.acts().len() == 1);
    world.history().assert_all_ended();
    assert_eq!(world.spent("shop"), 1);
}

#[test]
fn a_lease_that_ends_early_while_it_acts_leads_to_no_second_action() {
    let world = World::new().component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let first = world.leader("a");
    let second = world.remediation("b");
    let gate = Gate::default();
    world.docker.on_restart("shop-1", Restart::AnsweredLate(gate.clone()));
    world.docker.crash("shop-1");
    world.docker.wait_acts(1);
    first.freeze();
    world.redis.must(&["PEXPIRE", LEASE_KEY, "1"]);
    until("the other one leads", || second.leads().then_some(()));
    first.thaw();
    gate.open();
    world.wait_outcomes(1);
    monitor.wait_state("shop", "healthy");
    throughout(Duration::from_secs(4), "one action", || world.docker.acts().len() == 1);
    world.history().assert_all_ended();
    assert_eq!(world.spent("shop"), 1);
}

#[test]
fn a_lease_that_ends_late_is_waited_for() {
    let world = World::new().component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let first = world.leader("a");
    world.redis.must(&["PEXPIRE", LEASE_KEY, "9999999"]);
    first.kill();
    world.redis.must(&["PEXPIRE", LEASE_KEY, "9999999"]);
    let from = Instant::now();
    let second = world.remediation("b");
    world.docker.crash("shop-1");
    world.wait_incident("shop");
    throughout(LEASE * 2, "it waits", || !second.leads());
    let to = Instant::now();
    world.redis.must(&["PEXPIRE", LEASE_KEY, "1"]);
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    world.history().assert_quiet(from, to);
}

#[test]
fn an_action_that_is_under_way_at_the_end_is_finished() {
    let world = World::new().component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let mut first = world.leader("a");
    let gate = Gate::default();
    world.docker.on_restart("shop-1", Restart::AnsweredLate(gate.clone()));
    world.docker.crash("shop-1");
    world.docker.wait_acts(1);
    first.signal(Signal::TERM);
    gate.open();
    assert!(first.wait().success());
    let history = world.history();
    assert_eq!(history.results(), ["success"]);
    history.assert_all_ended();
}

#[test]
fn an_action_that_outlasts_the_grace_is_left_to_the_next_one() {
    let world = World::new().key("shutdown_grace_seconds", "0.5").component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let mut first = world.leader("a");
    let gate = Gate::default();
    world.docker.on_restart("shop-1", Restart::AnsweredLate(gate.clone()));
    world.docker.crash("shop-1");
    world.docker.wait_acts(1);
    let asked = Instant::now();
    first.signal(Signal::TERM);
    first.wait();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert!(world.history().results().is_empty());
    gate.open();
    let _second = world.remediation("b");
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    world.history().assert_all_ended();
    assert_eq!((world.docker.acts().len(), world.spent("shop")), (1, 1));
}

#[test]
fn five_replicas_act_once_for_each_of_two_hundred_incidents() {
    const ROUNDS: usize = 200;
    let mut random = fastrand::Rng::with_seed(20_261_125);
    let world = World::new()
        .monitor_key("interval_seconds", "300")
        .monitor_key("recheck_seconds", "60")
        .key("verify_every_seconds", "0.03")
        .key("verify_checks", "1")
        .key("grace_seconds", "0")
        .key("attempts", "100")
        .key("system_attempts", "10000")
        .key("window_seconds", "1")
        .key("cool_down_seconds", "0.01")
        .key("longest_pause_seconds", "0.01")
        .component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let replicas = ["a", "b", "c", "d", "e"].map(|name| world.remediation(name));
    let (_leader, _others) = leader_of(replicas.into());
    let mut opened = Vec::new();
    for round in 1..=ROUNDS {
        world.docker.crash("shop-1");
        std::thread::sleep(Duration::from_millis(random.u64(2..20)));
        // The monitor has not seen enough yet; it would end an incident of its own.
        opened.push(world.report("shop", Origin::Alertmanager).key);
        if random.u8(0..4) == 0 {
            // In the middle of whatever they do, it is another one's turn.
            std::thread::sleep(Duration::from_millis(random.u64(0..60)));
            world.redis.must(&["DEL", LEASE_KEY]);
        }
        until("it is repaired", || (world.history().repaired().len() >= round).then_some(()));
        // Or the monitor, which counts too, would see one trouble in several rounds. Checks during a
        // repair do not count.
        until("it is over", || {
            let repairing = world.ask(async |store| marks::is_repairing(store, "shop").await);
            (!repairing.unwrap()).then_some(())
        });
        for _ in 0..6 {
            let checked = monitor.operate("/api/v1/components/shop/check", &Value::Null);
            assert_eq!(checked.status, 200, "{checked:?}");
        }
        let resolved = now();
        world.ask(async |store| incident::resolve(store, "shop", resolved).await).unwrap();
    }
    let history = world.history();
    history.assert_all_ended();
    // One that lost its turn at the last moment is on record as refused, and did nothing.
    assert!(history.results().iter().all(|it| ["success", "refused"].contains(it)), "{history:?}");
    assert_eq!(world.docker.acts().len(), ROUNDS);
    let mut done = history.repaired();
    done.sort();
    opened.sort();
    assert_eq!(done, opened);
}
