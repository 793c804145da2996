//! Redis in every kind of trouble: the checks go on, nothing counts twice, and people are told once.

use std::net::SocketAddr;

use mcpmon_testkit::breaker::{Breaker, Mode};
use mcpmon_testkit::metric::metric;
use mcpmon_testkit::redis_server::{Persistence, RedisServer};

use crate::support::{Kind, Monitor, Slack, Target, Way, World, assert_sound, history, until};

/// One monitor, one component that is well, and Redis.
struct Scene {
    redis: RedisServer,
    slack: Slack,
    target: Target,
    world: World,
    monitor: Monitor,
}

impl Scene {
    fn start(persistence: Persistence) -> Self {
        Self::through(persistence, RedisServer::port)
    }

    /// The monitor finds Redis at the port that is given.
    fn through(persistence: Persistence, port: impl FnOnce(&RedisServer) -> u16) -> Self {
        let (redis, slack, target) =
            (RedisServer::start(persistence), Slack::start(), Target::start());
        let world = World::new(&slack).redis(port(&redis)).http("api", &target, "");
        let monitor = world.start("a");
        monitor.wait_state("api", "healthy");
        let scene = Self { redis, slack, target, world, monitor };
        scene.wait_coordination(1);
        scene
    }

    fn wait_coordination(&self, up: u8) {
        until(&format!("mcp_coordination_up is {up}"), || {
            let is = metric("mcp_coordination_up").label("backend", "redis").value(up);
            (!is.find(&self.monitor.metrics()).is_empty()).then_some(())
        });
    }

    /// The trouble ends, and all that was told and counted is right.
    fn recover_and_look_back(self) {
        self.slack.wait_for("api", Kind::Opened);
        self.target.set(Way::Ok);
        self.slack.wait_for("api", Kind::Recovered);
        self.monitor.wait_state("api", "healthy");
        self.wait_coordination(1);
        self.target.rounds(3);
        self.slack.assert_sound(true);
        assert_eq!(self.slack.told().len(), 2, "{:?}", self.slack.told());
        assert!(self.monitor.terminate().success());
        assert_sound(&history(&self.redis, "api"));
    }

    /// Every bad answer so far counted once. The monitor is stopped for that, and started again.
    fn assert_each_failure_counted(&mut self) {
        self.wait_coordination(1);
        let counted = || history(&self.redis, "api").consecutive_failures() as usize;
        until("each failure is counted", || (counted() >= self.target.failures()).then_some(()));
        let monitor = std::mem::replace(&mut self.monitor, self.world.start("b"));
        assert!(monitor.terminate().success());
        assert!(counted() <= self.target.failures(), "{} {}", counted(), self.target.failures());
    }
}

#[test]
fn a_frozen_redis_neither_stops_the_checks_nor_counts_one_twice() {
    let mut scene = Scene::start(Persistence::Aof);
    scene.target.set(Way::Down);
    scene.target.rounds(1);
    scene.redis.freeze();
    // Checks go on while it is frozen.
    scene.target.rounds(8);
    scene.wait_coordination(0);
    scene.redis.thaw();
    scene.target.rounds(3);
    scene.assert_each_failure_counted();
    scene.recover_and_look_back();
}

#[test]
fn a_redis_that_pauses_its_writes_counts_nothing_twice() {
    let mut scene = Scene::start(Persistence::Aof);
    scene.target.set(Way::Down);
    scene.target.rounds(1);
    scene.redis.must(&["CLIENT", "PAUSE", "2000", "WRITE"]);
    scene.target.rounds(8);
    scene.assert_each_failure_counted();
    scene.recover_and_look_back();
}

#[test]
fn replies_lost_after_redis_did_it_count_nothing_twice() {
    let mut breaker = None;
    let mut scene = Scene::through(Persistence::Aof, |redis| {
        let upstream: SocketAddr = ([127, 0, 0, 1], redis.port()).into();
        breaker.insert(Breaker::start(upstream)).addr().port()
    });
    let breaker = breaker.unwrap();
    scene.target.set(Way::Down);
    for _ in 0..3 {
        scene.target.rounds(1);
        breaker.set(Mode::DropReplies);
        scene.target.rounds(3);
        breaker.set(Mode::Pass);
        scene.wait_coordination(1);
    }
    assert!(breaker.lost() > 0);
    scene.assert_each_failure_counted();
    scene.recover_and_look_back();
}

