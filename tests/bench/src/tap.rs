//! What the tap adds to a round trip over stdio: the same client and the same server, with and
//! without it, in turns.

use anyhow::ensure;
use hdrhistogram::Histogram;
use tokio::time::Instant;

use crate::process::{self, Running};
use crate::report::{Limit, Report, Table, figure};
use crate::rounds::{Rounds, Samples, Variant};
use crate::{echo, http, product};

const ROUNDS: Rounds = Rounds { warm_up: 2, measured: 15 };
const CALLS_PER_ROUND: usize = 1_000;

/// The round trips of one round.
#[derive(Debug)]
struct RoundTrips {
    p50_micros: f64,
    p99_micros: f64,
}

pub(crate) fn run() -> anyhow::Result<Report> {
    let (_exporter, address) = product::serve(&mut product::exporter()?)?;
    let mut direct = Running::start(&mut process::helper("echo-helper")?)?;
    let mut tapped = Running::start(&mut product::tapped_echo(&address)?)?;
    echo::open_session(&mut direct)?;
    echo::open_session(&mut tapped)?;
    let samples = ROUNDS.interleave(&mut [
        Variant::new("direct pipe", || round_trips(&mut direct)),
        Variant::new("through mcp-tap", || round_trips(&mut tapped)),
    ])?;
    tapped.finish()?;
    let calls = CALLS_PER_ROUND * (ROUNDS.warm_up + ROUNDS.measured);
    let series = r#"mcp_tool_calls_total{server="bench",status="success",tool_name="echo"}"#;
    let counted = format!("{series} {calls}\n");
    let text = http::get(&address, "/metrics")?;
    ensure!(text.contains(&counted), "{calls} calls were made, but /metrics does not say so");
    Ok(report(&samples))
}

fn report(samples: &[Samples<RoundTrips>]) -> Report {
    let mut report = Report::new("tap");
    let title = "One tools/call and its reply over stdio, observed and reported to an exporter";
    let header = ["variant", "p50 µs", "p99 µs", "added p50 µs", "added p99 µs"];
    let mut table = Table::new(title, &header);
    let p50 = |variant: &Samples<RoundTrips>| variant.map(|r| r.p50_micros);
    let p99 = |variant: &Samples<RoundTrips>| variant.map(|r| r.p99_micros);
    let direct = &samples[0];
    for variant in samples {
        table.row([
            variant.name.into(),
            figure(p50(variant).median()),
            figure(p99(variant).median()),
            figure(p50(variant).beyond(&p50(direct))),
            figure(p99(variant).beyond(&p99(direct))),
        ]);
    }
    report.table(table);
    let added = p50(&samples[1]).beyond(&p50(direct));
    report.budget("added to the p50 of a round trip", added, Limit::AtMost(40.0, "µs"));
    report
}

fn round_trips(server: &mut Running) -> anyhow::Result<RoundTrips> {
    let mut nanos = Histogram::<u32>::new_with_bounds(1, 60_000_000_000, 3)?;
    for id in 0..CALLS_PER_ROUND {
        let call = echo::call(id);
        let start = Instant::now();
        server.write_line(&call)?;
        let reply = server.read_line()?;
        nanos.saturating_record(start.elapsed().as_nanos() as u64);
        ensure!(reply.contains("the quick brown fox"), "the reply is {reply}");
    }
    Ok(RoundTrips {
        p50_micros: nanos.value_at_quantile(0.5) as f64 / 1e3,
        p99_micros: nanos.value_at_quantile(0.99) as f64 / 1e3,
    })
}
