//! The health monitor: probes per CPU-second beside Debian's blackbox_exporter, which is asked for
//! the same targets at the same rate in the same seconds on the same core; and its memory. Then MCP
//! servers, which nothing else here can check.

mod blackbox;
mod config;

use std::thread;
use std::time::Duration;

use anyhow::ensure;

use self::blackbox::Blackbox;
pub(crate) use self::config::Watching;
use crate::ingest::{CLIENT_CORE, SERVER_CORE};
use crate::machine;
use crate::report::{Limit, Report, Table, figure};
use crate::rounds::{Rounds, Samples, Variant};
use crate::targets::{TOOLS, Targets};

const ROUNDS: Rounds = Rounds { warm_up: 1, measured: 7 };
const WINDOW: Duration = Duration::from_secs(5);

/// HTTP targets, and how often each is checked.
const TARGETS: usize = 1_000;
const EVERY: Duration = Duration::from_secs(5);

/// MCP servers, and how often each is checked.
const SERVERS: usize = 200;
const EVERY_SERVER: Duration = Duration::from_secs(1);

/// Checks by one program in one window.
#[derive(Debug, Clone, Copy)]
struct Checks {
    count: f64,
    cpu_seconds: f64,
    resident_mb: f64,
}

pub(crate) fn run() -> anyhow::Result<Report> {
    let cores = machine::cores()?;
    ensure!(cores > CLIENT_CORE, "probes and targets need a core each; there are {cores}");
    machine::need("taskset", "util-linux")?;
    let mut report = Report::new("monitor");
    http(&mut report)?;
    mcp(&mut report)?;
    Ok(report)
}

fn http(report: &mut Report) -> anyhow::Result<()> {
    let targets = Targets::start(TARGETS, CLIENT_CORE)?;
    let blackbox = Blackbox::start(SERVER_CORE)?;
    let url = |n| format!("http://{}/monitor/{n}", targets.address);
    let watching = Watching::start(SERVER_CORE, "http", TARGETS, url, EVERY, EVERY)?;
    watching.await_all("healthy")?;
    let per_second = TARGETS as f64 / EVERY.as_secs_f64();
    // Both work in the same seconds: whatever disturbs the machine disturbs both.
    let window = || {
        let before = (targets.asked_by_monitor(), watching.process.cpu_seconds()?);
        let baseline = (targets.asked_by_baseline(), blackbox.process.cpu_seconds()?);
        blackbox.probe(&targets, TARGETS, per_second, WINDOW)?;
        let ours = Checks {
            count: targets.asked_by_monitor() - before.0,
            cpu_seconds: watching.process.cpu_seconds()? - before.1,
            resident_mb: watching.process.resident_mb()?,
        };
        let theirs = Checks {
            count: targets.asked_by_baseline() - baseline.0,
            cpu_seconds: blackbox.process.cpu_seconds()? - baseline.1,
            resident_mb: blackbox.process.resident_mb()?,
        };
        let expected = per_second * WINDOW.as_secs_f64();
        for (who, count) in [("the monitor", ours.count), ("blackbox", theirs.count)] {
            let off = (count - expected).abs() / expected;
            ensure!(off < 0.05, "{who} made {count} probes in a window of {expected}");
        }
        Ok((ours, theirs))
    };
    let samples = ROUNDS.interleave(&mut [Variant::new("both", window)])?;
    watching.await_all("healthy")?;
    let ours = samples_of("mcp-health-monitor", &samples[0], |both| both.0);
    let theirs = samples_of("blackbox_exporter", &samples[0], |both| both.1);

    let title = format!(
        "{} HTTP targets, {} probes/s by each program",
        figure(TARGETS as f64),
        figure(per_second)
    );
    let header =
        ["program", "probes per CPU-second", "× blackbox", "CPU ms per probe", "memory MB"];
    let mut table = Table::new(title, &header);
    for program in [&ours, &theirs] {
        table.row([
            program.name.into(),
            figure(rate(program).median()),
            figure(rate(program).ratio_to(&rate(&theirs))),
            figure(1e3 / rate(program).median()),
            figure(memory(program)),
        ]);
    }
    report.table(table);
    let ratio = rate(&ours).ratio_to(&rate(&theirs));
    report.budget("probes per CPU-second", ratio, Limit::AtLeast(2.0, "× blackbox"));
    let what = format!("memory with {} targets", figure(TARGETS as f64));
    report.budget(what, memory(&ours), Limit::AtMost(60.0, "MB"));
    Ok(())
}

fn mcp(report: &mut Report) -> anyhow::Result<()> {
    let targets = Targets::start(SERVERS, CLIENT_CORE)?;
    let url = |n| format!("http://{}/mcp/{n}", targets.address);
    let watching = Watching::start(SERVER_CORE, "mcp", SERVERS, url, EVERY_SERVER, EVERY_SERVER)?;
    watching.await_all("healthy")?;
    let window = || {
        let before = (targets.listings(), watching.process.cpu_seconds()?);
        thread::sleep(WINDOW);
        Ok(Checks {
            count: targets.listings() - before.0,
            cpu_seconds: watching.process.cpu_seconds()? - before.1,
            resident_mb: watching.process.resident_mb()?,
        })
    };
    let samples = ROUNDS.interleave(&mut [Variant::new("mcp-health-monitor", window)])?;
    watching.await_all("healthy")?;
    let ours = &samples[0];
    let title = format!("{SERVERS} MCP servers of {TOOLS} tools over Streamable HTTP");
    let header = ["program", "checks/s", "checks per CPU-second", "CPU ms per check", "memory MB"];
    let mut table = Table::new(title, &header);
    table.row([
        ours.name.into(),
        figure(ours.map(|checks| checks.count).median() / WINDOW.as_secs_f64()),
        figure(rate(ours).median()),
        figure(1e3 / rate(ours).median()),
        figure(memory(ours)),
    ]);
    report.table(table);
    Ok(())
}

fn samples_of<T>(
    name: &'static str,
    both: &Samples<T>,
    one: impl Fn(&T) -> Checks,
) -> Samples<Checks> {
    Samples { name, rounds: both.rounds.iter().map(one).collect() }
}

fn rate(program: &Samples<Checks>) -> Samples {
    program.map(|checks| checks.count / checks.cpu_seconds)
}

/// Of the last round: what has grown by then counts.
fn memory(program: &Samples<Checks>) -> f64 {
    program.rounds.last().map_or(f64::NAN, |checks| checks.resident_mb)
}
