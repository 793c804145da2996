//! The monitor's own process is stopped, told to read its configuration again, and ended.

use std::process::Command;

use mcpmon_testkit::http_script::Gate;
use mcpmon_testkit::metric::metric;
use mcpmon_testkit::redis_server::{Persistence, RedisServer};
use rustix::process::Signal;

use crate::support::{Kind, Monitor, Slack, Target, Way, World, assert_sound, history, until};

/// Another monitor of another component, whose checks are the clock while the first is stopped.
struct Clock {
    target: Target,
    _slack: Slack,
    _world: World,
    _monitor: Monitor,
}

impl Clock {
    fn start() -> Self {
        let (target, slack) = (Target::start(), Slack::start());
        let world = World::new(&slack).http("clock", &target, "");
        let monitor = world.start("clock");
        monitor.wait_state("clock", "healthy");
        Self { target, _slack: slack, _world: world, _monitor: monitor }
    }

    fn intervals(&self, count: usize) {
        self.target.rounds(count);
    }
}

fn missed(monitor: &Monitor) -> f64 {
    metric("mcp_component_checks_missed_total").label("component", "api").sum_in(&monitor.metrics())
}

#[test]
fn a_monitor_stopped_for_twenty_intervals_counts_them_as_missed_and_makes_up_for_none() {
    let (redis, slack, target) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start());
    let world = World::new(&slack).redis(redis.port()).http("api", &target, "");
    let (monitor, clock) = (world.start("a"), Clock::start());
    monitor.wait_state("api", "healthy");
    let before = missed(&monitor);
    let last = || history(&redis, "api").last_slot();
    let slot = last();
    until("a check is over", || (last() > slot).then_some(()));
    monitor.signal(Signal::STOP);
    let asked = target.checks();
    clock.intervals(20);
    monitor.signal(Signal::CONT);
    clock.intervals(8);
    let caught_up = target.checks() - asked;
    assert!(caught_up <= 8 + 2, "{caught_up} checks in eight intervals are a burst");
    let missed = missed(&monitor) - before;
    assert!((15.0..=24.0).contains(&missed), "{missed}");
    assert!(slack.told().is_empty(), "{:?}", slack.told());
    monitor.wait_state("api", "healthy");
    let counted = history(&redis, "api");
    assert_eq!(counted.recent_failures(), 0, "{counted:?}");
    assert_sound(&counted);
}

fn wait_reload(monitor: &Monitor, successful: u8) {
    until(&format!("mcp_config_last_reload_successful {successful}"), || {
        let is = metric("mcp_config_last_reload_successful").value(successful);
        (!is.find(&monitor.metrics()).is_empty()).then_some(())
    });
}

#[test]
fn a_bad_file_changes_nothing_and_a_good_one_in_mid_streak_keeps_the_streak() {
    let (redis, slack, target, other) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start(), Target::start());
    let mut world = World::new(&slack).redis(redis.port()).http("api", &target, "");
    let monitor = world.start("a");
    monitor.wait_state("api", "healthy");
    wait_reload(&monitor, 1);

    world.replace("recheck_seconds = 0.2", "recheck_seconds = \"often\"");
    world.write();
    monitor.signal(Signal::HUP);
    wait_reload(&monitor, 0);
    let log = monitor.log();
    assert!(log.contains("the configuration stays as it was"), "{log}");
    assert!(log.contains("health_monitor.recheck_seconds"), "{log}");
    target.rounds(3);

    target.set(Way::Down);
    target.rounds(2);
    world.replace("recheck_seconds = \"often\"", "recheck_seconds = 0.2");
    let world = world.http("other", &other, "");
    world.write();
    monitor.signal(Signal::HUP);
    wait_reload(&monitor, 1);
    monitor.wait_state("other", "healthy");
    slack.wait_for("api", Kind::Opened);
    let failures = || history(&redis, "api").consecutive_failures() as usize;
    until("each failure counted", || (failures() >= target.failures()).then_some(()));
    target.set(Way::Ok);
    slack.wait_for("api", Kind::Recovered);
    slack.assert_sound(true);
    assert_sound(&history(&redis, "api"));
}

#[test]
fn a_monitor_told_to_stop_in_a_check_ends_within_its_grace_and_leaves_nothing_half_done() {
    let (redis, slack, target) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start());
    let mut world =
        World::new(&slack).redis(redis.port()).http("api", &target, "timeout_seconds = 600");
    let monitor = world.start("a");
    monitor.wait_state("api", "healthy");
    let gate = Gate::default();
    target.set(Way::Held(gate.clone()));
    target.rounds(1);
    let before = history(&redis, "api");
    assert!(monitor.terminate().success());
    assert_eq!(history(&redis, "api"), before);

    // A check that ends within the grace counts.
    redis.must(&["DEL", "mcpmon::lease:probe:api"]);
    world.replace("shutdown_grace_seconds = 3", "shutdown_grace_seconds = 60");
    let monitor = world.start("a");
    target.rounds(1);
    monitor.signal(Signal::TERM);
    until("it is stopping", || monitor.log().contains("stopping").then_some(()));
    gate.open();
    assert!(monitor.terminate().success());
    let after = history(&redis, "api");
    assert!(after.last_slot() > before.last_slot(), "{after:?}");
    assert_sound(&after);
    assert!(slack.told().is_empty());
}

