//! The processors are busy with something else.

use std::fs;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use mcpmon_testkit::redis_server::{Persistence, RedisServer};
use tokio::time::Instant;

use crate::support::{Monitor, Slack, Target, World, assert_sound, history};

/// Busy loops of the monitor's own priority, on every processor.
struct Busy(Vec<Child>);

impl Busy {
    fn start() -> Self {
        let processors = thread::available_parallelism().unwrap().get();
        let busy = || Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        Self((0..processors * 8).map(|_| busy()).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

/// How long its threads were ready to run and had no processor.
fn waited(monitor: &Monitor) -> Duration {
    let threads = fs::read_dir(format!("/proc/{}/task", monitor.id())).unwrap();
    let waited = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.unwrap().path().join("schedstat")).ok()?;
        text.split(' ').nth(1)?.parse::<u64>().ok()
    });
    Duration::from_nanos(waited.sum())
}

#[test]
fn busy_processors_make_nothing_red_and_metrics_are_still_served() {
    let (redis, slack, target) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start());
    let world = World::new(&slack).redis(redis.port()).http("api", &target, "");
    let monitor = world.start("a");
    monitor.wait_state("api", "healthy");
    let (asked, waited) = (target.checks(), waited(&monitor));
    let busy = Busy::start();
    let end = Instant::now() + Duration::from_secs(5);
    let mut scrapes = 0;
    while Instant::now() < end {
        assert!(monitor.metrics().contains("mcp_component_up"));
        let report = monitor.report();
        assert_ne!(report["overall"]["status"], "red", "{report:#}");
        scrapes += 1;
    }
    let waited = self::waited(&monitor) - waited;
    drop(busy);
    assert!(waited > Duration::from_millis(200), "it had to wait for {waited:?} only");
    assert!(scrapes >= 3, "{scrapes} scrapes in five seconds");
    assert!(target.checks() > asked, "checks went on");
    monitor.wait_state("api", "healthy");
    target.rounds(3);
    let counted = history(&redis, "api");
    assert_eq!(counted.recent_failures(), 0, "{counted:?}");
    assert_sound(&counted);
    assert!(slack.of("api").is_empty(), "{:?}", slack.told());
}
