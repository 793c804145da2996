//! What the tap adds to a round trip over Streamable HTTP, and how many requests go through it:
//! the same clients and the same server, directly, through a bare relay, through the tap, through
//! a tap that only passes, and through its peers, in turns.

mod cast;
mod origin;
mod relay;
mod session;

use std::thread;
use std::time::Duration;

use anyhow::ensure;
use tokio::time::Instant;

use self::cast::Cast;
use self::session::{Endpoint, Session};
use crate::cores::Cores;
use crate::report::{Limit, Report};
use crate::round_trips::{RoundTrips, table};
use crate::rounds::{Rounds, Samples, Variant};
use crate::{http, machine, peers, process};

pub(crate) use self::origin::serve;
pub(crate) use self::relay::serve as relay;

const ROUNDS: Rounds = Rounds { warm_up: 2, measured: 11 };
/// How long programs that were just started may have for themselves.
const REST: Duration = Duration::from_secs(1);
/// It has stdio alone.
const CANNOT: [&str; 1] = ["PyPI talyx-mcp"];

/// How many clients there are, and how many calls each makes in a round.
#[derive(Debug, Clone, Copy)]
struct Load {
    clients: usize,
    calls: usize,
    /// Through the program in Python, which takes a hundred times as long.
    calls_of_python: usize,
}

const ALONE: Load = Load { clients: 1, calls: 1_000, calls_of_python: 60 };
const FEW: Load = Load { clients: 8, calls: 250, calls_of_python: 10 };
/// So many calls that 32 threads' start, and the time in which not all of them still call, are little.
const MANY: Load = Load { clients: 32, calls: 400, calls_of_python: 4 };

pub(crate) fn run() -> anyhow::Result<Report> {
    let mut report = Report::new("tap-http");
    report.note(machine::load()?);
    for (cores, loads) in [
        (Cores::One, &[ALONE][..]),
        (Cores::Apart, &[ALONE, MANY]),
        (Cores::Any, &[ALONE, FEW, MANY]),
    ] {
        let cast = Cast::start(cores)?;
        thread::sleep(REST);
        if cores == Cores::Any {
            let idle = cast.tap.resident_mb()?;
            report.budget("mcp-tap in front of HTTP, idle", idle, Limit::AtMost(10.0, "MB"));
        }
        let mut calls = 0;
        for load in loads {
            let samples = measure(&cast, cores, *load)?;
            tell(&mut report, cores, *load, &samples);
            calls += load.clients * load.calls * (ROUNDS.warm_up + ROUNDS.measured);
        }
        await_count(&cast.exporter, calls)?;
    }
    Ok(report)
}

fn measure(cast: &Cast, cores: Cores, load: Load) -> anyhow::Result<Vec<Samples<RoundTrips>>> {
    let open = |endpoint: Endpoint<'_>| {
        let sessions = (0..load.clients).map(|_| Session::open(endpoint));
        sessions.collect::<anyhow::Result<Vec<_>>>()
    };
    let as_it_is = |address| open(Endpoint { address, path: "/mcp", tool: "echo" });
    let mut direct = as_it_is(&cast.direct)?;
    let mut relayed = as_it_is(&cast.relayed)?;
    let mut tapped = as_it_is(&cast.tapped)?;
    let mut passed = as_it_is(&cast.unobserved)?;
    let mut python = as_it_is(&cast.python.address)?;
    let mut peer = open(Endpoint {
        address: &cast.theirs.address,
        path: peers::PATH_OF_CRATE,
        tool: peers::TOOL_BEHIND_CRATE,
    })?;
    let core = cores.of_client();
    ROUNDS.interleave(&mut [
        Variant::new("direct", || round_trips(&mut direct, load.calls, core)),
        Variant::new("a bare relay", || round_trips(&mut relayed, load.calls, core)),
        Variant::new("mcp-tap", || round_trips(&mut tapped, load.calls, core)),
        Variant::new("mcp-tap, unobserved", || round_trips(&mut passed, load.calls, core)),
        Variant::new("crates.io mcp-proxy", || round_trips(&mut peer, load.calls, core)),
        Variant::new("PyPI mcp-proxy, bridge to stdio", || {
            round_trips(&mut python, load.calls_of_python, core)
        }),
    ])
}

fn tell(report: &mut Report, cores: Cores, load: Load, samples: &[Samples<RoundTrips>]) {
    let (told, clients) = (cores.told(), load.clients);
    let title = format!("One tools/call over Streamable HTTP, clients: {clients}, {told}");
    report.table(table(title, samples, &CANNOT));
    let [direct, _, tapped, _, peer, _] = samples else {
        unreachable!("measure() has six variants")
    };
    // On other cores it is the handovers that are measured, of which a bare relay has as many.
    if clients == 1 && cores == Cores::One {
        let added = tapped.p50().beyond(&direct.p50());
        report.budget(format!("added to the p50, {told}"), added, Limit::AtMost(50.0, "µs"));
        let added = tapped.p99().beyond(&direct.p99());
        report.budget(format!("added to the p99, {told}"), added, Limit::AtMost(150.0, "µs"));
    }
    // Where all share two cores, both carry client and server, which is half of the work.
    if clients == MANY.clients && cores == Cores::Apart {
        let ratio = tapped.per_second().ratio_to(&peer.per_second());
        let what = format!("over crates.io mcp-proxy, requests/s of {clients} clients, {told}");
        report.budget(what, ratio, Limit::AtLeast(2.0, "×"));
    }
}

/// Waits until the exporter has counted every call; the tap sends what it has within a second.
fn await_count(exporter: &str, calls: usize) -> anyhow::Result<()> {
    let series = r#"mcp_tool_calls_total{server="bench",status="success",tool_name="echo"}"#;
    let counted = format!("{series} {calls}\n");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !http::get(exporter, "/metrics")?.contains(&counted) {
        ensure!(Instant::now() < deadline, "{calls} calls were made, but /metrics does not say so");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn round_trips(
    clients: &mut [Session],
    each: usize,
    core: Option<usize>,
) -> anyhow::Result<RoundTrips> {
    let start = Instant::now();
    let calls = |client: &mut Session| {
        core.map_or(Ok(()), process::pin_thread)?;
        client.calls(each)
    };
    let of_all = thread::scope(|scope| {
        let running: Vec<_> =
            clients.iter_mut().map(|client| scope.spawn(|| calls(client))).collect();
        let joined = running.into_iter().map(|one| one.join().expect("a client does not panic"));
        joined.collect::<anyhow::Result<Vec<_>>>()
    })?;
    RoundTrips::new(of_all.into_iter().flatten(), start.elapsed().as_secs_f64())
}
