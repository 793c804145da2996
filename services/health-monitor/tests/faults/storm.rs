//! Many components in trouble at once.

use mcpmon_testkit::redis_server::{Persistence, RedisServer};

use crate::support::{Kind, Slack, Target, Way, World};

#[test]
fn two_hundred_components_that_need_one_another_are_one_message_that_names_the_root() {
    let (redis, slack, target) =
        (RedisServer::start(Persistence::None), Slack::start(), Target::start());
    let mut world = World::new(&slack).redis(redis.port()).http("gateway", &target, "");
    for number in 0..200 {
        let name = format!("server-{number}");
        world = world.http(&name, &target, "depends_on = [\"gateway\"]");
    }
    world.replace("group_seconds = 0.2", "group_seconds = 6");
    world.replace("interval_seconds = 0.5", "interval_seconds = 2");
    world.replace("recheck_seconds = 0.2", "recheck_seconds = 1");
    let monitor = world.start("a");
    let all = |state: &'static str| {
        move |report: &serde_json::Value| {
            report["components"].as_array().unwrap().iter().all(|it| it["state"] == state)
        }
    };
    monitor.wait("all are healthy", all("healthy"));
    target.set(Way::Down);
    monitor.wait("all are unhealthy", all("unhealthy"));
    slack.wait(|told| !told.is_empty());
    target.rounds(400);
    let headlines = slack.headlines();
    assert_eq!(headlines, [":red_circle: 201 components are down, shared cause: gateway"]);
    assert_eq!(slack.told().len(), 20, "it names some and counts the others");
    target.set(Way::Ok);
    monitor.wait("all are healthy again", all("healthy"));
    slack.wait(|told| told.iter().any(|told| told.kind == Kind::Recovered));
    target.rounds(400);
    let headlines = slack.headlines();
    assert_eq!(headlines[1..], [":large_green_circle: 201 components recovered"]);
}
