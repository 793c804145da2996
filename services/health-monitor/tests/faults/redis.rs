//! Redis in every kind of trouble: the checks go on, nothing counts twice, and people are told once.

use mcpmon_testkit::breaker::{Breaker, Mode};
use mcpmon_testkit::metric::metric;
use mcpmon_testkit::redis_server::{Persistence, RedisServer};

use crate::support::{
    Kind, Monitor, Slack, Target, Way, World, apart, assert_sound, history, shell, until,
};

/// One monitor, one component that is well, and Redis.
pub(crate) struct Scene {
    pub(crate) redis: RedisServer,
    pub(crate) slack: Slack,
    pub(crate) target: Target,
    world: World,
    pub(crate) monitor: Monitor,
}

impl Scene {
    fn start(persistence: Persistence) -> Self {
        Self::of(RedisServer::start(persistence), &[])
    }

    /// The monitor is started by another command, if there is one.
    pub(crate) fn of(redis: RedisServer, under: &[&str]) -> Self {
        let port = redis.port();
        Self::at(redis, port, under)
    }

    /// Between the monitor and Redis stands what the test breaks.
    fn behind_a_breaker() -> (Self, Breaker) {
        let redis = RedisServer::start(Persistence::Aof);
        let breaker = Breaker::start(([127, 0, 0, 1], redis.port()).into());
        (Self::at(redis, breaker.addr().port(), &[]), breaker)
    }

    fn at(redis: RedisServer, port: u16, under: &[&str]) -> Self {
        let (slack, target) = (Slack::start(), Target::start());
        let world = World::new(&slack).redis(port).http("api", &target, "").under(under);
        let monitor = world.start("a");
        monitor.wait_state("api", "healthy");
        let scene = Self { redis, slack, target, world, monitor };
        scene.wait_coordination(1);
        scene
    }

    pub(crate) fn wait_coordination(&self, up: u8) {
        until(&format!("mcp_coordination_up is {up}"), || {
            let is = metric("mcp_coordination_up").label("backend", "redis").value(up);
            (!is.find(&self.monitor.metrics()).is_empty()).then_some(())
        });
    }

    pub(crate) fn last_slot(&self) -> u64 {
        history(&self.redis, "api").last_slot().unwrap()
    }

    /// A component goes down, then Redis breaks and is mended: each failure counts once, and people
    /// are told once.
    pub(crate) fn survives(mut self, break_and_mend: impl FnOnce(&mut Self)) {
        self.target.set(Way::Down);
        self.target.rounds(1);
        break_and_mend(&mut self);
        self.assert_each_failure_counted();
        self.recover_and_look_back();
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
    Scene::start(Persistence::Aof).survives(|scene| {
        scene.redis.freeze();
        // Checks go on while it is frozen.
        scene.target.rounds(8);
        scene.wait_coordination(0);
        scene.redis.thaw();
        scene.target.rounds(3);
    });
}

#[test]
fn a_redis_that_pauses_its_writes_counts_nothing_twice() {
    Scene::start(Persistence::Aof).survives(|scene| {
        scene.redis.must(&["CLIENT", "PAUSE", "2000", "WRITE"]);
        scene.target.rounds(8);
    });
}

#[test]
fn replies_lost_after_redis_did_it_count_nothing_twice() {
    let (scene, breaker) = Scene::behind_a_breaker();
    scene.survives(|scene| {
        for _ in 0..3 {
            scene.target.rounds(1);
            breaker.set(Mode::DropReplies);
            scene.target.rounds(3);
            breaker.set(Mode::Pass);
            scene.wait_coordination(1);
        }
        assert!(breaker.lost() > 0);
    });
}

#[test]
fn a_redis_behind_a_blackhole_or_a_cut_costs_no_check() {
    let (scene, breaker) = Scene::behind_a_breaker();
    scene.survives(|scene| {
        for mode in [Mode::Blackhole, Mode::Cut] {
            breaker.set(mode);
            scene.target.rounds(4);
            scene.wait_coordination(0);
            breaker.set(Mode::Pass);
            scene.wait_coordination(1);
        }
    });
}

#[test]
fn a_redis_killed_and_restarted_with_its_file_keeps_the_streak() {
    Scene::start(Persistence::Aof).survives(|scene| {
        scene.target.rounds(1);
        scene.redis.kill();
        scene.target.rounds(2);
        scene.redis.restart();
        scene.target.rounds(2);
    });
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
    Scene::start(Persistence::Aof).survives(|scene| {
        scene.redis.must(&["REPLICAOF", "127.0.0.1", "1"]);
        scene.target.rounds(4);
        scene.wait_coordination(0);
        scene.redis.must(&["REPLICAOF", "NO", "ONE"]);
    });
}

#[test]
fn a_redis_whose_disk_is_full_is_away_and_comes_back() {
    let test = "redis::a_redis_whose_disk_is_full_is_away_and_comes_back";
    apart(test, || {
        let disk = tempfile::tempdir().unwrap();
        let path = disk.path().to_owned();
        shell(&format!("mount -t tmpfs -o size=64k tmpfs {}", path.display()));
        let scene = Scene::of(RedisServer::start_in(disk, Persistence::None), &[]);
        scene.survives(|scene| {
            let (fill, room) = (path.join("fill"), vec![0; 128 << 10]);
            assert!(std::fs::write(&fill, room).is_err(), "the disk takes no more than 64 kB");
            scene.redis.must(&["CONFIG", "SET", "save", "1 1"]);
            until("a write is refused", || {
                scene.redis.command(&["SET", "probe", "1"]).starts_with("-MISCONF").then_some(())
            });
            scene.target.rounds(4);
            scene.wait_coordination(0);
            std::fs::remove_file(fill).unwrap();
            // It saves again by itself, a few seconds after it failed.
            scene.wait_coordination(1);
        });
    });
}

#[test]
fn a_redis_without_memory_is_away_and_comes_back() {
    Scene::start(Persistence::Aof).survives(|scene| {
        scene.redis.must(&["CONFIG", "SET", "maxmemory", "100kb"]);
        scene.target.rounds(4);
        scene.wait_coordination(0);
        scene.redis.must(&["CONFIG", "SET", "maxmemory", "0"]);
    });
}

#[test]
fn a_redis_that_forgot_the_scripts_or_cut_every_connection_is_none_the_worse() {
    Scene::start(Persistence::Aof).survives(|scene| {
        for _ in 0..4 {
            scene.redis.must(&["SCRIPT", "FLUSH"]);
            scene.target.rounds(1);
            scene.redis.must(&["CLIENT", "KILL", "TYPE", "normal"]);
            scene.target.rounds(1);
        }
    });
}

#[test]
fn a_redis_busy_with_a_script_is_away_and_comes_back() {
    Scene::start(Persistence::Aof).survives(|scene| {
        scene.redis.must(&["CONFIG", "SET", "busy-reply-threshold", "100"]);
        let port = scene.redis.port();
        let busy = std::thread::spawn(move || busy(port));
        scene.target.rounds(4);
        scene.wait_coordination(0);
        until("the script is killed", || {
            (scene.redis.command(&["SCRIPT", "KILL"]) == "+OK").then_some(())
        });
        busy.join().unwrap();
    });
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
