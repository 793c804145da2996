//! A million invented tool names: what they cost beside calls of known tools, and what they leave
//! behind. Runs in a process of its own, so that memory freed earlier does not hide growth.

use std::io;
use std::process::Command;

use anyhow::{Context, ensure};
use mcpmon_metrics::label::{ErrorType, Label, Observer, Reason, Status};
use mcpmon_metrics::{Event, Metrics, Name, Options, Outcome, ServerMetrics, ToolCall};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::process;
use crate::report::{Limit, Report, Table, figure};
use crate::rounds::{Rounds, Variant};
use crate::workload::{self, SERVER, TOOLS};

const NAMES_PER_ROUND: usize = 10_000;
const ROUNDS: Rounds = Rounds { warm_up: 10, measured: 90 };
/// The best of them is reported: the others were disturbed.
const SCRAPES: usize = 5;
const NAMES: usize = NAMES_PER_ROUND * (ROUNDS.warm_up + ROUNDS.measured);

#[derive(Debug, Serialize, Deserialize)]
struct Figures {
    known_nanos: f64,
    hostile_nanos: f64,
    hostile_to_known: f64,
    growth_mb: f64,
    encode_ms: f64,
    series: usize,
    kept: bool,
}

pub(crate) fn run() -> anyhow::Result<Report> {
    let mut command: Command = process::helper("hostile-helper")?;
    let output = command.output().context("the helper cannot be started")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the helper failed: {}", errors.trim());
    let figures: Figures =
        serde_json::from_slice(&output.stdout).context("the helper's figures")?;
    Ok(report(&figures))
}

fn report(figures: &Figures) -> Report {
    let mut report = Report::new("hostile");
    let mut table = Table::new("1,000,000 distinct tool names", &["figure", "value"]);
    let mut row = |name: &str, value: String| table.row([name.into(), value]);
    row("ns per call of a known tool", figure(figures.known_nanos));
    row("ns per call of an invented one", figure(figures.hostile_nanos));
    row("memory growth, MB", figure(figures.growth_mb));
    row("series afterwards", figure(figures.series as f64));
    row("scrape afterwards, ms", figure(figures.encode_ms));
    report.table(table);
    let ratio = Limit::AtMost(1.5, "× known");
    report.budget("recording an invented name", figures.hostile_to_known, ratio);
    report.budget("memory growth", figures.growth_mb, Limit::AtMost(5.0, "MB"));
    report.budget("scrape afterwards", figures.encode_ms, Limit::AtMost(30.0, "ms"));
    let kept = f64::from(u8::from(figures.kept));
    report.budget("every call counted under its status", kept, Limit::AtLeast(1.0, "(1 = yes)"));
    report
}

/// Measures, and prints [`Figures`] as JSON.
pub(crate) fn helper() -> anyhow::Result<()> {
    let metrics = Metrics::new(Options::new("mcpmon-bench", "0"));
    let server = metrics.server(&Name::or_other(SERVER));
    workload::call_each(&server, 0..TOOLS);
    let known: Vec<_> =
        (0..NAMES_PER_ROUND).map(|number| workload::tool_name(number % TOOLS)).collect();
    // Both lists take their memory before growth is measured.
    let mut invented = known.clone();
    let mut next = 0;
    nanos_per_call(&server, &known);
    metrics.encode()?;

    let before = process::resident_mb("self")?;
    let samples = ROUNDS.interleave(&mut [
        Variant::new("known", || Ok(nanos_per_call(&server, &known))),
        Variant::new("invented", || {
            for name in &mut invented {
                name.clear();
                // As long as a known name, so that hashing costs the same.
                name.push_str(&format!("invented_{next:09}"));
                next += 1;
            }
            Ok(nanos_per_call(&server, &invented))
        }),
    ])?;
    let mut encode_ms = f64::INFINITY;
    for _ in 0..SCRAPES {
        let start = Instant::now();
        metrics.encode()?;
        encode_ms = encode_ms.min(start.elapsed().as_secs_f64() * 1e3);
    }
    let growth_mb = process::resident_mb("self")? - before;
    let text = metrics.encode()?;

    let (known, hostile) = (&samples[0], &samples[1]);
    let figures = Figures {
        known_nanos: known.median(),
        hostile_nanos: hostile.median(),
        hostile_to_known: hostile.ratio_to(known),
        growth_mb,
        encode_ms,
        series: workload::series(&text),
        kept: is_kept(&text),
    };
    serde_json::to_writer(io::stdout(), &figures).context("cannot write the figures")
}

/// Records one call of each name, every fourth a failure.
fn nanos_per_call(server: &ServerMetrics, names: &[String]) -> f64 {
    let failure = Outcome::Error(ErrorType::ToolError, Reason::IsError);
    let start = Instant::now();
    for (place, name) in names.iter().enumerate() {
        let outcome = if place % 4 == 0 { failure } else { Outcome::Success };
        let duration = std::time::Duration::from_millis(42);
        let call = ToolCall::new(Name::or_other(name.as_str()), outcome, duration);
        server.record(Observer::Sdk, SERVER, &Event::ToolCall(call));
    }
    start.elapsed().as_nanos() as f64 / names.len() as f64
}

/// Whether the calls of all tools add up, status by status.
fn is_kept(exposition: &str) -> bool {
    let total = |status: Status| -> f64 {
        let status = format!("status=\"{}\"", status.as_str());
        let lines = exposition.lines().filter(|line| line.starts_with("mcp_tool_calls_total{"));
        let values = lines.filter(|line| line.contains(&status));
        values.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    };
    // Known and invented names, one more round of known ones, and the first call of each tool.
    let calls = (2 * NAMES + NAMES_PER_ROUND) as f64;
    let expected = (calls * 0.75 + TOOLS as f64, calls * 0.25);
    (total(Status::Success), total(Status::Error)) == expected
}
