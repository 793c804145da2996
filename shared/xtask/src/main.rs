//! Generated files: `docs/METRICS.md` from the catalogue, `docs/CONFIG.md` from what the services
//! read.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Writes every generated file
    Generate,
    /// Fails when a generated file is not what its source says
    Check,
}

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    match Cli::parse().task {
        Task::Generate => pages(&root).into_iter().try_for_each(|(path, text)| {
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
        }),
        Task::Check => check(pages(&root)),
    }
}

fn pages(root: &Path) -> Vec<(PathBuf, String)> {
    vec![
        (root.join("docs/METRICS.md"), mcpmon_metrics::metrics_page()),
    ]
}

fn check(pages: Vec<(PathBuf, String)>) -> Result<()> {
    let stale: Vec<_> = pages
        .into_iter()
        .filter(|(path, text)| fs::read_to_string(path).ok().as_ref() != Some(text))
        .map(|(path, _)| path.display().to_string())
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    bail!("not what the source says: {}; run `make generate`", stale.join(", "))
}
