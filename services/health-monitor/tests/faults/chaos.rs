//! One fault after the other in an order that nobody chose, and then a look at the history.

use mcpmon_testkit::http_script::Answer;
use mcpmon_testkit::redis_server::{Persistence, RedisServer};
use rustix::process::Signal;

use crate::support::{Kind, Monitor, Slack, Target, Way, World, assert_sound, history, until};

/// Another number is another story: `MCPMON_CHAOS_SEED=7 cargo nextest run chaos`.
const SEED: u64 = 1;
const STEPS: usize = 14;

#[test]
fn whatever_happens_to_redis_and_the_replicas_each_trouble_is_told_once() {
    let seed = std::env::var("MCPMON_CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut chance = fastrand::Rng::with_seed(seed.unwrap_or(SEED));
    let (mut redis, slack, target) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start());
    let world = World::new(&slack).redis(redis.port()).http("api", &target, "");
    let monitors = ["a", "b", "c"].map(|replica| world.start(replica));
    for monitor in &monitors {
        monitor.wait_state("api", "healthy");
    }
    let mut story = Vec::new();
    for _ in 0..STEPS {
        let way = if chance.u8(..3) == 0 { Way::Ok } else { Way::Down };
        let monitor = chance.choice(&monitors).unwrap();
        let fault = chance.u8(..8);
        story.push(format!("{way:?} {fault}"));
        target.set(way);
        befall(fault, &mut redis, monitor, &slack, &target);
        target.rounds(chance.usize(1..4));
    }
    target.set(Way::Ok);
    let healthy = |monitor: &Monitor| {
        let api = monitor.component("api");
        (api["state"] == "healthy" && api["consecutive_failures"] == 0)
            .then(|| api["since"].clone())
    };
    until(&format!("all replicas say that it is well since the same moment: {story:?}"), || {
        let since = monitors.each_ref().map(healthy);
        (since[0].is_some() && since.iter().all(|it| *it == since[0])).then_some(())
    });
    slack.wait(|told| {
        let opened = told.iter().filter(|told| told.kind == Kind::Opened);
        let ended =
            |key: &str| told.iter().any(|told| told.key == key && told.kind != Kind::Opened);
        !told.is_empty() && opened.into_iter().all(|opened| ended(&opened.key))
    });
    target.rounds(6);
    eprintln!("{story:?}: {:#?}", slack.told());
    slack.assert_sound(true);
    assert!(slack.told().iter().all(|told| told.component == "api"), "{:?}", slack.told());
    for monitor in monitors {
        assert!(monitor.terminate().success());
    }
    assert_sound(&history(&redis, "api"));
}

/// One fault, from its beginning to its end.
fn befall(fault: u8, redis: &mut RedisServer, monitor: &Monitor, slack: &Slack, target: &Target) {
    match fault {
        0 => {
            redis.freeze();
            target.rounds(3);
            redis.thaw();
        }
        1 => _ = redis.must(&["SCRIPT", "FLUSH"]),
        2 => _ = redis.must(&["CLIENT", "KILL", "TYPE", "normal"]),
        3 => {
            redis.kill();
            target.rounds(3);
            redis.restart();
        }
        4 => {
            monitor.signal(Signal::STOP);
            target.rounds(3);
            monitor.signal(Signal::CONT);
        }
        5 => _ = redis.must(&["CLIENT", "PAUSE", "600", "WRITE"]),
        6 => slack.refuse(Answer::status(500, "later")),
        _ => {
            redis.must(&["REPLICAOF", "127.0.0.1", "1"]);
            target.rounds(3);
            redis.must(&["REPLICAOF", "NO", "ONE"]);
        }
    }
}
