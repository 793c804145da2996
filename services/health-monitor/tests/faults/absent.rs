//! Redis is away for long.

use mcpmon_coordination::incident::State;
use mcpmon_testkit::metric::metric;
use mcpmon_testkit::redis_server::{Persistence, RedisServer};

use crate::support::{
    Kind, Slack, Target, Way, World, assert_sound, history, last_incident, until,
};

/// The stream of incidents.
const STREAM: &str = "mcpmon::stream:incidents";

#[test]
fn without_redis_for_sixty_intervals_people_are_told_and_it_recovers_unaided() {
    let (mut redis, slack, target, other) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start(), Target::start());
    let world = World::new(&slack)
        .redis(redis.port())
        .http("api", &target, "")
        // The clock of this test: it is checked at each interval, whatever happens.
        .http("clock", &other, "");
    let monitors = ["a", "b"].map(|replica| world.start(replica));
    for monitor in &monitors {
        monitor.wait_state("api", "healthy");
    }
    redis.kill();
    target.set(Way::Down);
    // Both check, as neither can ask who does: sixty intervals are 120 checks.
    other.rounds(120);
    let opened = slack.wait_for("api", Kind::Opened);
    for monitor in &monitors {
        assert_eq!(monitor.component("api")["state"], "unhealthy");
        metric("mcp_coordination_up").value(0).assert_in(&monitor.metrics());
    }
    redis.restart();
    for monitor in &monitors {
        until("it uses Redis again", || {
            let up = metric("mcp_coordination_up").value(1);
            (!up.find(&monitor.metrics()).is_empty()).then_some(())
        });
    }
    target.rounds(10);
    let told = slack.told();
    // Nobody could be asked who tells, so each replica told what it knew, once, by the same key.
    assert!(told.len() <= 2 && told.iter().all(|told| told.key == opened.key), "{told:?}");
    target.set(Way::Ok);
    slack.wait_for("api", Kind::Recovered);
    for monitor in &monitors {
        monitor.wait_state("api", "healthy");
    }
    target.rounds(5);
    let recoveries = slack.of("api").into_iter().filter(|kind| *kind == Kind::Recovered);
    assert_eq!(recoveries.count(), 1, "{:?}", slack.told());
    assert_sound(&history(&redis, "api"));
}

#[test]
fn a_monitor_starts_without_redis_and_uses_it_when_it_comes() {
    let (mut redis, slack, target) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start());
    redis.kill();
    target.set(Way::Down);
    let world = World::new(&slack).redis(redis.port()).http("api", &target, "");
    let monitor = world.start("a");
    monitor.wait_state("api", "unhealthy");
    // The whole story while it is away.
    slack.wait_for("api", Kind::Opened);
    target.set(Way::Ok);
    let recovered = slack.wait_for("api", Kind::Recovered);
    monitor.wait_state("api", "healthy");
    redis.restart();
    until("others hear that it is over", || {
        let incident = last_incident(&redis, "api")?;
        (incident.key == recovered.key && incident.state == State::Resolved).then_some(())
    });
    // Whoever repairs must not think that it goes on.
    until("the stream has its end", || (redis.command(&["XLEN", STREAM]) != ":0").then_some(()));
    target.rounds(5);
    slack.assert_sound(true);
    assert_eq!(slack.told().len(), 2);
    assert_sound(&history(&redis, "api"));
}
