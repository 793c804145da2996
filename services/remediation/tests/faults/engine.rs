//! What the engine and the containers do wrong.

use std::time::Duration;

use mcpmon_testkit::http_script::Gate;
use mcpmon_testkit::metric::metric;

use crate::support::{Restart, World, throughout};

#[test]
fn a_component_that_was_killed_is_restarted_once_and_verified() {
    let world = World::new().component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    world.docker.crash("shop-1");
    let history = world.wait_outcomes(1);
    assert_eq!(history.results(), ["success"]);
    monitor.wait_state("shop", "healthy");
    world.slack.wait("shop was repaired");
    metric("mcp_remediation_actions_total")
        .label("component", "shop")
        .label("result", "success")
        .value(1)
        .assert_in(&remediation.metrics());
    world.history().assert_all_ended();
    assert_eq!((world.docker.count("shop-1"), world.spent("shop")), (1, 1));
}

#[test]
fn one_that_hangs_is_restarted_too() {
    let world = World::new().component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let _remediation = world.leader("a");
    world.docker.hang("shop-1");
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    monitor.wait_state("shop", "healthy");
    assert_eq!(world.docker.count("shop-1"), 1);
}

#[test]
fn a_restart_that_never_helps_is_tried_as_often_as_the_budget_says_and_a_person_is_called() {
    let world = World::new()
        .key("attempts", "3")
        .key("cool_down_seconds", "0.5")
        .key("verify_seconds", "0.5")
        .component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    world.docker.on_restart("shop-1", Restart::Dies);
    world.docker.crash("shop-1");
    remediation.wait_reason("shop", "circuit_open");
    world.slack.wait("shop needs a person");
    throughout(Duration::from_secs(3), "no further action", || world.docker.acts().len() == 3);
    let history = world.wait_outcomes(3);
    history.assert_pauses(Duration::from_millis(500));
    let acts = world.docker.acts();
    let last = acts[2].began - acts[1].began;
    assert!(last >= Duration::from_millis(900), "the pauses grow: {last:?}");
    assert_eq!(history.results(), ["unverified"; 3]);
    history.assert_all_ended();
    assert_eq!(world.slack.count("needs a person"), 1, "{:?}", world.slack.titles());
    metric("mcp_remediation_circuit_open")
        .label("component", "shop")
        .value(1)
        .assert_in(&remediation.metrics());
    // A person repairs it, and closes the circuit.
    world.docker.on_restart("shop-1", Restart::Works);
    let closed = remediation.operate("/api/v1/circuits/shop/close", &serde_json::Value::Null);
    assert!(closed.status < 300, "{closed:?}");
    assert_eq!(world.wait_outcomes(4).results()[3], "success");
}

#[test]
fn a_slow_starter_is_restarted_once() {
    let world = World::new().key("verify_seconds", "10").component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let _remediation = world.leader("a");
    world.docker.on_restart("shop-1", Restart::Slow(Duration::from_secs(4)));
    world.docker.crash("shop-1");
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    monitor.wait_state("shop", "healthy");
    assert_eq!(world.docker.count("shop-1"), 1);
    world.history().assert_all_ended();
}

#[test]
fn a_restart_that_says_it_was_done_and_was_not_leads_up_the_ladder() {
    let world = World::new().key("verify_seconds", "0.5");
    let port = world.server("shop-1");
    world.docker.crash("shop-1");
    world.serve_on("front-1", port);
    let world = world
        .watch("shop", &format!("kind = \"redis\"\nurl = \"redis://127.0.0.1:{port}\""))
        .target("front-1")
        .target("shop-1")
        .rule("shop", "mode = \"act\"\nladder = [\"front-1\", \"shop-1\"]");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let _remediation = world.leader("a");
    world.docker.on_restart("front-1", Restart::Lies);
    world.docker.crash("front-1");
    let history = world.wait_outcomes(2);
    assert_eq!(history.results(), ["unverified", "success"]);
    history.assert_all_ended();
    let containers: Vec<_> = world.docker.acts().into_iter().map(|act| act.container).collect();
    assert_eq!(containers, ["front-1", "shop-1"]);
    world.slack.wait("a repair of shop did not help");
    world.slack.wait("shop was repaired");
}

#[test]
fn an_engine_that_hangs_is_in_doubt_and_gets_no_second_call() {
    let world = World::new().key("verify_seconds", "0.5").key("attempts", "9").component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let _remediation = world.leader("a");
    let gate = Gate::default();
    world.docker.on_restart("shop-1", Restart::DoneLate(gate.clone()));
    world.docker.crash("shop-1");
    world.wait_outcomes(1);
    let history = world.wait_outcomes(2);
    assert_eq!(history.results()[..2], ["unknown", "refused"]);
    assert!(history.notes()[1].contains("an earlier call has not been answered"), "{history:?}");
    assert_eq!(world.docker.acts().len(), 1, "the call is still in flight");
    world.slack.wait("a repair of shop is in doubt");
    world.docker.on_restart("shop-1", Restart::Works);
    gate.open();
    monitor.wait_state("shop", "healthy");
    world.history().assert_sound();
}

#[test]
fn a_container_that_its_engine_restarts_is_left_to_it() {
    let world = World::new().component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    world.docker.pretend("shop-1", Some("restarting"));
    world.docker.crash("shop-1");
    remediation.wait_reason("shop", "native_supervisor");
    throughout(Duration::from_secs(2), "it is left alone", || world.docker.acts().is_empty());
    world.docker.pretend("shop-1", None);
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
}

#[test]
fn a_target_that_is_gone_is_not_acted_on() {
    let world = World::new().component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    world.docker.crash("shop-1");
    world.docker.remove("shop-1");
    remediation.wait_reason("shop", "target_absent");
    throughout(Duration::from_secs(1), "nothing is done", || world.docker.acts().is_empty());
    assert!(world.history().results().is_empty());
    assert_eq!(world.spent("shop"), 0);
}

#[test]
fn whoever_was_faster_leaves_nothing_to_do() {
    for second_look in [false, true] {
        let world = World::new().component("shop");
        let monitor = world.monitor();
        monitor.wait_state("shop", "healthy");
        let remediation = world.leader("a");
        let gate = world.docker.hold_look("shop-1", usize::from(second_look));
        world.docker.crash("shop-1");
        world.docker.wait_looks("shop-1", 1 + usize::from(second_look));
        // Somebody else restarts it, and that does not help.
        world.docker.somebody_restarts("shop-1", false);
        gate.open();
        remediation.wait_reason("shop", "generation_changed");
        throughout(Duration::from_secs(2), "it is left alone", || world.docker.acts().is_empty());
        let history = world.history();
        history.assert_all_ended();
        let expected: &[&str] = if second_look { &["refused"] } else { &[] };
        assert_eq!(history.results(), expected);
    }
}
