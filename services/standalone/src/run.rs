//! `mcpmon run`: builds the services, starts the demo, shows where everything is, and stops it all.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use mcp_exporter::{Application, Config, SECTIONS};
use mcpmon_bootstrap::http::health::reachable;
use mcpmon_bootstrap::logging::Logging;
use mcpmon_bootstrap::process::{self, Exit, OrExit as _};
use mcpmon_bootstrap::{Settings, Sources, shutdown};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::demo::{Child, Totals, Traffic, demo_server, drive};
use crate::monitor::Monitor;
use crate::screen::{Health, Screen, Urls};

/// The terminal belongs to the addresses and the totals; what the demo's clients run into, such as
/// refused tokens, is on purpose.
const LOG_FILTER: &str = "warn,rmcp=off";

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
    let monitor = Monitor::build(&args, &exporter_url, demo_url.as_deref())?;
    exporter.ask_monitor(reachable(monitor.address()), monitor.read_token.clone());
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let mut exporter = tokio::spawn(async move { exporter.run(stopped).await });
    let health = Health { url: monitor.url(), reports: monitor.reports() };
    let screen =
        Screen::open(&Urls { exporter: exporter_url, demo: demo_url, health: health.url.clone() });
    let stopped = stop.clone().cancelled_owned();
    let mut monitor = tokio::spawn(async move { monitor.run(stopped).await });
    tokio::select! {
        name = signal => tracing::info!(signal = name, "stopping"),
        () = elapsed(args.duration) => {}
        () = screen.follow(&overview, &health) => {}
        ended = &mut exporter => return ended.or_failed_start()?.or_failed_start(),
        ended = &mut monitor => return ended.or_failed_start()?.or_failed_start(),
        status = died(demo.as_mut()) => {
            let why = format!("the demo's server ended by itself: {status}");
            return Err(Exit::because(process::FAILED, why));
        }
    }
    if let Some(demo) = demo {
        demo.stop().await;
    }
    // The demo's last events have arrived by now: its server flushed them before it ended.
    screen.close(&overview, &health).await;
    stop.cancel();
    monitor.await.or_failed_start()?.or_failed_start()?;
    exporter.await.or_failed_start()?.or_failed_start()
}

pub(crate) fn sources(args: &RunArgs) -> Sources {
    Sources::from_process(args.config.clone(), SECTIONS)
        .alias("METRICS_PORT", "exporter.port")
        .alias("RUST_LOG", "log.filter")
        .alias("SLACK_WEBHOOK_URL", "slack.webhook_url")
        .alias("SLACK_WEBHOOK_URL_FILE", "slack.webhook_url_file")
}

/// How the demo's server ended, if there is one and it does.
async fn died(demo: Option<&mut Demo>) -> String {
    match demo {
        Some(demo) => match demo.server.ended().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        },
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
    server: Child,
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
        let write_token = write_token.map(ExposeSecret::expose_secret);
        let command = demo_server(exporter_url, write_token, options)
            .context("cannot find this program's own file")?;
        let server = Child::start(command).await?;
        let url = Arc::from(server.url());
        let traffic = Traffic { url, seed: args.seed, pace: args.pace };
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let clients = tokio::spawn(drive(traffic, Arc::<Totals>::default(), stopped));
        Ok(Self { server, clients, stop })
    }

    async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.clients.await {
            tracing::error!(%error, "the demo's clients broke down");
        }
        if let Err(error) = self.server.stop().await {
            tracing::error!(%error, "the demo's server could not be stopped");
        }
    }
}
