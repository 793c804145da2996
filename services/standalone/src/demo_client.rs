//! `mcpmon demo-client`: the demo's clients as a process of their own. The stack runs them beside
//! a boutique that is a container, too.

use std::io::{self, Write as _};
use std::sync::Arc;

use mcpmon_bootstrap::shutdown;

use crate::demo::{Totals, Traffic, drive};
use crate::run::pace;

/// What `mcpmon demo-client` takes.
#[derive(Debug, clap::Args)]
pub struct DemoClientArgs {
    /// The server's MCP endpoint
    #[arg(long, default_value = "http://127.0.0.1:8765/mcp")]
    url: String,
    /// The same seed makes the same calls
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Stretches every pause; 0.1 is ten times as busy
    #[arg(long, default_value_t = 1.0, value_parser = pace)]
    pace: f64,
}

/// Uses the server until a signal comes, then says what came of it.
///
/// # Errors
/// When the system refuses the signal handlers or standard output.
pub async fn drive_demo(args: DemoClientArgs) -> io::Result<()> {
    let stop = shutdown::requested()?;
    let totals = Arc::<Totals>::default();
    let traffic = Traffic { url: args.url.into(), seed: args.seed, pace: args.pace };
    drive(traffic, Arc::clone(&totals), async { _ = stop.await }).await;
    let counts = totals.read();
    writeln!(
        io::stdout(),
        "{} calls, {} errors, {} cancelled, {} refused connections, {} lost",
        counts.calls,
        counts.errors,
        counts.cancelled,
        counts.refused,
        counts.lost
    )
}
