//! What the tap adds to a round trip over stdio: the same client and the same server, with and
//! without it and its peers, in turns.

use std::process::Command;
use std::thread;

use anyhow::ensure;
use tokio::time::Instant;

use crate::cores::{self, Cores, OTHER};
use crate::process::{self, Running};
use crate::report::{Limit, Report};
use crate::round_trips::{RoundTrips, table};
use crate::rounds::{Rounds, Samples, Variant};
use crate::{echo, http, machine, peers, product};

const ROUNDS: Rounds = Rounds { warm_up: 2, measured: 15 };
const CALLS_PER_ROUND: usize = 1_000;
/// Of the peers in Python, which take a hundred times as long.
const CALLS_OF_PEERS: usize = 200;
/// HTTP alone is in front of it.
const CANNOT: [&str; 1] = ["crates.io mcp-proxy"];

pub(crate) fn run() -> anyhow::Result<Report> {
    let mut report = Report::new("tap");
    report.note(machine::load()?);
    for cores in [Cores::One, Cores::Any] {
        tell(&mut report, cores, &measure(cores)?);
    }
    Ok(report)
}

fn measure(cores: Cores) -> anyhow::Result<Vec<Samples<RoundTrips>>> {
    let core = cores.of_client();
    let other = core.map(|_| OTHER);
    let (_exporter, address) = cores::serve(other, product::exporter()?)?;
    let (_origin, origin) = cores::serve(core, process::helper("echo-http-helper")?)?;
    let open = |command: Command| {
        let mut server = Running::start(&mut cores::on(core, command))?;
        echo::open_session(&mut server)?;
        anyhow::Ok(server)
    };
    let mut direct = open(process::helper("echo-helper")?)?;
    let mut tapped = open(product::tapped_echo(&address)?)?;
    let mut talyx = open(peers::talyx()?)?;
    let mut bridge = open(peers::python_bridge_to_http(&origin)?)?;
    let samples = ROUNDS.interleave(&mut [
        Variant::new("direct pipe", || round_trips(&mut direct, CALLS_PER_ROUND, core)),
        Variant::new("through mcp-tap", || round_trips(&mut tapped, CALLS_PER_ROUND, core)),
        Variant::new("PyPI talyx-mcp", || round_trips(&mut talyx, CALLS_OF_PEERS, core)),
        Variant::new("PyPI mcp-proxy, bridge to HTTP", || {
            round_trips(&mut bridge, CALLS_OF_PEERS, core)
        }),
    ])?;
    tapped.finish()?;
    let calls = CALLS_PER_ROUND * (ROUNDS.warm_up + ROUNDS.measured);
    let series = r#"mcp_tool_calls_total{server="bench",status="success",tool_name="echo"}"#;
    let counted = format!("{series} {calls}\n");
    let text = http::get(&address, "/metrics")?;
    ensure!(text.contains(&counted), "{calls} calls were made, but /metrics does not say so");
    Ok(samples)
}

fn tell(report: &mut Report, cores: Cores, samples: &[Samples<RoundTrips>]) {
    let told = cores.told();
    let title = format!("One tools/call and its reply over stdio, observed and reported, {told}");
    report.table(table(title, samples, &CANNOT));
    // Elsewhere it is the handovers that are measured.
    if cores == Cores::One {
        let added = samples[1].p50().beyond(&samples[0].p50());
        let what = format!("added to the p50 of a round trip, {told}");
        report.budget(what, added, Limit::AtMost(40.0, "µs"));
    }
}

/// On a thread of its own, for a core is a thread's.
fn round_trips(
    server: &mut Running,
    count: usize,
    core: Option<usize>,
) -> anyhow::Result<RoundTrips> {
    let calls = || {
        core.map_or(Ok(()), process::pin_thread)?;
        let mut nanos = Vec::with_capacity(count);
        let all = Instant::now();
        for id in 0..count {
            let call = echo::call(id);
            let start = Instant::now();
            server.write_line(&call)?;
            let reply = server.read_line()?;
            nanos.push(start.elapsed().as_nanos() as u64);
            ensure!(reply.contains(echo::TEXT), "the reply is {reply}");
        }
        RoundTrips::new(nanos, all.elapsed().as_secs_f64())
    };
    thread::scope(|scope| scope.spawn(calls).join().expect("a client does not panic"))
}
