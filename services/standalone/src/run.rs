//! `mcpmon run`: builds the services, starts the demo, shows where everything is, and stops it all.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mcp_exporter::{Application, Config, SECTIONS};
use mcpmon_bootstrap::http::health::reachable;
use mcpmon_bootstrap::logging::Logging;
use mcpmon_bootstrap::process::{Exit, OrExit as _};
use mcpmon_bootstrap::{Settings, Sources, shutdown};
use mcpmon_coordination::Memory;
use secrecy::{ExposeSecret, SecretString};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::demo::{Boutique, Crowd, Totals, Traffic, demo_server, drive};
use crate::events::Events;
use crate::monitor::Monitor;
use crate::repairs::Repairs;
use crate::screen::{Health, Screen, Urls};

/// The terminal belongs to the addresses and the totals; what the demo's clients run into, such as
/// refused tokens, is on purpose. The monitor's messages are shown, which would go to Slack.
const LOG_FILTER: &str = "warn,rmcp=off,mcp_health_monitor::check=error,mcp_health_monitor::notice=info,mcp_remediation=error";

/// What `mcpmon run` takes.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Starts an example MCP server and a client that uses it; all work is simulated
    #[arg(long)]
    demo: bool,
    /// Ends after this time, such as 20s or 5m
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// TOML file; docs/CONFIG.md lists its keys and the environment variables over them
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The same seed makes the same demo calls
    #[arg(long, default_value_t = 1, requires = "demo")]
    seed: u64,
    /// Stretches the demo's pauses and durations; 0.1 is ten times as busy
    #[arg(long, default_value_t = 1.0, value_parser = pace, requires = "demo")]
    pace: f64,
}

pub(crate) fn pace(text: &str) -> Result<f64, String> {
    let pace: f64 = text.parse().map_err(|_| "expected a number, such as 0.5")?;
    let legal = (0.01..=100.0).contains(&pace);
    legal.then_some(pace).ok_or_else(|| "expected a number from 0.01 to 100".into())
}

/// Runs until a signal comes or the time is over.
///
/// # Errors
/// When the configuration is wrong or a part cannot start.
pub async fn run(args: RunArgs) -> Result<(), Exit> {
    let mut settings = Settings::load(sources(&args))?;
    let config = Config::read(&mut settings);
    mcp_health_monitor::Config::read(&mut settings);
    Repairs::check(&mut settings);
    let write_token = settings.secret("exporter.write_token", "Token of the scope `write`.");
    let logging = Logging::from_settings(&mut settings, LOG_FILTER);
    settings.finish()?;
    logging.start().or_failed_start()?;

    let signal = shutdown::requested().or_failed_start()?;
    let exporter = Application::build(config).or_failed_start()?;
    let (address, overview) = (exporter.address(), exporter.overview());
    let exporter_url = format!("http://{}", reachable(address));
    let mut demo = if args.demo {
        Some(Demo::start(&args, &exporter_url, write_token.as_ref()).await.or_failed_start()?)
    } else {
        None
    };
    let demo_url = demo.as_ref().map(|demo| demo.server.url().to_owned());
    // One store for all, as Redis would be.
    let memory = Arc::new(Memory::new());
    let monitor = Monitor::build(&args, &exporter_url, demo_url.as_deref(), &memory)?;
    exporter.ask_monitor(reachable(monitor.address()), monitor.read_token.clone());
    let repairs = Repairs::build(&args, &monitor, demo.as_ref().map(|demo| &demo.server), &memory)?;
    exporter.ask_remediation(reachable(repairs.address()), repairs.read_token.clone());
    let stop = CancellationToken::new();
    let until_stop = || stop.clone().cancelled_owned();
    let health = Health { url: monitor.url(), reports: monitor.reports() };
    let urls = Urls {
        exporter: exporter_url,
        demo: demo_url,
        health: health.url.clone(),
        repairs: repairs.url(),
    };
    let screen = Screen::open(&urls);
    let events = Events::new(health.reports.clone(), repairs.audit());
    let mut services = JoinSet::new();
    services.spawn(exporter.run(until_stop()));
    services.spawn(monitor.run(until_stop()));
    services.spawn(repairs.run(until_stop()));
    tokio::select! {
        name = signal => tracing::info!(signal = name, "stopping"),
        () = elapsed(args.duration) => {}
        () = screen.follow(&overview, &health, events, died(demo.as_mut())) => {}
        Some(ended) = services.join_next() => return ended.or_failed_start()?.or_failed_start(),
    }
    if let Some(demo) = demo {
        demo.stop().await;
    }
    // The demo's last events have arrived by now: its server flushed them before it ended.
    screen.close(&overview, &health).await;
    stop.cancel();
    while let Some(ended) = services.join_next().await {
        ended.or_failed_start()?.or_failed_start()?;
    }
    Ok(())
}

pub(crate) fn sources(args: &RunArgs) -> Sources {
    Sources::from_process(args.config.clone(), SECTIONS)
        .alias("METRICS_PORT", "exporter.port")
        .alias("RUST_LOG", "log.filter")
        .alias("SLACK_WEBHOOK_URL", "slack.webhook_url")
        .alias("SLACK_WEBHOOK_URL_FILE", "slack.webhook_url_file")
}

/// How the demo's server ended, each time that it does.
fn died(demo: Option<&mut Demo>) -> impl AsyncFnMut() -> String {
    let mut server = demo.map(|demo| &mut demo.server);
    async move || match server.as_mut() {
        Some(server) => server.ended().await,
        None => std::future::pending().await,
    }
}

async fn elapsed(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// The example server and the clients that use it.
struct Demo {
    server: Boutique,
    clients: JoinHandle<()>,
    stop: CancellationToken,
}

impl Demo {
    async fn start(
        args: &RunArgs,
        exporter_url: &str,
        write_token: Option<&SecretString>,
    ) -> anyhow::Result<Self> {
        let options = boutique_server::Options { seed: args.seed, pace: args.pace };
        let write_token = write_token.map(|token| token.expose_secret().to_owned());
        let exporter_url = exporter_url.to_owned();
        let server = Boutique::start(move |address| {
            demo_server(&exporter_url, write_token.as_deref(), options, address)
        })
        .await?;
        let url = Arc::from(server.url());
        let traffic = Traffic { url, seed: args.seed, pace: args.pace };
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let clients =
            tokio::spawn(drive(Crowd::Boutique, traffic, Arc::<Totals>::default(), stopped));
        Ok(Self { server, clients, stop })
    }

    async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.clients.await {
            tracing::error!(%error, "the demo's clients broke down");
        }
        self.server.stop().await;
    }
}