/// Allows the process no file descriptor more than it has.
fn limit_files(monitor: &Monitor, limit: Option<u64>) {
    let limit = limit.map_or("1024".to_owned(), |limit| limit.to_string());
    let pid = monitor.id().to_string();
    let done = Command::new("prlimit")
        .args(["--pid", &pid, &format!("--nofile={limit}:4096")])
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

fn first_free_file(monitor: &Monitor) -> u64 {
    let open = std::fs::read_dir(format!("/proc/{}/fd", monitor.id())).unwrap();
    let open: std::collections::BTreeSet<u64> =
        open.map(|it| it.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    (0..).find(|number| !open.contains(number)).unwrap()
}

#[test]
fn without_file_descriptors_nothing_counts_and_the_monitor_says_that_it_is_degraded() {
    let (redis, slack, target) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start());
    let world = World::new(&slack).redis(redis.port()).http("api", &target, "");
    let monitor = world.start("a");
    monitor.wait_state("api", "healthy");
    let mut scraper = monitor.keep();
    scraper.get("/metrics");
    let mut limit = u64::MAX;
    // Metrics are served over the connection that Prometheus has.
    let unknown =
        metric("mcp_component_state").label("component", "api").label("state", "unknown").value(1);
    until("the component is unknown", || {
        // Some are only in use for the moment.
        limit = limit.min(first_free_file(&monitor));
        limit_files(&monitor, Some(limit));
        (!unknown.find(&scraper.get("/metrics")).is_empty()).then_some(())
    });
    let counted = history(&redis, "api");
    assert_eq!(counted.recent_failures(), 0, "{counted:?}");
    let log = until("three checks are blind", || {
        let log = monitor.log();
        log.contains("messages do not arrive").then_some(log)
    });
    assert!(log.contains("Too many open files"), "{log}");
    limit_files(&monitor, None);
    slack.wait(|told| told.iter().any(|told| told.component == "monitor"));
    monitor.wait_state("api", "healthy");
    slack.wait(|told| told.iter().any(|told| told.kind != Kind::Opened));
    slack.assert_sound(true);
    assert!(slack.of("api").is_empty(), "{:?}", slack.told());
    assert_eq!(history(&redis, "api").recent_failures(), 0);
}

#[test]
fn a_broken_resolver_is_our_own_trouble_and_never_red() {
    assert!(rustix::process::getuid().is_root(), "this test must run as root: it mounts a file");
    let slack = Slack::start();
    let redis = RedisServer::start(Persistence::Aof);
    let named = "kind = \"http\"\nurl = \"http://NAME.mcpmon.example/health\"";
    let world = World::new(&slack)
        .redis(redis.port())
        .component("one", &named.replace("NAME", "one"))
        .component("two", &named.replace("NAME", "two"));
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("resolv.conf");
    // Nobody listens there.
    std::fs::write(&broken, "nameserver 127.0.0.153\noptions timeout:1 attempts:1\n").unwrap();
    let mount = format!("mount --bind {} /etc/resolv.conf && exec \"$0\" \"$@\"", broken.display());
    let under = ["unshare", "-m", "sh", "-c", &mount];
    let monitor = Monitor::start_under(&under, &world.write(), &world.state("a"));
    let degraded = slack.wait_for("monitor", Kind::Opened);
    assert!(degraded.text.contains("resolver"), "{degraded:?}");
    let mut checks = std::collections::BTreeSet::new();
    monitor.wait("twelve checks more", |report| {
        assert_ne!(report["overall"]["status"], "red", "{report:#}");
        for component in report["components"].as_array().unwrap() {
            assert_eq!(component["state"], "unknown", "{component:#}");
            checks.insert(component["last_check"].to_string());
        }
        checks.len() >= 12
    });
    assert_eq!(slack.told().len(), 1, "{:?}", slack.told());
    assert_eq!(history(&redis, "one").recent().count(), 0);
}

#[test]
fn a_monitor_without_the_processor_blames_nobody() {
    let (redis, slack, target) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start());
    let world = World::new(&slack).redis(redis.port()).http("api", &target, "");
    let (monitor, clock) = (world.start("a"), Clock::start());
    monitor.wait_state("api", "healthy");
    // Each check meets a stop that is longer than its deadline.
    for _ in 0..4 {
        let gate = Gate::default();
        target.set(Way::Held(gate.clone()));
        target.rounds(1);
        monitor.signal(Signal::STOP);
        clock.intervals(6);
        monitor.signal(Signal::CONT);
        until("the late check is over", || {
            (monitor.component("api")["state"] == "unknown").then_some(())
        });
        gate.open();
    }
    target.set(Way::Ok);
    monitor.wait_state("api", "healthy");
    assert_eq!(history(&redis, "api").recent_failures(), 0);
    assert!(slack.of("api").is_empty(), "{:?}", slack.told());
}
