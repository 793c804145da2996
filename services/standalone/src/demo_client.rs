//! `mcpmon demo-client`: the demo's clients as a process of their own. The stack runs them beside
//! a boutique that is a container, too.

use std::future::pending;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use mcpmon_bootstrap::shutdown;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::demo::{Totals, Traffic, drive};
use crate::run::pace;

/// Without an end of a call for this long, at the pace 1, the clients are not well. A dozen of them
/// call every second or two.
const SILENCE: Duration = Duration::from_secs(30);

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
    /// Where to say, on /health/ready, whether calls are answered; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    health: Option<SocketAddr>,
}

/// Uses the server until a signal comes, then says what came of it.
///
/// # Errors
/// When the system refuses the signal handlers, the address for the health or standard output.
pub async fn drive_demo(args: DemoClientArgs) -> io::Result<()> {
    let stop = shutdown::requested()?;
    let totals = Arc::<Totals>::default();
    let progress = Progress::new(Arc::clone(&totals), SILENCE.mul_f64(args.pace.max(1.0)));
    let traffic = Traffic { url: args.url.into(), seed: args.seed, pace: args.pace };
    let driven = drive(traffic, Arc::clone(&totals), async { _ = stop.await });
    tokio::select! {
        () = driven => {}
        ended = tell(args.health, progress) => ended?,
    }
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

/// Serves the health, where it is wanted.
async fn tell(address: Option<SocketAddr>, progress: Progress) -> io::Result<()> {
    let Some(address) = address else { return pending().await };
    let listener = TcpListener::bind(address).await?;
    writeln!(io::stdout(), "health at http://{}/health/ready", listener.local_addr()?)?;
    let progress = Arc::new(progress);
    let health = async move || {
        if progress.goes_on(Instant::now()) {
            (StatusCode::OK, "calls are answered\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "no call comes to an end\n")
        }
    };
    axum::serve(listener, Router::new().route("/health/ready", get(health))).await
}

/// Whether calls come to an end, as far as those who ask can tell: the number is looked at when
/// somebody asks.
#[derive(Debug)]
struct Progress {
    totals: Arc<Totals>,
    patience: Duration,
    /// How many calls had ended, and since when.
    seen: Mutex<(u64, Instant)>,
}

impl Progress {
    fn new(totals: Arc<Totals>, patience: Duration) -> Self {
        Self { totals, patience, seen: Mutex::new((0, Instant::now())) }
    }

    fn goes_on(&self, now: Instant) -> bool {
        let calls = self.totals.read().calls;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if calls > seen.0 {
            *seen = (calls, now);
        }
        seen.0 > 0 && now - seen.1 < self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_as_long_as_calls_end() {
        let totals = Arc::<Totals>::default();
        let progress = Progress::new(Arc::clone(&totals), SILENCE);
        assert!(!progress.goes_on(Instant::now()), "nothing has ended yet");
        totals.answered(false);
        assert!(progress.goes_on(Instant::now()));
        tokio::time::advance(SILENCE - Duration::from_secs(1)).await;
        assert!(progress.goes_on(Instant::now()), "it may be quiet for a while");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!progress.goes_on(Instant::now()));
        totals.answered(true);
        assert!(progress.goes_on(Instant::now()), "it has come back");
    }
}
