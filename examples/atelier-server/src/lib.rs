//! A tailor's atelier as an MCP server: the example of a server that is not instrumented.
//!
//! It has no SDK, sends no events and serves no metrics. Put `mcp-tap` in front of it, and its
//! tools are on `/metrics` all the same. The work is simulated, and every reply says
//! `"simulated": true`.

mod server;
mod tools;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::routing::get;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use server::Atelier;
use tools::Workroom;

/// How long open requests may go on after the server was asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// What the program and `mcpmon`'s copy of it take.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where to serve Streamable HTTP, on /mcp; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Another name under which clients may ask, beside those of loopback; may be given again.
    #[arg(long = "allow-host", value_name = "HOST")]
    hosts: Vec<String>,
    /// Stretches every simulated duration; 0.1 is ten times as fast.
    #[arg(long, default_value_t = 1.0, value_parser = pace)]
    pace: f64,
}

/// Runs the server as its own program, until it is asked to stop.
///
/// # Errors
/// When the system refuses the signal handlers, or the address cannot be listened on.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let stop = asked_to_stop().context("cannot watch for signals")?;
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    writeln!(io::stdout(), "listening on http://{}/mcp", listener.local_addr()?)?;
    serve(listener, args.hosts, args.pace, stop).await?;
    Ok(())
}

/// The names of the atelier's tools.
pub fn tool_names() -> impl Iterator<Item = String> {
    tools::list().into_iter().map(|tool| tool.name.into_owned())
}

/// Serves Streamable HTTP on `listener` under `/mcp` until `shutdown` is done, under the names of
/// loopback and `hosts`; `/health/ready` answers as long.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    hosts: Vec<String>,
    pace: f64,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let workroom = Arc::new(Workroom::new(pace));
    let stop = CancellationToken::new();
    let mut config = StreamableHttpServerConfig::default().with_cancellation_token(stop.clone());
    config.allowed_hosts.extend(hosts);
    let mcp = StreamableHttpService::new(
        move || Ok(Atelier::new(Arc::clone(&workroom))),
        Arc::new(LocalSessionManager::default()),
        config,
    );
    let app =
        Router::new().nest_service("/mcp", mcp).route("/health/ready", get(async || "ready\n"));

    let drained = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    let overdue = async {
        shutdown.await;
        stop.cancel();
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = drained => result,
        () = overdue => {
            tracing::warn!(grace = ?GRACE, "requests were still open when the grace period ended");
            Ok(())
        }
    }
}

/// Done at SIGTERM or SIGINT, which are listened for from this call on, not from the first poll.
fn asked_to_stop() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn pace(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(pace) if (0.001..=1000.0).contains(&pace) => Ok(pace),
        _ => Err("expected a number from 0.001 to 1000".to_owned()),
    }
}
