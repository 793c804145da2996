//! The command `mcpmon`.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mcpmon_bootstrap::Settings;
use mcpmon_bootstrap::http::health;
use mcpmon_bootstrap::logging::Logging;
use mcpmon_bootstrap::process::{self, Exit, OrExit as _};

/// DevSkyy MCP Monitoring in one process.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the services without Redis, with demo traffic if wanted
    Run(mcpmon::RunArgs),
    /// The demo's MCP server, which `run --demo` starts as its child
    #[command(hide = true)]
    DemoServer(boutique_server::Args),
    /// The demo's second MCP server, which knows nothing of monitoring
    #[command(hide = true)]
    DemoAtelier(atelier_server::Args),
    /// The demo's clients alone, for a server that runs elsewhere
    #[command(hide = true)]
    DemoClient(mcpmon::DemoClientArgs),
    /// Asks a part of the demo whether it is well; exit code 70 says no
    #[command(hide = true)]
    DemoHealth {
        /// Where it listens
        address: SocketAddr,
    },
}

fn main() -> ExitCode {
    process::run(|| {
        let arguments = Arguments::try_parse().map_err(|error| {
            // A closed terminal is no reason to fail differently.
            let _ = error.print();
            Exit::printed(if error.use_stderr() { process::USAGE } else { 0 })
        })?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .or_failed_start()?;
        match arguments.command {
            Command::Run(args) => runtime.block_on(mcpmon::run(args)),
            Command::DemoServer(args) => {
                log_quietly()?;
                runtime.block_on(boutique_server::run(args)).or_failed_start()
            }
            Command::DemoAtelier(args) => {
                log_quietly()?;
                runtime.block_on(atelier_server::run(args)).or_failed_start()
            }
            Command::DemoClient(args) => {
                runtime.block_on(mcpmon::drive_demo(args)).or_failed_start()
            }
            Command::DemoHealth { address } => health::check(address).or_failed_start(),
        }
    })
}

/// The terminal of a server of the demo may be its parent's.
fn log_quietly() -> Result<(), Exit> {
    Logging::from_settings(&mut Settings::empty(), "warn,rmcp=off").start().or_failed_start()
}
