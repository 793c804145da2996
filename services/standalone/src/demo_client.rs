//! `mcpmon demo-client`: the demo's clients as a process of their own. The stack runs them beside
//! a boutique and an atelier that are containers, too.

use std::future::pending;
use std::io::{self, Write as _};
use std::iter;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use mcpmon_bootstrap::shutdown;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::demo::{Counts, Crowd, Totals, Traffic, drive};
use crate::run::pace;

/// Without an end of a call for this long, at the pace 1, the clients are not well. A dozen of them
/// call every second or two.
const SILENCE: Duration = Duration::from_secs(30);

/// What `mcpmon demo-client` takes.
#[derive(Debug, clap::Args)]
pub struct DemoClientArgs {
    /// The boutique's MCP endpoint
    #[arg(long, default_value = "http://127.0.0.1:8765/mcp")]
    url: String,
    /// The atelier's MCP endpoint, to use that server as well
    #[arg(long, value_name = "URL")]
    atelier: Option<String>,
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

/// Uses the servers until a signal comes, then says what came of it.
///
/// # Errors
/// When the system refuses the signal handlers, the address for the health or standard output.
pub async fn drive_demo(args: DemoClientArgs) -> io::Result<()> {
    let requested = shutdown::requested()?;
    let stop = CancellationToken::new();
    let silence = SILENCE.mul_f64(args.pace.max(1.0));
    let atelier = args.atelier.map(|url| (Crowd::Atelier, url));
    let (mut driven, mut all) = (JoinSet::new(), Vec::new());
    for (crowd, url) in iter::once((Crowd::Boutique, args.url)).chain(atelier) {
        let totals = Arc::<Totals>::default();
        all.push((url.clone(), Arc::clone(&totals)));
        let traffic = Traffic { url: url.into(), seed: args.seed, pace: args.pace };
        driven.spawn(drive(crowd, traffic, totals, stop.clone().cancelled_owned()));
    }
    let progress = all.iter().map(|(url, totals)| Progress::new(url, totals, silence)).collect();
    let ended = async {
        requested.await;
        stop.cancel();
        driven.join_all().await;
    };
    tokio::select! {
        () = ended => {}
        ended = tell(args.health, progress) => ended?,
    }
    for (url, totals) in all {
        let Counts { calls, errors, cancelled, refused, lost } = totals.read();
        writeln!(
            io::stdout(),
            "{url}: {calls} calls, {errors} errors, {cancelled} cancelled, \
             {refused} refused connections, {lost} lost"
        )?;
    }
    Ok(())
}

/// Serves the health, where it is wanted.
async fn tell(address: Option<SocketAddr>, progress: Vec<Progress>) -> io::Result<()> {
    let Some(address) = address else { return pending().await };
    let listener = TcpListener::bind(address).await?;
    writeln!(io::stdout(), "health at http://{}/health/ready", listener.local_addr()?)?;
    let progress = Arc::new(progress);
    let health = async move || {
        let now = Instant::now();
        // All are looked at, for a look is how time passes for them.
        let stuck: Vec<_> = progress.iter().filter(|one| !one.goes_on(now)).collect();
        match stuck.first() {
            None => (StatusCode::OK, "calls are answered\n".to_owned()),
            Some(first) => {
                let said = format!("no call comes to an end at {}\n", first.url);
                (StatusCode::SERVICE_UNAVAILABLE, said)
            }
        }
    };
    axum::serve(listener, Router::new().route("/health/ready", get(health))).await
}

/// Whether calls come to an end, as far as those who ask can tell: the number is looked at when
/// somebody asks.
#[derive(Debug)]
struct Progress {
    url: String,
    totals: Arc<Totals>,
    patience: Duration,
    /// How many calls had ended, and since when.
    seen: Mutex<(u64, Instant)>,
}

impl Progress {
    fn new(url: &str, totals: &Arc<Totals>, patience: Duration) -> Self {
        let seen = Mutex::new((0, Instant::now()));
        Self { url: url.to_owned(), totals: Arc::clone(totals), patience, seen }
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
        let progress = Progress::new("http://shop.example/mcp", &totals, SILENCE);
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
