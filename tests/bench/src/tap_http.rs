//! What the tap adds to a round trip over Streamable HTTP, and how many requests go through it:
//! the same clients and the same server, directly, through the tap, and through a tap that only
//! passes, in turns.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use serde_json::Value;
use tokio::time::Instant;

use crate::http::Connection;
use crate::process;
use crate::report::{Limit, Report, Table, figure};
use crate::rounds::{Rounds, Samples, Variant};
use crate::{echo, http, product};

const ROUNDS: Rounds = Rounds { warm_up: 2, measured: 11 };
/// How many clients, and how many calls each makes in a round.
const LOADS: [(usize, usize); 3] = [(1, 1_000), (8, 250), (32, 100)];

/// The round trips of one round.
#[derive(Debug)]
struct RoundTrips {
    p50_micros: f64,
    p99_micros: f64,
    per_second: f64,
}

pub(crate) fn run() -> anyhow::Result<Report> {
    let (_exporter, exporter) = product::serve(&mut product::exporter()?)?;
    let (_origin, origin) = product::serve(&mut process::helper("echo-http-helper")?)?;
    let (_tap, tap) = product::serve(&mut product::tapped_http(&exporter, &origin, true)?)?;
    let (_idle, blind) = product::serve(&mut product::tapped_http(&exporter, &origin, false)?)?;
    list_tools(&tap)?;
    let mut report = Report::new("tap-http");
    let mut calls = 0;
    for (clients, each) in LOADS {
        let open = |address: &str| {
            (0..clients).map(|_| Connection::open(address)).collect::<anyhow::Result<Vec<_>>>()
        };
        let (mut direct, mut tapped, mut passed) = (open(&origin)?, open(&tap)?, open(&blind)?);
        let samples = ROUNDS.interleave(&mut [
            Variant::new("direct", || round_trips(&mut direct, each)),
            Variant::new("through mcp-tap", || round_trips(&mut tapped, each)),
            Variant::new("through mcp-tap, unobserved", || round_trips(&mut passed, each)),
        ])?;
        calls += clients * each * (ROUNDS.warm_up + ROUNDS.measured);
        tell(&mut report, clients, &samples);
    }
    let series = r#"mcp_tool_calls_total{server="bench",status="success",tool_name="echo"}"#;
    let counted = format!("{series} {calls}\n");
    // The tap sends what it has within a second.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !http::get(&exporter, "/metrics")?.contains(&counted) {
        ensure!(Instant::now() < deadline, "{calls} calls were made, but /metrics does not say so");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(report)
}

fn tell(report: &mut Report, clients: usize, samples: &[Samples<RoundTrips>]) {
    let title = format!("One tools/call over Streamable HTTP on loopback, {clients} at a time");
    let header = ["variant", "requests/s", "p50 µs", "p99 µs", "added p50 µs", "added p99 µs"];
    let mut table = Table::new(title, &header);
    let p50 = |variant: &Samples<RoundTrips>| variant.map(|r| r.p50_micros);
    let p99 = |variant: &Samples<RoundTrips>| variant.map(|r| r.p99_micros);
    let direct = &samples[0];
    for variant in samples {
        table.row([
            variant.name.into(),
            figure(variant.map(|r| r.per_second).median()),
            figure(p50(variant).median()),
            figure(p99(variant).median()),
            figure(p50(variant).beyond(&p50(direct))),
            figure(p99(variant).beyond(&p99(direct))),
        ]);
    }
    report.table(table);
    if clients == 1 {
        let added = p50(&samples[1]).beyond(&p50(direct));
        report.budget("added to the p50 of a request over HTTP", added, Limit::AtMost(50.0, "µs"));
        let added = p99(&samples[1]).beyond(&p99(direct));
        report.budget("added to the p99 of a request over HTTP", added, Limit::AtMost(150.0, "µs"));
    }
}

/// Lets the tap see the tools, so that the calls have their name.
fn list_tools(address: &str) -> anyhow::Result<()> {
    let body = r#"{"jsonrpc":"2.0","id":"l","method":"tools/list"}"#;
    Connection::open(address)?.exchange(&http::post(address, "/mcp", "application/json", body))?;
    Ok(())
}

fn round_trips(clients: &mut [Connection], each: usize) -> anyhow::Result<RoundTrips> {
    let start = Instant::now();
    let of_all = thread::scope(|scope| {
        let running: Vec<_> =
            clients.iter_mut().map(|client| scope.spawn(|| calls(client, each))).collect();
        let joined = running.into_iter().map(|one| one.join().expect("a client does not panic"));
        joined.collect::<anyhow::Result<Vec<_>>>()
    })?;
    let total = clients.len() * each;
    let per_second = total as f64 / start.elapsed().as_secs_f64();
    let mut nanos = Histogram::<u32>::new_with_bounds(1, 60_000_000_000, 3)?;
    of_all.into_iter().flatten().for_each(|one| nanos.saturating_record(one));
    Ok(RoundTrips {
        p50_micros: nanos.value_at_quantile(0.5) as f64 / 1e3,
        p99_micros: nanos.value_at_quantile(0.99) as f64 / 1e3,
        per_second,
    })
}

fn calls(client: &mut Connection, count: usize) -> anyhow::Result<Vec<u64>> {
    let mut nanos = Vec::with_capacity(count);
    for id in 0..count {
        let request = http::post("localhost", "/mcp", "application/json", &echo::call(id));
        let start = Instant::now();
        let reply = client.exchange(&request)?;
        nanos.push(start.elapsed().as_nanos() as u64);
        let quote = b"the quick brown fox";
        ensure!(reply.windows(quote.len()).any(|w| w == quote), "the reply is another");
    }
    Ok(nanos)
}

/// Serves the echo over HTTP until it is killed: a thread for each connection.
pub(crate) fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    writeln!(io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    for stream in listener.incoming() {
        let stream = stream?;
        // A client that leaves is no failure.
        thread::spawn(move || _ = converse(stream));
    }
    Ok(())
}

fn converse(stream: TcpStream) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream);
    loop {
        let mut length = 0;
        let mut line = String::new();
        while input.read_line(&mut line)? > 2 {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().context("Content-Length is no number")?;
            }
            line.clear();
        }
        ensure!(length > 0, "the client left");
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        let request: Value = serde_json::from_slice(&body)?;
        let result =
            echo::answer(request["method"].as_str().unwrap_or_default(), request["params"].clone());
        let reply = format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}", request["id"]);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            reply.len()
        );
        input.get_mut().write_all((head + &reply).as_bytes())?;
    }
}
