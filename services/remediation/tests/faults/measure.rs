//! Not a test: how long it takes until a failure is detected, and until its repair is verified. The
//! figures are for `docs/BENCHMARKS.md`; `make repair-times` prints them.

#![expect(clippy::print_stdout, reason = "the figures are the result")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use mcp_remediation::case::Case;
use mcp_remediation::decide::{self, Facts};
use mcp_remediation::policy::Policy;
use mcpmon_bootstrap::{Settings, Sources, settings::environment_name};
use mcpmon_coordination::Incident;
use mcpmon_coordination::budget::Spent;
use mcpmon_coordination::incident::{Failure, Origin};
use mcpmon_coordination::inventory::Member;
use tokio::time::Instant;

use crate::support::{World, now, until};

const RUNS: usize = 30;

/// How fast everything is.
struct Pace {
    name: &'static str,
    interval: f64,
    recheck: f64,
    /// What the times of remediation, as shipped, are divided by.
    divided: f64,
}

/// As `make run` has it.
const DEMO: Pace =
    Pace { name: "every 5 s, again after 1 s", interval: 5.0, recheck: 1.0, divided: 1.0 };
/// Ten times as fast as the stack.
const STACK: Pace = Pace {
    name: "every 10 s, again after 30 s, all ten times as fast",
    interval: 1.0,
    recheck: 3.0,
    divided: 10.0,
};

#[derive(Clone, Copy)]
enum Fault {
    Killed,
    Hung,
    Dependency,
}

fn measure(fault: Fault, pace: &Pace) {
    let seconds = |shipped: f64| format!("{}", shipped / pace.divided);
    let world = World::new()
        .monitor_key("interval_seconds", &pace.interval.to_string())
        .monitor_key("recheck_seconds", &pace.recheck.to_string())
        .monitor_key("timeout_seconds", &seconds(5.0))
        .key("grace_seconds", &seconds(2.0))
        .key("verify_every_seconds", &seconds(2.0))
        .key("verify_seconds", &seconds(180.0))
        .key("look_seconds", "5")
        .key("act_seconds", "60")
        .key("attempts", "100")
        .key("system_attempts", "1000")
        .key("window_seconds", "1")
        .key("cool_down_seconds", "0.01")
        .key("longest_pause_seconds", "0.01")
        .key("storm_cool_down_seconds", "0");
    let port = world.server("root-1");
    let redis = format!("kind = \"redis\"\nurl = \"redis://127.0.0.1:{port}\"");
    let (world, name, failing) = match fault {
        Fault::Dependency => {
            let world = world.watch("root", &redis).target("root-1");
            let world = world.rule("root", "mode = \"act\"\nladder = [\"root-1\"]");
            let depends = format!("{redis}\ndepends_on = [\"root\"]");
            (world.watch("shop", &depends), "a dead dependency", "shop")
        }
        Fault::Killed | Fault::Hung => {
            let world = world.watch("root", &redis).target("root-1");
            let name = match fault {
                Fault::Killed => "a killed process",
                _ => "a hung process",
            };
            (world.rule("root", "mode = \"act\"\nladder = [\"root-1\"]"), name, "root")
        }
    };
    let monitor = world.monitor();
    let remediation = world.leader("a");
    let memory = remediation.memory();
    let mut random = fastrand::Rng::with_seed(7);
    let (mut detected, mut verified) = (Vec::new(), Vec::new());
    for run in 1..=RUNS {
        for component in [failing, "root"] {
            monitor.wait_state(component, "healthy");
            until("it is over", || world.open_incident(component).is_none().then_some(()));
        }
        std::thread::sleep(Duration::from_secs_f64(random.f64() * pace.interval));
        let from = Instant::now();
        match fault {
            Fault::Hung => world.docker.hang("root-1"),
            Fault::Killed | Fault::Dependency => world.docker.crash("root-1"),
        }
        world.wait_incident("root");
        detected.push(from.elapsed().as_secs_f64());
        until("it is verified", || (world.history().repaired().len() >= run).then_some(()));
        if matches!(fault, Fault::Dependency) {
            // Verified is the root; people wait for what needs it.
            until("it is well", || {
                let shop = monitor.component(failing);
                let well = shop["state"] == "healthy" && shop["consecutive_failures"] == 0;
                well.then_some(())
            });
        }
        verified.push(from.elapsed().as_secs_f64());
    }
    world.history().assert_all_ended();
    let [d50, d95] = quantiles(&mut detected);
    let [v50, v95] = quantiles(&mut verified);
    println!(
        "| {name} | {} | {RUNS} | {d50:.1} | {d95:.1} | {v50:.1} | {v95:.1} |  idle {:.1} MB",
        pace.name,
        memory as f64 / 1e6
    );
}

fn quantiles(times: &mut [f64]) -> [f64; 2] {
    times.sort_by(f64::total_cmp);
    [times.len() / 2, times.len() * 95 / 100].map(|at| times[at])
}

#[test]
#[ignore = "a measurement"]
fn demo_killed() {
    measure(Fault::Killed, &DEMO);
}

#[test]
#[ignore = "a measurement"]
fn demo_hung() {
    measure(Fault::Hung, &DEMO);
}

#[test]
#[ignore = "a measurement"]
fn demo_dependency() {
    measure(Fault::Dependency, &DEMO);
}

#[test]
#[ignore = "a measurement"]
fn stack_killed() {
    measure(Fault::Killed, &STACK);
}

#[test]
#[ignore = "a measurement"]
fn stack_hung() {
    measure(Fault::Hung, &STACK);
}

#[test]
#[ignore = "a measurement"]
fn stack_dependency() {
    measure(Fault::Dependency, &STACK);
}

#[test]
#[ignore = "a measurement"]
fn decisions() {
    const COUNT: u32 = 1_000_000;
    let keys = [
        ("remediation.targets.shop.kind", "docker"),
        ("remediation.targets.shop.container", "shop-1"),
        ("remediation.rules.shop.component", "shop"),
        ("remediation.rules.shop.failures", "timeout"),
        ("remediation.rules.shop.ladder", "shop"),
        ("remediation.rules.shop.mode", "act"),
    ];
    let environment = keys.map(|(key, value)| (environment_name(key), value.to_owned()));
    let sources = Sources { environment: environment.into(), ..Sources::default() };
    let mut settings = Settings::load(sources).unwrap();
    let policy = Policy::read(&mut settings, &[]);
    settings.finish().unwrap();
    let now = now();
    let text = format!(
        r#"{{"kind":"http","slot":1,"checked_at":{now},"interval_ms":60000,"state":"healthy",
        "outcome":"ok","up":true,"in_trouble":false,"consecutive_failures":0}}"#
    );
    let member: Member = serde_json::from_str(&text).unwrap();
    let names = (0..49).map(|number| format!("other-{number}")).chain(["shop".to_owned()]);
    let inventory: BTreeMap<_, _> = names.map(|name| (name, member.clone())).collect();
    let incident = Incident::new("shop", "http", Failure::Timeout, Origin::Monitor, now, now);
    let (case, spent) = (Case::of(&incident, None), Spent::default());
    let facts = Facts {
        now,
        policy: &policy,
        incident: &incident,
        case: &case,
        inventory: &inventory,
        maintenance: None,
        spent: &spent,
        system_spent: &spent,
        calm_at: None,
        in_flight: false,
    };
    let from = Instant::now();
    for _ in 0..COUNT {
        assert!(decide::plan(black_box(&facts)).is_ok());
    }
    let each = from.elapsed() / COUNT;
    let second = 1.0 / each.as_secs_f64();
    println!("a decision among 50 components: {each:?}, {second:.0} in a second");
}
