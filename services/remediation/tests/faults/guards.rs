//! When nothing may be done, although something is broken.

use std::time::Duration;

use mcpmon_coordination::Incident;
use mcpmon_coordination::incident::{self, Failure, Origin};
use mcpmon_testkit::http_script::Gate;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{World, now, throughout, until};

#[test]
fn when_everything_fails_at_once_nothing_is_restarted_and_one_message_says_so() {
    let names = ["shop", "cart", "mail"];
    let world = names.iter().fold(World::new(), |world, name| world.component(name));
    let monitor = world.monitor();
    for name in names {
        monitor.wait_state(name, "healthy");
    }
    let remediation = world.leader("a");
    // The monitor notices them one after the other.
    let gates = names.map(|name| world.docker.hold_look(&format!("{name}-1"), 0));
    for name in names {
        world.docker.crash(&format!("{name}-1"));
    }
    for name in names {
        monitor.wait_state(name, "unhealthy");
    }
    gates.iter().for_each(Gate::open);
    for name in names {
        remediation.wait_reason(name, "storm");
    }
    world.slack.wait("storm: nothing is repaired");
    throughout(Duration::from_secs(3), "no restart", || world.docker.acts().is_empty());
    assert_eq!(world.slack.count("storm"), 1, "{:?}", world.slack.titles());
    // When all but one are well again, that one is.
    for name in ["shop", "cart"] {
        world.docker.somebody_restarts(&format!("{name}-1"), true);
    }
    // One that was about to be restarted when the storm came was refused.
    until("it is repaired", || (!world.history().repaired().is_empty()).then_some(()));
    assert_eq!((world.docker.acts().len(), world.docker.count("mail-1")), (1, 1));
    world.history().assert_all_ended();
}

#[test]
fn what_depends_on_something_that_is_down_is_left_alone() {
    let world = World::new();
    let port = world.server("root-1");
    let world = world
        .watch("root", &format!("kind = \"redis\"\nurl = \"redis://127.0.0.1:{port}\""))
        .component_with("shop", "depends_on = [\"root\"]", "mode = \"act\"");
    let monitor = world.monitor();
    monitor.wait_state("root", "healthy");
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    world.docker.crash("root-1");
    monitor.wait_state("root", "unhealthy");
    world.docker.crash("shop-1");
    remediation.wait_reason("shop", "storm");
    throughout(Duration::from_secs(2), "no restart", || world.docker.acts().is_empty());
    world.docker.somebody_restarts("root-1", true);
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    assert_eq!(world.docker.count("shop-1"), 1);
}

#[test]
fn one_of_two_components_is_repaired() {
    let world = World::new().component("shop").component("cart");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    monitor.wait_state("cart", "healthy");
    let _remediation = world.leader("a");
    world.docker.crash("cart-1");
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    monitor.wait_state("cart", "healthy");
    assert_eq!((world.docker.count("cart-1"), world.docker.count("shop-1")), (1, 0));
}

#[test]
fn the_last_healthy_one_of_a_group_is_not_risked_and_a_group_that_is_down_is_left_to_people() {
    let group = |name: &'static str| {
        move |world: World| world.component_with(name, "group = \"shops\"", "mode = \"act\"")
    };
    let world =
        ["shop", "cart", "mail"].iter().fold(World::new(), |world, name| group(name)(world));
    let world = ["x", "y", "z"].iter().fold(world, |world, name| world.component(name));
    let world = world.key("groups.shops.min_healthy", "2");
    let monitor = world.monitor();
    for name in ["shop", "cart", "mail", "x", "y", "z"] {
        monitor.wait_state(name, "healthy");
    }
    let remediation = world.leader("a");
    // Two others are well.
    world.docker.crash("shop-1");
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    monitor.wait_state("shop", "healthy");
    // Of two that are down, each has only one other that is well.
    world.docker.pretend("shop-1", Some("restarting"));
    world.docker.crash("shop-1");
    remediation.wait_reason("shop", "native_supervisor");
    world.docker.crash("cart-1");
    remediation.wait_reason("cart", "min_healthy");
    world.docker.pretend("shop-1", None);
    remediation.wait_reason("shop", "min_healthy");
    let acts = world.docker.acts().len();
    world.docker.crash("mail-1");
    monitor.wait_state("mail", "unhealthy");
    throughout(Duration::from_secs(2), "none", || world.docker.acts().len() == acts);
    world.history().assert_all_ended();
}

#[test]
fn a_pause_is_kept_whatever_others_do_and_ends_by_itself() {
    let world = World::new().component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    let from = Instant::now();
    let pause = json!({ "component": "shop", "seconds": 6, "reason": "an upgrade" });
    assert_eq!(remediation.operate("/api/v1/maintenance", &pause).status, 200);
    world.docker.crash("shop-1");
    monitor.wait_state("shop", "unhealthy");
    // Something else restarts it, in vain.
    world.docker.somebody_restarts("shop-1", false);
    throughout(Duration::from_secs(5).saturating_sub(from.elapsed()), "it is paused", || {
        world.docker.acts().is_empty()
    });
    world.history().assert_quiet(from, from + Duration::from_secs(5));
    // It is somebody else's run that fails now; when that is over and it fails anew it is ours.
    world.docker.somebody_restarts("shop-1", true);
    monitor.wait_state("shop", "healthy");
    until("the pause is over", || (from.elapsed() > Duration::from_secs(6)).then_some(()));
    world.docker.crash("shop-1");
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    world.history().assert_all_ended();
}

