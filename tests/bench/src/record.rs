//! What recording one tool call costs, between the floor that the hardware sets and the ways that
//! one would take without this product.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::ensure;

use mcpmon_metrics::label::Observer;
use mcpmon_metrics::{Event, ServerMetrics};
use tokio::time::Instant;

use crate::floor::Floor;
use crate::otel::Unbound;
use crate::process;
use crate::python::Interpreter;
use crate::report::{Limit, Report, Table, figure};
use crate::rounds::{Rounds, Samples, Variant, median};
use crate::workload::{self, Calls, SERVER};

const ROUNDS: Rounds = Rounds { warm_up: 2, measured: 15 };
const CHUNKS: usize = 40;
const BEATS_PER_CHUNK: usize = 20;
const CALLS_PER_BEAT: usize = 100;
/// How long the threads may take to run side by side.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far a thread has come, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Beat(AtomicUsize);

impl Beat {
    fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
}

pub(crate) fn run() -> anyhow::Result<Report> {
    let mut report = Report::new("record");
    for threads in [1, 2] {
        let all = measure(threads)?;
        let [floor, ours, full_floor, full, unbound, ..] = &all[..] else {
            unreachable!("measure() gives five variants and Python")
        };
        report.table(table(threads, &all));
        let on = format!("{threads} thread{}", if threads == 1 { "" } else { "s" });
        let limit = Limit::AtMost(if threads == 1 { 5.0 } else { 5.5 }, "× floor");
        report.budget(format!("record by name, {on}"), ours.ratio_to(floor), limit);
        // The same factor over a floor that does all of this work.
        let what = format!("with sizes and transport, {on}");
        report.budget(what, full.ratio_to(full_floor), limit);
        let what = format!("faster than unbound OpenTelemetry, {on}");
        report.budget(what, unbound.ratio_to(ours), Limit::AtLeast(3.0, "×"));
        if let Some(python) = all.get(5) {
            let limit = Limit::AtLeast(80.0, "×");
            report.budget("faster than Python's labels()", python.ratio_to(ours), limit);
        }
    }
    Ok(report)
}

fn measure(threads: usize) -> anyhow::Result<Vec<Samples>> {
    let calls = Calls::new();
    let names = calls.names();
    let (floor, unbound) = (Floor::new(), Unbound::new(names.len())?);
    let (_metrics, server) = workload::registry(names.len());
    let mut python = Interpreter::start("record.py")?;
    let mut variants = vec![
        Variant::new("floor: 3 atomics, by index", || {
            nanos_per_call(threads, |i| floor.call(calls.at(i)))
        }),
        Variant::new("mcpmon-metrics, by name", || {
            nanos_per_call(threads, |i| {
                let call = calls.at(i);
                record(&server, &workload::success(&names[call.tool], call.seconds));
            })
        }),
        Variant::new("floor with operation and sizes: 9 atomics", || {
            nanos_per_call(threads, |i| floor.detailed_call(calls.at(i)))
        }),
        Variant::new("mcpmon-metrics, with transport and sizes", || {
            nanos_per_call(threads, |i| {
                let call = calls.at(i);
                record(&server, &workload::detailed(&names[call.tool], call.seconds));
            })
        }),
        Variant::new("OpenTelemetry, unbound", || {
            nanos_per_call(threads, |i| {
                let call = calls.at(i);
                unbound.call(names[call.tool].as_str(), call.seconds);
            })
        }),
    ];
    // Two threads of Python take turns under its lock, which is no news.
    if threads == 1 {
        variants.push(Variant::new("Python prometheus_client, labels(), same families", || {
            Ok(python.ask("go")?.parse()?)
        }));
    }
    ROUNDS.interleave(&mut variants)
}

fn record(server: &ServerMetrics, event: &Event<'_>) {
    server.record(Observer::Sdk, SERVER, black_box(event));
}

/// What one call takes each thread: the median of many short chunks, so that a chunk in which the
/// scheduler gave the core to somebody else does not count.
fn nanos_per_call(threads: usize, call: impl Fn(usize) + Sync) -> anyhow::Result<f64> {
    let beats: Vec<_> = (0..threads).map(|_| Beat::default()).collect();
    let unfinished = AtomicUsize::new(threads);
    let worker = |number: usize| {
        process::pin_thread(number)?;
        let mut nanos = Vec::with_capacity(CHUNKS);
        // Far apart in the list, so that the threads seldom meet at one tool.
        let mut place = number * 1_237;
        let deadline = Instant::now() + PATIENCE;
        // Those that are done go on, so that the others do not measure themselves alone.
        while unfinished.load(Relaxed) > 0 && Instant::now() < deadline {
            let before: Vec<_> = beats.iter().map(Beat::count).collect();
            let start = Instant::now();
            for _ in 0..BEATS_PER_CHUNK {
                for _ in 0..CALLS_PER_BEAT {
                    call(black_box(place));
                    place += 1;
                }
                beats[number].0.fetch_add(1, Relaxed);
            }
            let elapsed = start.elapsed();
            // Neither was off its core: then the other would have come less far, or much farther.
            let together = beats.iter().zip(before).all(|(beat, before)| {
                (BEATS_PER_CHUNK / 2..=BEATS_PER_CHUNK * 2).contains(&(beat.count() - before))
            });
            if together && nanos.len() < CHUNKS {
                let calls = BEATS_PER_CHUNK * CALLS_PER_BEAT;
                nanos.push(elapsed.as_nanos() as f64 / calls as f64);
                if nanos.len() == CHUNKS {
                    unfinished.fetch_sub(1, Relaxed);
                }
            }
        }
        Ok(nanos)
    };
    let all: anyhow::Result<Vec<_>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|n| scope.spawn(move || worker(n))).collect();
        workers.into_iter().map(|w| w.join().expect("a call does not panic")).collect()
    });
    let all = all?;
    ensure!(all.iter().all(|n| n.len() == CHUNKS), "{threads} threads did not run side by side");
    Ok(all.into_iter().map(|nanos| median(nanos.into_iter())).sum::<f64>() / threads as f64)
}

fn table(threads: usize, all: &[Samples]) -> Table {
    let title = format!("One tool call recorded, threads: {threads}");
    let mut table = Table::new(title, &["variant", "ns per call and thread", "× floor"]);
    for variant in all {
        let ratio = variant.ratio_to(&all[0]);
        table.row([variant.name.into(), figure(variant.median()), figure(ratio)]);
    }
    table
}