#[test]
fn a_redis_behind_a_blackhole_or_a_cut_costs_no_check() {
    let mut breaker = None;
    let mut scene = Scene::through(Persistence::Aof, |redis| {
        let upstream: SocketAddr = ([127, 0, 0, 1], redis.port()).into();
        breaker.insert(Breaker::start(upstream)).addr().port()
    });
    let breaker = breaker.unwrap();
    scene.target.set(Way::Down);
    for mode in [Mode::Blackhole, Mode::Cut] {
        breaker.set(mode);
        scene.target.rounds(4);
        scene.wait_coordination(0);
        breaker.set(Mode::Pass);
        scene.wait_coordination(1);
    }
    scene.assert_each_failure_counted();
    scene.recover_and_look_back();
}

#[test]
fn a_redis_killed_and_restarted_with_its_file_keeps_the_streak() {
    let mut scene = Scene::start(Persistence::Aof);
    scene.target.set(Way::Down);
    scene.target.rounds(2);
    scene.redis.kill();
    scene.target.rounds(2);
    scene.redis.restart();
    scene.target.rounds(2);
    scene.assert_each_failure_counted();
    scene.recover_and_look_back();
}

#[test]
fn a_redis_that_comes_back_empty_is_seeded_and_nobody_is_told_again() {
    let mut scene = Scene::start(Persistence::None);
    scene.target.set(Way::Down);
    scene.slack.wait_for("api", Kind::Opened);
    scene.redis.restart();
    scene.target.rounds(8);
    scene.wait_coordination(1);
    let counted = history(&scene.redis, "api");
    assert!(counted.consecutive_failures() > 8, "{counted:?}");
    assert_eq!(scene.slack.of("api"), [Kind::Opened]);
    assert!(scene.monitor.log().contains("coordination uses its store seeded=true"));
    scene.recover_and_look_back();
}

#[test]
fn a_redis_that_takes_no_writes_is_away_and_comes_back() {
    let mut scene = Scene::start(Persistence::Aof);
    scene.target.set(Way::Down);
    scene.target.rounds(1);
    scene.redis.must(&["REPLICAOF", "127.0.0.1", "1"]);
    scene.target.rounds(4);
    scene.wait_coordination(0);
    scene.redis.must(&["REPLICAOF", "NO", "ONE"]);
    scene.assert_each_failure_counted();
    scene.recover_and_look_back();
}

#[test]
fn a_redis_without_memory_is_away_and_comes_back() {
    let mut scene = Scene::start(Persistence::Aof);
    scene.target.set(Way::Down);
    scene.target.rounds(1);
    scene.redis.must(&["CONFIG", "SET", "maxmemory", "100kb"]);
    scene.target.rounds(4);
    scene.wait_coordination(0);
    scene.redis.must(&["CONFIG", "SET", "maxmemory", "0"]);
    scene.assert_each_failure_counted();
    scene.recover_and_look_back();
}

#[test]
fn a_redis_that_forgot_the_scripts_or_cut_every_connection_is_none_the_worse() {
    let mut scene = Scene::start(Persistence::Aof);
    scene.target.set(Way::Down);
    for _ in 0..4 {
        scene.redis.must(&["SCRIPT", "FLUSH"]);
        scene.target.rounds(1);
        scene.redis.must(&["CLIENT", "KILL", "TYPE", "normal"]);
        scene.target.rounds(1);
    }
    scene.assert_each_failure_counted();
    scene.recover_and_look_back();
}

#[test]
fn a_redis_busy_with_a_script_is_away_and_comes_back() {
    let mut scene = Scene::start(Persistence::Aof);
    scene.target.set(Way::Down);
    scene.target.rounds(1);
    scene.redis.must(&["CONFIG", "SET", "busy-reply-threshold", "100"]);
    let port = scene.redis.port();
    let busy = std::thread::spawn(move || busy(port));
    scene.target.rounds(4);
    scene.wait_coordination(0);
    until("the script is killed", || {
        (scene.redis.command(&["SCRIPT", "KILL"]) == "+OK").then_some(())
    });
    busy.join().unwrap();
    scene.assert_each_failure_counted();
    scene.recover_and_look_back();
}

/// Keeps Redis busy until its script is killed.
fn busy(port: u16) {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"*3\r\n$4\r\nEVAL\r\n$19\r\nwhile true do end  \r\n$1\r\n0\r\n").unwrap();
    let mut reply = [0; 64];
    let count = stream.read(&mut reply).unwrap();
    assert!(reply[..count].starts_with(b"-"), "the script was killed");
}