#[test]
fn a_pause_that_ends_lets_the_repair_go_on() {
    let world = World::new().component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    world.docker.pretend("shop-1", Some("restarting"));
    world.docker.crash("shop-1");
    remediation.wait_reason("shop", "native_supervisor");
    let pause = json!({ "component": "_all", "seconds": 600, "reason": "an upgrade" });
    assert_eq!(remediation.operate("/api/v1/maintenance", &pause).status, 200);
    remediation.wait_reason("shop", "maintenance");
    world.docker.pretend("shop-1", None);
    throughout(Duration::from_secs(2), "it is paused", || world.docker.acts().is_empty());
    let ended = remediation.send("DELETE", "/api/v1/maintenance/_all", crate::support::OPERATE, "");
    assert_eq!(ended.status, 204, "{ended:?}");
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
}

#[test]
fn a_pause_in_the_last_moment_is_a_pause() {
    let world = World::new().component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    let gate = world.docker.hold_look("shop-1", 1);
    world.docker.crash("shop-1");
    world.docker.wait_looks("shop-1", 2);
    let pause = json!({ "component": "shop", "seconds": 600, "reason": "an upgrade" });
    assert_eq!(remediation.operate("/api/v1/maintenance", &pause).status, 200);
    gate.open();
    let history = world.wait_outcomes(1);
    assert_eq!(history.results(), ["refused"]);
    assert!(history.notes()[0].contains("it is in maintenance by now"), "{history:?}");
    throughout(Duration::from_secs(2), "it is paused", || world.docker.acts().is_empty());
}

#[test]
fn what_needs_approval_waits_for_a_person() {
    let world = World::new().component_with("shop", "", "mode = \"approve\"");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    world.docker.crash("shop-1");
    remediation.wait_reason("shop", "awaiting_approval");
    world.slack.wait("a repair of shop waits for approval");
    throughout(Duration::from_secs(1), "it waits", || world.docker.acts().is_empty());
    let approve = |key: &str| remediation.operate("/api/v1/approve", &json!({ "key": key }));
    assert_eq!(approve("shop@1").status, 409);
    let key = world.wait_incident("shop").key;
    assert_eq!(approve(&key).status, 200);
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    assert_eq!(world.docker.count("shop-1"), 1);
}

#[test]
fn what_nobody_approved_in_time_cannot_be_approved_any_more() {
    let world = World::new()
        .monitor_key("interval_seconds", "300")
        .monitor_key("recheck_seconds", "60")
        .component_with("shop", "", "mode = \"approve\"");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    world.docker.crash("shop-1");
    // Ten minutes ago, but for two seconds.
    let at = now() - 598_000;
    let incident =
        Incident::new("shop", "redis", Failure::ConnectionRefused, Origin::Monitor, at, at);
    world.ask(async |store| incident::open(store, &incident).await).unwrap();
    remediation.wait_reason("shop", "awaiting_approval");
    remediation.wait_reason("shop", "expired");
    let late = remediation.operate("/api/v1/approve", &json!({ "key": incident.key }));
    assert_eq!(late.status, 409, "{late:?}");
    throughout(Duration::from_secs(1), "nothing is done", || world.docker.acts().is_empty());
}

#[test]
fn a_monitor_that_stands_still_cannot_verify_so_nothing_is_done() {
    let world = World::new().component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    monitor.freeze();
    let from = Instant::now();
    // Twenty intervals.
    throughout(Duration::from_secs(20), "nothing is known", || world.docker.acts().is_empty());
    world.docker.crash("shop-1");
    world.report("shop", Origin::Monitor);
    remediation.wait_reason("shop", "inventory_old");
    let to = Instant::now();
    monitor.thaw();
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    world.history().assert_quiet(from, to);
    assert_eq!(world.docker.count("shop-1"), 1);
}

#[test]
fn what_queued_up_is_looked_at_anew() {
    let world = World::new().component("shop").component("cart");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    monitor.wait_state("cart", "healthy");
    drop(world.leader("a"));
    world.docker.crash("shop-1");
    world.docker.crash("cart-1");
    world.wait_incident("shop");
    world.wait_incident("cart");
    // One gets well while nobody is there to repair it.
    world.docker.somebody_restarts("cart-1", true);
    monitor.wait_state("cart", "healthy");
    let _remediation = world.remediation("a");
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    throughout(Duration::from_secs(2), "one action", || world.docker.acts().len() == 1);
    assert_eq!(world.docker.count("shop-1"), 1);
    world.history().assert_all_ended();
}
