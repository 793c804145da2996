//! Many components in trouble at once.

use std::time::Duration;

use mcpmon_testkit::redis_server::{Persistence, RedisServer};
use serde_json::Value;
use tokio::time::Instant;

use crate::support::{Kind, Monitor, Slack, Target, Way, World, assert_sound, history};

/// Long enough that what is noticed in turn is noticed too late.
const INTERVAL: Duration = Duration::from_secs(60);

/// Two hundred components that are well, watched by replicas with times in the proportions of the
/// defaults.
struct Scene {
    redis: RedisServer,
    slack: Slack,
    target: Target,
    names: Vec<String>,
    _world: World,
    monitors: Vec<Monitor>,
}

impl Scene {
    /// `needs` is what each of them needs; a component `gateway` is there for that.
    fn start(replicas: &[&str], needs: &str) -> Self {
        let (redis, slack, target) =
            (RedisServer::start(Persistence::None), Slack::start(), Target::start());
        let mut world = World::new(&slack).redis(redis.port());
        let mut names: Vec<_> = (0..200).map(|number| format!("server-{number}")).collect();
        for name in &names {
            world = world.http(name, &target, needs);
        }
        if !needs.is_empty() {
            world = world.http("gateway", &target, "");
            names.push("gateway".to_owned());
        }
        world.replace("group_seconds = 0.2", "group_seconds = 0.3");
        let interval = format!("interval_seconds = {}", INTERVAL.as_secs());
        world.replace("interval_seconds = 0.5", &interval);
        world.replace("recheck_seconds = 0.2", "recheck_seconds = 2");
        world.replace("timeout_seconds = 1", "timeout_seconds = 10\nslow_seconds = 10");
        let monitors = replicas.iter().map(|replica| world.start(replica)).collect();
        let scene = Self { redis, slack, target, names, _world: world, monitors };
        scene.wait_all("healthy");
        scene
    }

    fn wait_all(&self, state: &str) {
        for monitor in &self.monitors {
            monitor.wait(&format!("all are {state}"), |report: &Value| {
                report["components"].as_array().unwrap().iter().all(|it| it["state"] == state)
            });
        }
    }

    /// All die at once, and come back: one message each, and each check counts once.
    fn die_and_come_back(self, down: &str, recovered: &str) {
        let died = Instant::now();
        self.target.set(Way::Down);
        self.slack.wait(|told| !told.is_empty());
        let told_after = died.elapsed();
        assert!(told_after < INTERVAL / 2, "told after {told_after:?}");
        self.wait_all("unhealthy");
        self.target.rounds(self.names.len());
        assert_eq!(self.slack.headlines(), [down]);
        assert_eq!(self.slack.told().len(), 20, "it names some and counts the others");

        self.target.set(Way::Ok);
        self.slack.wait(|told| told.iter().any(|told| told.kind == Kind::Recovered));
        self.wait_all("healthy");
        assert_eq!(self.slack.headlines(), [down, recovered]);
        for monitor in self.monitors {
            assert!(monitor.terminate().success());
        }
        let mut counted = 0;
        for name in &self.names {
            let history = history(&self.redis, name);
            assert_sound(&history);
            counted += history.recent_failures();
        }
        assert!(counted <= self.target.failures(), "{counted} of {}", self.target.failures());
    }
}

#[test]
fn two_hundred_that_die_at_once_are_one_message() {
    let scene = Scene::start(&["a"], "");
    scene.die_and_come_back(
        ":red_circle: 200 components are down",
        ":large_green_circle: 200 components recovered",
    );
}

#[test]
fn two_hundred_that_die_at_once_are_one_message_of_three_replicas() {
    let scene = Scene::start(&["a", "b", "c"], "");
    scene.die_and_come_back(
        ":red_circle: 200 components are down",
        ":large_green_circle: 200 components recovered",
    );
}

#[test]
fn two_hundred_that_need_one_another_are_one_message_that_names_the_root() {
    let scene = Scene::start(&["a"], "depends_on = [\"gateway\"]");
    scene.die_and_come_back(
        ":red_circle: 201 components are down, shared cause: gateway",
        ":large_green_circle: 201 components recovered",
    );
}
