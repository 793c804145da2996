//! The command `mcp-exporter`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use mcp_exporter::{Application, Config, SECTIONS};
use mcpmon_bootstrap::http::health;
use mcpmon_bootstrap::logging::Logging;
use mcpmon_bootstrap::process::{self, Exit, OrExit as _};
use mcpmon_bootstrap::{Settings, Sources, shutdown};

/// Takes events about MCP servers and serves them as Prometheus metrics.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// TOML file; docs/CONFIG.md lists its keys and the environment variables over them
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Checks the configuration and ends
    #[arg(long)]
    check_config: bool,
    /// Asks the exporter that runs with this configuration whether it is ready; exit code 70 says no
    #[arg(long, conflicts_with = "check_config")]
    health: bool,
}

fn main() -> ExitCode {
    process::run(|| {
        let arguments = Arguments::try_parse().map_err(|error| {
            // A closed terminal is no reason to fail differently.
            let _ = error.print();
            Exit::printed(if error.use_stderr() { process::USAGE } else { 0 })
        })?;
        let sources = Sources::from_process(arguments.config, SECTIONS)
            .alias("METRICS_PORT", "exporter.port")
            .alias("RUST_LOG", "log.filter");
        let mut settings = Settings::load(sources)?;
        let config = Config::read(&mut settings);
        let logging = Logging::from_settings(&mut settings, "info,actix_server=warn");
        settings.finish()?;
        if arguments.check_config {
            return Ok(());
        }
        if arguments.health {
            return health::check(config.listen.address).or_failed_start();
        }
        logging.start().or_failed_start()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.or_failed_start()?.block_on(async {
            let application = Application::build(config).or_failed_start()?;
            let stop = shutdown::requested().or_failed_start()?;
            process::announce(application.address());
            application.run(async { _ = stop.await }).await.or_failed_start()
        })
    })
}
