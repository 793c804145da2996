//! What a scrape costs per series, over a floor whose lines are rendered in advance but for their
//! values.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

use crate::report::{Limit, Report, Table, figure};
use crate::rounds::{Rounds, Variant};
use crate::workload::{self, SERIES_PER_TOOL};

const ROUNDS: Rounds = Rounds { warm_up: 2, measured: 11 };
const SIZES: [usize; 3] = [1_000, 10_000, 50_000];

/// A scrape as somebody who knows every line would write it.
struct Floor {
    lines: Vec<(String, AtomicU64)>,
    fixed: usize,
}

pub(crate) fn run() -> anyhow::Result<Report> {
    let mut report = Report::new("scrape");
    let header =
        ["series", "KB", "mcpmon-metrics µs", "floor µs", "× floor", "ns per series, best"];
    let mut table = Table::new("One scrape", &header);
    for size in SIZES {
        let tools = size / SERIES_PER_TOOL;
        let (metrics, server) = workload::registry(tools);
        workload::call_each(&server, 0..tools);
        let text = metrics.encode()?;
        let (series, floor) = (workload::series(&text), Floor::like(&text));
        let samples = ROUNDS.interleave(&mut [
            Variant::new("mcpmon-metrics", || {
                let start = Instant::now();
                black_box(metrics.encode()?);
                Ok(start.elapsed().as_secs_f64() * 1e6)
            }),
            Variant::new("floor", || {
                let start = Instant::now();
                black_box(floor.encode()?);
                Ok(start.elapsed().as_secs_f64() * 1e6)
            }),
        ])?;
        let (ours, floor) = (&samples[0], &samples[1]);
        let micros_per_series = ours.least() / series as f64;
        table.row([
            figure(series as f64),
            figure(text.len() as f64 / 1e3),
            figure(ours.median()),
            figure(floor.median()),
            figure(ours.ratio_to(floor)),
            figure(micros_per_series * 1e3),
        ]);
        let what = format!("a scrape of {} series", figure(series as f64));
        report.budget(what, micros_per_series, Limit::AtMost(1.0, "µs per series"));
    }
    report.table(table);
    Ok(report)
}

impl Floor {
    /// The same lines with whole numbers as values.
    fn like(exposition: &str) -> Self {
        let lines = exposition.lines().map(|line| match line.rsplit_once(' ') {
            Some((series, value)) if !line.starts_with('#') => {
                let value = value.parse::<f64>().unwrap_or_default();
                (format!("{series} "), AtomicU64::new(value as u64))
            }
            _ => (format!("{line} "), AtomicU64::new(0)),
        });
        let lines: Vec<_> = lines.collect();
        Self { fixed: lines.iter().map(|(text, _)| text.len() + 20).sum(), lines }
    }

    fn encode(&self) -> anyhow::Result<String> {
        let mut text = String::with_capacity(self.fixed);
        for (series, value) in &self.lines {
            text.push_str(series);
            writeln!(text, "{}", value.load(Relaxed))?;
        }
        Ok(text)
    }
}
