//! Messages on their way to Slack: none is lost, and none is told twice without need.

use mcpmon_testkit::http_script::{Answer, Gate};
use mcpmon_testkit::metric::metric;
use mcpmon_testkit::redis_server::{Persistence, RedisServer};

use crate::support::{Kind, Slack, Target, Way, World, assert_sound, history, until};

#[test]
fn a_monitor_killed_before_slack_said_yes_tells_again_by_the_same_key() {
    let (redis, slack, target) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start());
    let world = World::new(&slack).redis(redis.port()).http("api", &target, "");
    let gate = Gate::default();
    slack.hold(&gate);
    let monitor = world.start("a");
    monitor.wait_state("api", "healthy");
    target.set(Way::Down);
    slack.wait_attempts(1);
    monitor.kill();
    gate.open();
    let before = history(&redis, "api").consecutive_failures();
    assert!(before >= 3);

    let monitor = world.start("a");
    // The dead one's right to tell must end first.
    let told = slack.wait(|told| told.len() >= 2);
    assert_eq!(told[0].key, told[1].key);
    assert_eq!(slack.of("api"), [Kind::Opened, Kind::Opened]);
    assert!(history(&redis, "api").consecutive_failures() > before, "the streak is kept");
    target.set(Way::Ok);
    assert_eq!(slack.wait_for("api", Kind::Recovered).key, told[0].key);
    monitor.wait_state("api", "healthy");
    target.rounds(5);
    assert_eq!(slack.told().len(), 3);
    assert_sound(&history(&redis, "api"));
}

#[test]
fn while_slack_refuses_checks_go_on_and_then_each_incident_is_told_once_in_order() {
    let (redis, slack, api, database) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start(), Target::start());
    let never = Gate::default();
    slack.refuse(Answer::status(429, "").with_header("Retry-After", "1"));
    slack.refuse(Answer::status(500, "oops"));
    slack.refuse(Answer::Close);
    slack.refuse(Answer::status(200, "ok").after(&never));
    let world = World::new(&slack)
        .redis(redis.port())
        .http("api", &api, "")
        .http("database", &database, "");
    let monitor = world.start("a");
    monitor.wait_state("api", "healthy");
    monitor.wait_state("database", "healthy");
    api.set(Way::Down);
    slack.wait_attempts(1);
    database.set(Way::Down);
    monitor.wait_state("database", "unhealthy");
    api.set(Way::Ok);
    // Checks are unaffected.
    monitor.wait_state("api", "healthy");
    database.rounds(10);

    slack.wait_for("database", Kind::Opened);
    let told: Vec<_> =
        slack.told().into_iter().map(|told| (told.message, told.component, told.kind)).collect();
    assert_eq!(
        told,
        [(0, "database".to_owned(), Kind::Opened), (0, "api".to_owned(), Kind::OpenedAndRecovered)]
    );
    database.set(Way::Ok);
    slack.wait_for("database", Kind::Recovered);
    slack.assert_sound(true);
    let result = |result| metric("mcp_health_alerts_total").label("result", result);
    // People see a message before the monitor knows that they do.
    let text = until("both messages are counted", || {
        Some(monitor.metrics()).filter(|text| result("sent").sum_in(text) == 2.0)
    });
    for (what, count) in [("failed", 3), ("rate_limited", 1), ("rejected", 0)] {
        result(what).value(count).assert_in(&text);
    }
    never.open();
}

#[test]
fn what_recovered_while_no_monitor_ran_is_told_by_the_next() {
    let (redis, slack, target) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start());
    let world = World::new(&slack).redis(redis.port()).http("api", &target, "");
    let monitor = world.start("a");
    monitor.wait_state("api", "healthy");
    target.set(Way::Down);
    let opened = slack.wait_for("api", Kind::Opened);
    assert!(monitor.terminate().success());
    target.set(Way::Ok);
    // Another replica, which knows nothing by itself.
    let monitor = world.start("b");
    assert_eq!(slack.wait_for("api", Kind::Recovered).key, opened.key);
    monitor.wait_state("api", "healthy");
    slack.assert_sound(true);
}

#[test]
fn with_prometheus_and_alertmanager_dead_the_monitor_s_own_path_works() {
    let (redis, slack, target) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start());
    let dead = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap()
    };
    let world = World::new(&slack)
        .redis(redis.port())
        .http("api", &target, "")
        .component("prometheus", &format!("kind = \"prometheus\"\nurl = \"http://{dead}\""))
        .component("alertmanager", &format!("kind = \"alertmanager\"\nurl = \"http://{dead}\""));
    let monitor = world.start("a");
    monitor.wait_state("api", "healthy");
    target.set(Way::Down);
    for component in ["api", "prometheus", "alertmanager"] {
        slack.wait_for(component, Kind::Opened);
    }
    target.set(Way::Ok);
    slack.wait_for("api", Kind::Recovered);
    let overall = &monitor.report()["overall"];
    let reasons = overall["reasons"].to_string();
    assert_ne!(overall["status"], "green");
    for source in ["prometheus: ", "alertmanager: "] {
        assert!(reasons.contains(source), "{overall:#}");
    }
    slack.assert_sound(false);
}
