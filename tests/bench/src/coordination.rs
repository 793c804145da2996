//! What a check asks of the coordination store, over a real Redis, beside `redis-benchmark` that
//! makes like calls: the same commands or scripts of the same kind, with values of the same size.
//! Redis has core 0, whoever asks it core 1.

mod ours;
mod theirs;

use std::thread;

use anyhow::ensure;
use mcpmon_testkit::redis_server::{Persistence, RedisServer};

use self::ours::{OPERATIONS, Ours};
use self::theirs::{Call, Theirs};
use crate::ingest::{CLIENT_CORE, SERVER_CORE};
use crate::report::{Limit, Report, Table, figure};
use crate::rounds::{Rounds, Samples, Variant};
use crate::{machine, process};

const ROUNDS: Rounds = Rounds { warm_up: 1, measured: 7 };
/// How many ask at the same time.
const AT_ONCE: [usize; 2] = [1, 16];
/// Over these many operations round trips are counted.
const COUNTED: usize = 1_000;

pub(crate) fn run() -> anyhow::Result<Report> {
    let cores = machine::cores()?;
    ensure!(cores > CLIENT_CORE, "Redis and its client need a core each; there are {cores}");
    machine::need("redis-server", "redis-server")?;
    machine::need("redis-benchmark", "redis-tools")?;
    // A thread of its own: what it starts inherits its core, and nothing after it does.
    let measuring = thread::spawn(|| {
        process::pin_thread(SERVER_CORE)?;
        let redis = RedisServer::start(Persistence::None);
        process::pin_thread(CLIENT_CORE)?;
        measure(&redis)
    });
    measuring.join().expect("a missing Redis was reported before")
}

fn measure(redis: &RedisServer) -> anyhow::Result<Report> {
    let mut report = Report::new("coordination");
    let ours = Ours::new(redis)?;
    let theirs = Theirs::new(redis)?;
    let mut trips = Vec::new();
    for operation in OPERATIONS {
        // Connected, and the scripts loaded.
        ours.repeat(operation, COUNTED)?;
        let before = reads(redis)?;
        ours.repeat(operation, COUNTED)?;
        let made = (reads(redis)? - before) / COUNTED as f64;
        // Asking Redis for the count is a read or two itself.
        trips.push((made * 100.0).round() / 100.0);
    }
    for at_once in AT_ONCE {
        let mut variants: Vec<_> = OPERATIONS
            .iter()
            .map(|operation| Variant::new(operation.name, || ours.rate(*operation, at_once)))
            .collect();
        for call in Call::ALL {
            let theirs = &theirs;
            variants.push(Variant::new(call.name(), move || theirs.rate(call, at_once)));
        }
        let samples = ROUNDS.interleave(&mut variants)?;
        show(&mut report, at_once, &samples, &trips);
    }
    report.budget("round trips of acquire and release", trips[0], Limit::AtMost(2.0, "per pair"));
    Ok(report)
}

fn show(report: &mut Report, at_once: usize, samples: &[Samples], trips: &[f64]) {
    let (ours, theirs) = samples.split_at(OPERATIONS.len());
    let title = format!("Operations over one connection, asked at the same time: {at_once}");
    let header = ["operation", "per second", "round trips", "redis-benchmark, the same calls", "×"];
    let mut table = Table::new(title, &header);
    for ((operation, samples), trips) in OPERATIONS.iter().zip(ours).zip(trips) {
        // One after the other, as the operation makes them.
        let seconds = |round: usize| -> f64 {
            let calls = operation.calls.iter();
            calls.map(|(call, times)| times / theirs[call.place()].rounds[round]).sum()
        };
        let rounds = (0..samples.rounds.len()).map(|round| 1.0 / seconds(round)).collect();
        let like = Samples { name: "redis-benchmark", rounds };
        let ratio = samples.ratio_to(&like);
        table.row([
            operation.name.into(),
            figure(samples.median()),
            figure(*trips),
            figure(like.median()),
            figure(ratio),
        ]);
        // Alone each call is a wake-up on either side; many share their reads and writes.
        let limit = if at_once == 1 { 0.6 } else { 1.0 };
        let what = format!("{}, {at_once} at once", operation.name);
        report.budget(what, ratio, Limit::AtLeast(limit, "× redis-benchmark"));
    }
    report.table(table);
    let mut table = Table::new(format!("redis-benchmark -c {at_once}"), &["call", "per second"]);
    for call in theirs {
        table.row([call.name.into(), figure(call.median())]);
    }
    report.table(table);
}

/// How often Redis has read from a connection: with one client that waits, once for each call.
/// Its counts of commands also hold those of the scripts.
fn reads(redis: &RedisServer) -> anyhow::Result<f64> {
    let stats = redis.info("stats");
    let count = stats.lines().find_map(|line| line.strip_prefix("total_reads_processed:"));
    let count = count.and_then(|count| count.trim().parse().ok());
    count.ok_or_else(|| anyhow::anyhow!("Redis does not say how often it read: {stats}"))
}
