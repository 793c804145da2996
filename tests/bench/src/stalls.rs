//! Recording while a large registry is scraped and grows: does a call ever wait? Every segment has
//! a registry of its own, a thread that scrapes it, one that adds to it, and this thread, which
//! times each call without what it stood in the queue for a core. The baseline does the same beside
//! atomics, and so shows what the machine alone does to a call.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use hdrhistogram::Histogram;
use mcpmon_metrics::label::Observer;
use mcpmon_metrics::{Metrics, ServerMetrics};
use tokio::time::Instant;

use crate::floor::Floor;
use crate::otel::Unbound;
use crate::report::{Limit, Report, Table, figure};
use crate::rounds::{Rounds, Samples, Variant};
use crate::workload::{self, Calls, SERIES_PER_TOOL, SERVER, tool_name};

const SERIES: usize = 100_000;
const ROUNDS: Rounds = Rounds { warm_up: 1, measured: 7 };
const SEGMENT: Duration = Duration::from_secs(1);
const BETWEEN_SCRAPES: Duration = Duration::from_millis(20);
const BETWEEN_NEW_TOOLS: Duration = Duration::from_millis(5);
const STALL: Duration = Duration::from_millis(1);

const TOOLS: usize = SERIES / SERIES_PER_TOOL;
/// Unbound, a tool has a counter, 18 buckets, a sum and a count.
const UNBOUND_TOOLS: usize = SERIES / 21;
/// Room for the tools that appear during a segment.
const MOST_TOOLS: usize = 10_000;

/// The waits of one segment.
#[derive(Debug)]
struct Waits {
    p9999_micros: f64,
    max_micros: f64,
    stalls: f64,
    lost_millis: f64,
}

pub(crate) fn run() -> anyhow::Result<Report> {
    let calls = Calls::new();
    let names = calls.names();
    let all = ROUNDS.interleave(&mut [
        Variant::new("atomics", || {
            let (floor, (metrics, server)) = (Floor::new(), filled());
            beside(&metrics, &server, |place| floor.call(calls.at(place)))
        }),
        Variant::new("mcpmon-metrics", || {
            let (metrics, server) = filled();
            beside(&metrics, &server, |place| {
                let call = calls.at(place);
                let event = workload::success(&names[call.tool], call.seconds);
                server.record(Observer::Sdk, SERVER, &event);
            })
        }),
        Variant::new("OpenTelemetry, unbound", || beside_unbound(&calls)),
    ])?;
    Ok(report(&all))
}

fn report(all: &[Samples<Waits>]) -> Report {
    let mut report = Report::new("stalls");
    let header =
        ["variant", "p99.99 µs", "max µs (median)", "calls > 1 ms per s", "ms lost in them per s"];
    let title =
        "One call while 100,000 series are scraped every 20 ms and a tool is added every 5 ms";
    let mut table = Table::new(title, &header);
    for variant in all {
        table.row([
            variant.name.into(),
            figure(variant.map(|w| w.p9999_micros).median()),
            figure(variant.map(|w| w.max_micros).median()),
            figure(variant.map(|w| w.stalls).median()),
            figure(variant.map(|w| w.lost_millis).median()),
        ]);
    }
    report.table(table);
    let stalls = |variant: &Samples<Waits>| variant.map(|w| w.stalls);
    let beyond = stalls(&all[1]).beyond(&stalls(&all[0]));
    let limit = Limit::AtMost(0.0, "per s");
    report.budget("calls > 1 ms beyond those of the atomics", beyond.max(0.0), limit);
    report
}

/// A registry of [`SERIES`] series that has room for more.
fn filled() -> (Metrics, ServerMetrics) {
    let (metrics, server) = workload::registry(MOST_TOOLS);
    workload::call_each(&server, 0..TOOLS);
    (metrics, server)
}

