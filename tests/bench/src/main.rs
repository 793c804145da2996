//! The benchmarks behind `make bench`: each measures the product and its baselines in the same
//! interleaved run, prints the figures, and holds them against the budgets. A missed budget is a
//! failure. `docs/BENCHMARKS.md` explains the method and keeps the figures of the last full run.

mod coordination;
mod cores;
mod debian;
mod detect;
mod echo;
mod floor;
mod footprint;
mod hostile;
mod http;
mod ingest;
mod machine;
mod monitor;
mod otel;
mod peers;
mod process;
mod product;
mod python;
mod record;
mod report;
mod round_trips;
mod rounds;
mod scrape;
mod stalls;
mod tap;
mod tap_http;
mod targets;
mod workload;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};

use self::report::Report;

/// Measures the product against its baselines and its budgets.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// What to measure.
    #[arg(value_enum, default_values_t = [Benchmark::All])]
    benchmarks: Vec<Benchmark>,
    /// Also put the figures into this page, between its markers.
    #[arg(long, value_name = "PAGE")]
    write: Option<PathBuf>,
    #[command(subcommand)]
    helper: Option<Helper>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Benchmark {
    /// All of them.
    All,
    /// What recording one tool call costs.
    Record,
    /// Recording while 100,000 series are scraped and new ones appear.
    Stalls,
    /// What a scrape costs per series.
    Scrape,
    /// A million invented tool names.
    Hostile,
    /// Events over HTTP, beside what one would use otherwise.
    Ingest,
    /// What the tap adds to a round trip.
    Tap,
    /// The same over HTTP, for one client and for many.
    TapHttp,
    /// Sizes, memory and start.
    Footprint,
    /// Probes, beside blackbox_exporter.
    Monitor,
    /// What a check asks of Redis, beside redis-benchmark.
    Coordination,
    /// How soon an incident opens.
    Detect,
}

/// Programs under measurement that are this program again.
#[derive(Debug, Clone, Copy, Subcommand)]
enum Helper {
    /// Records a million invented names and prints the figures.
    #[command(hide = true, name = "hostile-helper")]
    InventedNames,
    /// Serves events that it parses and forgets.
    #[command(hide = true, name = "parse-only-helper")]
    ParseOnly,
    /// Is an MCP server over stdio.
    #[command(hide = true, name = "echo-helper")]
    Echo,
    /// Is one over HTTP.
    #[command(hide = true, name = "echo-http-helper")]
    EchoHttp,
    /// Passes bytes on to this address.
    #[command(hide = true, name = "relay-helper")]
    Relay { to: SocketAddr },
}

impl Benchmark {
    fn run(self) -> anyhow::Result<Report> {
        match self {
            Self::Record => record::run(),
            Self::Stalls => stalls::run(),
            Self::Scrape => scrape::run(),
            Self::Hostile => hostile::run(),
            Self::Ingest => ingest::run(),
            Self::Tap => tap::run(),
            Self::TapHttp => tap_http::run(),
            Self::Footprint => footprint::run(),
            Self::Monitor => monitor::run(),
            Self::Coordination => coordination::run(),
            Self::Detect => detect::run(),
            Self::All => unreachable!("chosen() replaced it"),
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let Arguments { benchmarks, write, helper } = Arguments::parse();
    let helped = match helper {
        None => return measure(&chosen(benchmarks), write.as_deref()),
        Some(Helper::InventedNames) => hostile::helper(),
        Some(Helper::ParseOnly) => ingest::parse_only(),
        Some(Helper::Echo) => echo::serve(),
        Some(Helper::EchoHttp) => tap_http::serve(),
        Some(Helper::Relay { to }) => tap_http::relay(to),
    };
    helped.map(|()| ExitCode::SUCCESS)
}

fn chosen(benchmarks: Vec<Benchmark>) -> Vec<Benchmark> {
    if benchmarks.contains(&Benchmark::All) {
        let all = Benchmark::value_variants().iter().copied();
        return all.filter(|b| *b != Benchmark::All).collect();
    }
    benchmarks
}

/// Runs the benchmarks; one that fails does not keep the later ones from running.
fn measure(benchmarks: &[Benchmark], page: Option<&Path>) -> anyhow::Result<ExitCode> {
    let shape = machine::shape()?;
    say(&format!("{shape}\n"))?;
    if let Some(page) = page {
        report::replace(page, "machine", &shape)?;
    }
    let (mut missed, mut failed) = (0, 0);
    for benchmark in benchmarks {
        say(&format!("== {benchmark:?} ==\n"))?;
        match benchmark.run() {
            Ok(report) => {
                say(&report.to_string())?;
                missed += report.missed();
                if let Some(page) = page {
                    report.write_into(page)?;
                }
            }
            Err(error) => {
                failed += 1;
                say(&format!("FAIL: {benchmark:?} could not be measured: {error:#}\n"))?;
            }
        }
    }
    say(&format!("budgets missed: {missed}, benchmarks not measured: {failed}"))?;
    Ok(if missed + failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn say(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{text}").context("cannot write to stdout")
}
