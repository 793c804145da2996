//! Ingest over HTTP: events per CPU-second of the exporter, of a server that only parses the same
//! batches, and of what one would use otherwise; then latency below saturation, with and without
//! scrapes. The server has core 0, the client core 1.

mod latency;
mod peers;

use std::fs;
use std::process::Command;

use anyhow::{Context, ensure};

pub(crate) use self::peers::parse_only;
use crate::process::{self, Running};
use crate::report::{Limit, Report, Table, figure};
use crate::rounds::{Rounds, Samples, Variant};
use crate::workload::{self, Calls, SERVER};
use crate::{http, machine, product};

pub(crate) const SERVER_CORE: usize = 0;
pub(crate) const CLIENT_CORE: usize = 1;

const ROUNDS: Rounds = Rounds { warm_up: 1, measured: 5 };
/// The servers' places.
const EXPORTER: usize = 0;
const PARSE_ONLY: usize = 1;
const PYTHON: usize = 2;
const PUSHGATEWAY: usize = 3;
const BATCHES: [usize; 2] = [1, 100];
const CONNECTIONS: usize = 16;
const SECONDS: f64 = 2.0;

/// A server under load.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) process: Running,
    pub(crate) address: String,
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: fn(usize) -> String,
}

/// What one run of the load generator gave.
#[derive(Debug)]
struct Load {
    requests_per_second: f64,
    events_per_cpu_second: f64,
    p99_millis: f64,
    events: f64,
}

pub(crate) fn run() -> anyhow::Result<Report> {
    let cores = machine::cores()?;
    ensure!(cores > CLIENT_CORE, "server and client need a core each; there are {cores}");
    machine::need("taskset", "util-linux")?;
    machine::need("wrk", "wrk")?;
    let mut report = Report::new("ingest");
    let servers =
        [exporter()?, peers::parse_only_server()?, peers::python()?, peers::pushgateway()?];
    let mut saturated = 0.0;
    let mut events = 0.0;
    for batch in BATCHES {
        let mut variants: Vec<_> = servers
            .iter()
            .map(|server| Variant::new(server.name, move || load(server, batch)))
            .collect();
        let samples = ROUNDS.interleave(&mut variants)?;
        report.table(table(batch, &samples));
        budgets(&mut report, batch, &samples);
        saturated = samples[EXPORTER].map(|load| load.requests_per_second).median();
        events += samples[EXPORTER].map(|load| load.events).rounds.iter().sum::<f64>();
    }
    let [exporter, ..] = servers;
    let counted = counted(&exporter.address)?;
    ensure!(counted >= events, "{events} events were accepted, but /metrics says {counted}");
    latency::measure(&mut report, &exporter, saturated / 4.0, BATCHES[1])?;
    Ok(report)
}

fn exporter() -> anyhow::Result<Server> {
    let mut command = process::pinned(SERVER_CORE, &product::exporter()?);
    let (process, address) = product::serve(&mut command)?;
    let (path, content_type) = ("/v1/events", "application/json");
    Ok(Server { name: "mcp-exporter", process, address, path, content_type, body })
}

/// A batch of calls with sizes, as the exporter takes it.
pub(crate) fn body(batch: usize) -> String {
    let calls = Calls::new();
    let names = calls.names();
    let events: Vec<_> = (0..batch)
        .map(|place| calls.at(place))
        .map(|call| workload::detailed(&names[call.tool], call.seconds))
        .collect();
    workload::batch(SERVER, &events)
}

/// Saturates the server.
fn load(server: &Server, batch: usize) -> anyhow::Result<Load> {
    let file = std::env::temp_dir().join(format!("mcpmon-bench-{}.body", std::process::id()));
    fs::write(&file, (server.body)(batch)).context("cannot write the body for wrk")?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/wrk/post.lua");
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", "1", "--connections", &CONNECTIONS.to_string()]);
    wrk.args(["--duration", &format!("{SECONDS}s"), "--script", script]);
    wrk.arg(format!("http://{}{}", server.address, server.path));
    wrk.arg("--").arg(&file).arg(server.content_type);
    let before = server.process.cpu_seconds()?;
    let output = process::pinned(CLIENT_CORE, &wrk).output();
    let cpu = server.process.cpu_seconds()? - before;
    fs::remove_file(&file).context("cannot remove the body for wrk")?;

    let output = output.context("cannot start taskset")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "wrk failed: {}: {text}{}", output.status, errors.trim());
    let result = text.lines().find_map(|line| line.strip_prefix("result "));
    let result = result.with_context(|| format!("wrk printed no result: {text}"))?;
    let numbers: Vec<f64> = result.split(' ').filter_map(|n| n.parse().ok()).collect();
    let [requests, seconds, failed, p99_millis] = numbers[..] else {
        anyhow::bail!("wrk's script printed {result:?}");
    };
    ensure!(failed == 0.0, "{} answered {failed} of {requests} requests badly", server.name);
    let events = requests * batch as f64;
    Ok(Load {
        requests_per_second: requests / seconds,
        events_per_cpu_second: events / cpu,
        p99_millis,
        events,
    })
}

fn table(batch: usize, samples: &[Samples<Load>]) -> Table {
    let title = format!("Saturated by {CONNECTIONS} connections, events per request: {batch}");
    let header = [
        "variant",
        "requests/s",
        "p99 ms",
        "events per CPU-second",
        "× parse only, per CPU-second",
    ];
    let mut table = Table::new(title, &header);
    for server in samples {
        let rate = rate(server);
        table.row([
            server.name.into(),
            figure(server.map(|load| load.requests_per_second).median()),
            figure(server.map(|load| load.p99_millis).median()),
            figure(rate.median()),
            figure(rate.ratio_to(&self::rate(&samples[PARSE_ONLY]))),
        ]);
    }
    table
}

fn budgets(report: &mut Report, batch: usize, samples: &[Samples<Load>]) {
    let ours = rate(&samples[EXPORTER]);
    if batch == 1 {
        // Nearly all of a single event is HTTP, so its parse-only rate says little.
        let limit = Limit::AtLeast(45_000.0, "per CPU-second");
        report.budget("single events", ours.median(), limit);
        return;
    }
    let mut over = |what: &str, place: usize, limit| {
        let what = format!("{what}, batches of {batch}");
        report.budget(what, ours.ratio_to(&rate(&samples[place])), Limit::AtLeast(limit, "×"));
    };
    over("of the parse-only rate", PARSE_ONLY, 0.85);
    over("over the Python stack", PYTHON, 15.0);
    over("over pushgateway", PUSHGATEWAY, 8.0);
}

fn rate(server: &Samples<Load>) -> Samples {
    server.map(|load| load.events_per_cpu_second)
}

/// The calls that the exporter has counted.
fn counted(address: &str) -> anyhow::Result<f64> {
    let text = http::get(address, "/metrics")?;
    let lines = text.lines().filter(|line| line.starts_with("mcp_tool_calls_total{"));
    Ok(lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
}
