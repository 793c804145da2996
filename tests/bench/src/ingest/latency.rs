//! Latency at a quarter of saturation. Requests leave by the clock and not when the last reply has
//! come, and a late one counts from when it should have left: a stall shows in all it delayed.

use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::{CLIENT_CORE, Server};
use crate::http::{self, Connection};
use crate::process;
use crate::report::{Limit, Report, Table, figure};
use crate::rounds::{Rounds, Samples, Variant};
use crate::workload;

const ROUNDS: Rounds = Rounds { warm_up: 1, measured: 5 };
const CONNECTIONS: usize = 8;
const SEGMENT: Duration = Duration::from_secs(2);
const BETWEEN_SCRAPES: Duration = Duration::from_millis(250);
const SERIES: usize = 10_000;

#[derive(Debug)]
struct Latency {
    p50_millis: f64,
    p99_millis: f64,
}

pub(super) fn measure(
    report: &mut Report,
    server: &Server,
    requests_per_second: f64,
    batch: usize,
) -> anyhow::Result<()> {
    grow(server)?;
    let samples = ROUNDS.interleave(&mut [
        Variant::new("no scrape", || segment(server, requests_per_second, batch, false)),
        Variant::new("a scrape of 10,000 series every 250 ms", || {
            segment(server, requests_per_second, batch, true)
        }),
    ])?;
    let title = format!(
        "A quarter of saturation: {} requests/s of {batch} events, by the clock",
        figure(requests_per_second)
    );
    let mut table = Table::new(title, &["meanwhile", "p50 ms", "p99 ms"]);
    for variant in &samples {
        let p50 = variant.map(|l| l.p50_millis).median();
        table.row([variant.name.into(), figure(p50), figure(p99(variant).median())]);
    }
    report.table(table);
    let quiet = p99(&samples[0]);
    report.budget("p99 at a quarter of saturation", quiet.least(), Limit::AtMost(5.0, "ms"));
    let ratio = p99(&samples[1]).ratio_to(&quiet);
    report.budget("p99 during scrapes", ratio, Limit::AtMost(5.0, "× without"));
    Ok(())
}

fn p99(variant: &Samples<Latency>) -> Samples {
    variant.map(|latency| latency.p99_millis)
}

/// Calls so many tools that a scrape has [`SERIES`] series.
fn grow(server: &Server) -> anyhow::Result<()> {
    let mut connection = Connection::open(&server.address)?;
    // Beyond 256 tools of one server, names are folded.
    for (number, tools) in (0..SERIES / workload::SERIES_PER_TOOL).step_by(200).enumerate() {
        let body = workload::tools_body(&format!("bench-{number}"), tools..tools + 200);
        let request = http::post(&server.address, server.path, server.content_type, &body);
        connection.exchange(&request)?;
    }
    Ok(())
}

fn segment(
    server: &Server,
    requests_per_second: f64,
    batch: usize,
    scrape: bool,
) -> anyhow::Result<Latency> {
    let body = (server.body)(batch);
    let request = http::post(&server.address, server.path, server.content_type, &body);
    let start = Instant::now();
    let sender = |number: usize| {
        process::pin_thread(CLIENT_CORE)?;
        let mut connection = Connection::open(&server.address)?;
        let mut micros = Histogram::<u32>::new_with_bounds(1, 60_000_000, 3)?;
        for place in (number..).step_by(CONNECTIONS) {
            let due = Duration::from_secs_f64(place as f64 / requests_per_second);
            if due > SEGMENT {
                break;
            }
            thread::sleep((start + due).saturating_duration_since(Instant::now()));
            connection.exchange(&request)?;
            micros.saturating_record((start.elapsed() - due).as_micros() as u64);
        }
        anyhow::Ok(micros)
    };
    let scraper = || {
        process::pin_thread(CLIENT_CORE)?;
        while scrape && start.elapsed() < SEGMENT {
            http::get(&server.address, "/metrics")?;
            thread::sleep(BETWEEN_SCRAPES);
        }
        anyhow::Ok(())
    };
    let mut all = Histogram::<u32>::new_with_bounds(1, 60_000_000, 3)?;
    thread::scope(|scope| {
        let scraper = scope.spawn(scraper);
        let senders: Vec<_> = (0..CONNECTIONS).map(|n| scope.spawn(move || sender(n))).collect();
        for sender in senders {
            all.add(sender.join().expect("a sender does not panic")?)?;
        }
        scraper.join().expect("the scraper does not panic")
    })?;
    Ok(Latency {
        p50_millis: all.value_at_quantile(0.5) as f64 / 1e3,
        p99_millis: all.value_at_quantile(0.99) as f64 / 1e3,
    })
}
