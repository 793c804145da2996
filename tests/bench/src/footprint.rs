//! What the programs weigh before they have anything to do, beside the server that Python's
//! prometheus_client starts.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use crate::process::Running;
use crate::report::{Limit, Report, Table, figure};
use crate::rounds::{Rounds, Samples, Variant};
use crate::{echo, http, product, python};

const ROUNDS: Rounds = Rounds { warm_up: 2, measured: 15 };
/// Long enough for what a start leaves behind to be over.
const IDLE: Duration = Duration::from_secs(1);

/// Resident memory of idle processes, in MB.
#[derive(Debug)]
struct Idle {
    exporter: f64,
    python: f64,
    tap: f64,
}

pub(crate) fn run() -> anyhow::Result<Report> {
    let mut exporter = product::exporter()?;
    let mut python = python::command("start.py")?;
    let size_mb = fs::metadata(exporter.get_program())?.len() as f64 / 1e6;
    let starts = ROUNDS.interleave(&mut [
        Variant::new("mcp-exporter", || start_millis(&mut exporter)),
        Variant::new("Python prometheus_client", || start_millis(&mut python)),
    ])?;
    Ok(report(size_mb, &starts, &idle(&mut exporter, &mut python)?))
}

fn report(size_mb: f64, starts: &[Samples], idle: &Idle) -> Report {
    let mut report = Report::new("footprint");
    let header = ["program", "stripped MB", "exec to the first 200, ms", "idle MB"];
    let mut table = Table::new("At rest", &header);
    let [ours, python] = [0, 1].map(|place: usize| starts[place].median());
    table.row(["mcp-exporter".into(), figure(size_mb), figure(ours), figure(idle.exporter)]);
    table.row([starts[1].name.into(), "-".into(), figure(python), figure(idle.python)]);
    table.row(["mcp-tap".into(), "-".into(), "-".into(), figure(idle.tap)]);
    report.table(table);
    report.budget("mcp-exporter, stripped", size_mb, Limit::AtMost(6.0, "MB"));
    report.budget("mcp-exporter, idle", idle.exporter, Limit::AtMost(8.0, "MB"));
    report.budget("mcp-exporter, first answer", starts[0].least(), Limit::AtMost(15.0, "ms"));
    report.budget("mcp-tap, idle", idle.tap, Limit::AtMost(10.0, "MB"));
    report
}

fn start_millis(command: &mut Command) -> anyhow::Result<f64> {
    let start = Instant::now();
    let (_server, address) = product::serve(command)?;
    http::get(&address, "/metrics")?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

/// Every program has answered once, then nothing happens.
fn idle(exporter: &mut Command, python: &mut Command) -> anyhow::Result<Idle> {
    let (exporter, address) = product::serve(exporter)?;
    http::get(&address, "/metrics")?;
    let (python, address_of_python) = product::serve(python)?;
    http::get(&address_of_python, "/metrics")?;
    let mut tap = Running::start(&mut product::tapped_echo(&address)?)?;
    echo::open_session(&mut tap)?;
    thread::sleep(IDLE);
    Ok(Idle {
        exporter: exporter.resident_mb()?,
        python: python.resident_mb()?,
        tap: tap.resident_mb()?,
    })
}
