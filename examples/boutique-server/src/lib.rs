//! A fashion boutique as an MCP server: the example of a server instrumented by hand.
//!
//! Read [`server`](../src/server.rs) first: `call_tool` is where every call is counted. What a
//! tool adds (tokens, agents, 3D generations) is one line in that tool under `tools/`; what a
//! failure is called is one table in `failure.rs`. The work itself is simulated, and every reply
//! says `"simulated": true`.

mod connections;
mod deck;
mod door;
mod failure;
mod guardrails;
mod server;
mod simulation;
mod tools;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use mcpmon_sdk::Monitor;
use mcpmon_sdk::label::{ProtocolVersion, Transport};
use rmcp::ServiceExt;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use deck::Deck;

use connections::Connections;
use server::{Boutique, House};
use simulation::Simulation;
use tools::Workshop;

/// The name and version that the server tells its clients.
const NAME: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long open requests may go on after the server was asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// How long the last events may take to the exporter.
const FLUSH: Duration = Duration::from_secs(2);

/// What the program and `mcpmon`'s copy of it take.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where to serve Streamable HTTP, on /mcp; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8765", conflicts_with = "stdio")]
    listen: SocketAddr,
    /// Another name under which clients may ask, beside those of loopback; may be given again.
    #[arg(long = "allow-host", value_name = "HOST", conflicts_with = "stdio")]
    hosts: Vec<String>,
    /// Serve standard input and output instead.
    #[arg(long)]
    stdio: bool,
    #[command(flatten)]
    options: Options,
    /// Stop when standard input ends, so that a parent that dies leaves nothing behind.
    #[arg(long, hide = true, conflicts_with = "stdio")]
    until_stdin_ends: bool,
}

/// How the simulated world behaves.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Options {
    /// The same seed draws the same fates.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Stretches every simulated duration; 0.1 is ten times as fast.
    #[arg(long, default_value_t = 1.0, value_parser = pace)]
    pub pace: f64,
}

/// Runs the server as its own program: until it is asked to stop, with its events sent to
/// `MCP_EXPORTER_URL`.
///
/// # Errors
/// When the address cannot be listened on, the environment names an unusable exporter, or the system
/// refuses the signal handlers.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let monitor = Monitor::from_env("boutique").context("cannot set up the monitor")?;
    let stop = asked_to_stop(args.until_stdin_ends).context("cannot watch for signals")?;
    if args.stdio {
        serve_stdio(monitor.clone(), args.options, stop).await?;
    } else {
        let listener = TcpListener::bind(args.listen)
            .await
            .with_context(|| format!("cannot listen on {}", args.listen))?;
        writeln!(io::stdout(), "listening on http://{}/mcp", listener.local_addr()?)?;
        serve(listener, args.hosts, monitor.clone(), args.options, stop).await?;
    }
    if let Err(unsent) = monitor.shutdown_async(FLUSH).await {
        tracing::warn!("{unsent}");
    }
    Ok(())
}

/// The names of the boutique's tools.
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
    monitor: Monitor,
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let house = open_house(monitor.clone(), options);
    let connections = Connections::new(monitor.clone(), Transport::Http);
    let stop = CancellationToken::new();
    let mut config = StreamableHttpServerConfig::default()
        // A client that went away is noticed by the next write at the latest.
        .with_sse_keep_alive(Some(Duration::from_secs(1)))
        .with_cancellation_token(stop.clone());
    config.allowed_hosts.extend(hosts);
    let mcp = StreamableHttpService::new(
        move || Ok(Boutique::new(Arc::clone(&house), connections.open())),
        Arc::new(LocalSessionManager::default()),
        config,
    );
    let app = Router::new()
        .nest_service("/mcp", mcp)
        .layer(from_fn_with_state(monitor, door::check))
        // Added after the door: who asks whether the house is open needs no token.
        .route("/health/ready", get(async || "ready\n"));

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

/// Serves standard input and output until the client closes them or `shutdown` is done.
///
/// # Errors
/// When the client does not speak MCP.
pub async fn serve_stdio(
    monitor: Monitor,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let house = open_house(monitor.clone(), options);
    let connection = Connections::new(monitor, Transport::Stdio).open();
    let service = Boutique::new(house, connection).serve(rmcp::transport::stdio()).await?;
    let cancel = service.cancellation_token();
    let ended = service.waiting();
    tokio::pin!(ended);
    tokio::select! {
        reason = &mut ended => { reason?; }
        () = shutdown => {
            cancel.cancel();
            ended.await?;
        }
    }
    Ok(())
}

fn open_house(monitor: Monitor, options: Options) -> Arc<House> {
    let names: Vec<_> = tool_names().collect();
    monitor.declare_tools(&names.iter().map(String::as_str).collect::<Vec<_>>());
    // The newest revision that it speaks; clients may agree on an older one.
    monitor.server_info(NAME, VERSION, Some(ProtocolVersion::V2026_07_28));
    let simulation = Simulation::new(options.seed, options.pace);
    Arc::new(House { monitor, simulation, workshop: Workshop::new() })
}

/// Done at SIGTERM and SIGINT, which are listened for from this call on, and, where the parent holds
/// it, at the end of standard input.
fn asked_to_stop(until_stdin_ends: bool) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stdin_ends = async {
        let mut scrap = [0; 64];
        let mut stdin = tokio::io::stdin();
        while matches!(stdin.read(&mut scrap).await, Ok(1..)) {}
    };
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = stdin_ends, if until_stdin_ends => {}
        }
    })
}

fn pace(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(pace) if (0.001..=1000.0).contains(&pace) => Ok(pace),
        _ => Err("expected a number from 0.001 to 1000".to_owned()),
    }
}
