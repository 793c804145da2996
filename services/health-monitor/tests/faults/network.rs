//! Packets that are thrown away or refused on the way, by the kernel of a network of the test's own.

use mcpmon_testkit::redis_server::{Persistence, RedisServer};

use crate::redis::Scene;
use crate::support::{Kind, Slack, Target, World, apart, assert_sound, history, shell};

/// What becomes of packets to these ports, until it is dropped.
struct Rule(Vec<String>);

impl Rule {
    fn new(ports: impl IntoIterator<Item = u16>, fate: &str) -> Self {
        let rule = |port| format!("INPUT -p tcp --dport {port} -j {fate}");
        let rules: Vec<_> = ports.into_iter().map(rule).collect();
        for rule in &rules {
            shell(&format!("iptables -w -A {rule}"));
        }
        Self(rules)
    }
}

impl Drop for Rule {
    fn drop(&mut self) {
        for rule in &self.0 {
            shell(&format!("iptables -w -D {rule}"));
        }
    }
}

#[test]
fn a_redis_whose_packets_are_dropped_or_refused_costs_no_check() {
    let test = "network::a_redis_whose_packets_are_dropped_or_refused_costs_no_check";
    apart(test, || {
        Scene::of(RedisServer::start(Persistence::Aof), &[]).survives(|scene| {
            for fate in ["DROP", "REJECT --reject-with tcp-reset"] {
                let rule = Rule::new([scene.redis.port()], fate);
                scene.target.rounds(4);
                scene.wait_coordination(0);
                drop(rule);
                scene.wait_coordination(1);
            }
        });
    });
}

#[test]
fn all_targets_out_of_reach_are_one_message_that_names_the_root() {
    let test = "network::all_targets_out_of_reach_are_one_message_that_names_the_root";
    apart(test, || {
        let (redis, slack, root) =
            (RedisServer::start(Persistence::Aof), Slack::start(), Target::start());
        let targets: Vec<_> = (0..5).map(|_| Target::start()).collect();
        let mut world = World::new(&slack).redis(redis.port()).http("root", &root, "");
        for (number, target) in targets.iter().enumerate() {
            world = world.http(&format!("leaf-{number}"), target, "depends_on = [\"root\"]");
        }
        world.replace("interval_seconds = 0.5", "interval_seconds = 20");
        world.replace("recheck_seconds = 0.2", "recheck_seconds = 2");
        let monitor = world.start("a");
        let all = |state: &'static str| {
            move |report: &serde_json::Value| {
                report["components"].as_array().unwrap().iter().all(|it| it["state"] == state)
            }
        };
        monitor.wait("all are healthy", all("healthy"));
        let ports = targets.iter().chain([&root]).map(Target::port);
        let rule = Rule::new(ports, "DROP");
        slack.wait_for("root", Kind::Opened);
        monitor.wait("all are unhealthy", all("unhealthy"));
        assert_eq!(slack.headlines(), [":red_circle: 6 components are down, shared cause: root"]);
        drop(rule);
        slack.wait_for("root", Kind::Recovered);
        monitor.wait("all are healthy again", all("healthy"));
        assert_eq!(slack.headlines()[1..], [":large_green_circle: 6 components recovered"]);
        slack.assert_sound(true);
        assert_sound(&history(&redis, "root"));
    });
}