fn beside(
    metrics: &Metrics,
    server: &ServerMetrics,
    call: impl FnMut(usize),
) -> anyhow::Result<Waits> {
    let grow = |added| workload::call_each(server, TOOLS + added..=TOOLS + added);
    segment(|| Ok(metrics.encode()?), grow, call)
}

fn beside_unbound(calls: &Calls) -> anyhow::Result<Waits> {
    let unbound = Unbound::new(MOST_TOOLS)?;
    (0..UNBOUND_TOOLS).for_each(|number| unbound.call(&tool_name(number), 0.042));
    let grow = |added| unbound.call(&tool_name(UNBOUND_TOOLS + added), 0.042);
    let names = calls.names();
    let call = |place| {
        let call = calls.at(place);
        unbound.call(names[call.tool].as_str(), call.seconds);
    };
    segment(|| unbound.encode(), grow, call)
}

/// Times every call of a second while the other two threads do their work.
fn segment(
    scrape: impl Fn() -> anyhow::Result<String> + Sync,
    grow: impl Fn(usize) + Sync,
    call: impl FnMut(usize),
) -> anyhow::Result<Waits> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let scraper = scope.spawn(|| {
            while !done.load(Relaxed) {
                scrape()?;
                thread::sleep(BETWEEN_SCRAPES);
            }
            anyhow::Ok(())
        });
        scope.spawn(|| {
            for added in 0.. {
                if done.load(Relaxed) {
                    break;
                }
                grow(added);
                thread::sleep(BETWEEN_NEW_TOOLS);
            }
        });
        let waits = time_calls(call);
        done.store(true, Relaxed);
        scraper.join().expect("a scrape does not panic")?;
        waits
    })
}

fn time_calls(mut call: impl FnMut(usize)) -> anyhow::Result<Waits> {
    let mut nanos = Histogram::<u32>::new_with_bounds(1, 60_000_000_000, 2)?;
    let (mut stalls, mut lost) = (0, Duration::ZERO);
    let mut queue = RunQueue::open()?;
    let start = Instant::now();
    let (mut before, mut asked) = (start, start);
    for place in 0.. {
        call(place);
        let now = Instant::now();
        let mut wait = now - before;
        before = now;
        // Asked often, so that what it says belongs to this call.
        if now - asked > STALL {
            let queued = queue.waited()?;
            if wait > STALL {
                wait = wait.saturating_sub(queued);
            }
            before = Instant::now();
            asked = before;
        }
        nanos.saturating_record(wait.as_nanos() as u64);
        if wait > STALL {
            stalls += 1;
            lost += wait;
        }
        if now - start > SEGMENT {
            break;
        }
    }
    let seconds = (before - start).as_secs_f64();
    Ok(Waits {
        p9999_micros: nanos.value_at_quantile(0.9999) as f64 / 1e3,
        max_micros: nanos.max() as f64 / 1e3,
        stalls: f64::from(stalls) / seconds,
        lost_millis: lost.as_secs_f64() * 1e3 / seconds,
    })
}

/// How long this thread stood in the queue for a core: time that the machine's other work took
/// from a call, and no lock.
struct RunQueue {
    statistics: File,
    before: Duration,
}

impl RunQueue {
    fn open() -> anyhow::Result<Self> {
        let path = "/proc/thread-self/schedstat";
        let statistics = File::open(path).with_context(|| format!("cannot open {path}"))?;
        let mut queue = Self { statistics, before: Duration::ZERO };
        queue.waited()?;
        Ok(queue)
    }

    /// The time since the last question.
    fn waited(&mut self) -> anyhow::Result<Duration> {
        let mut text = [0; 64];
        let length = self.statistics.read_at(&mut text, 0).context("cannot read schedstat")?;
        let nanos = std::str::from_utf8(&text[..length])?.split(' ').nth(1);
        let nanos = nanos.context("schedstat has no second field")?.parse()?;
        let now = Duration::from_nanos(nanos);
        Ok(now - std::mem::replace(&mut self.before, now))
    }
}
