//! `atelier-server`: an example of an MCP server that nobody instrumented.

use std::process::ExitCode;

use clap::Parser;

/// An example MCP server of a tailor's atelier, over Streamable HTTP.
///
/// It knows nothing of monitoring: mcp-tap in front of it does. All work is simulated, and every
/// reply says so in its field "simulated".
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    args: atelier_server::Args,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        let _ = error.print();
        std::process::exit(if error.use_stderr() { 64 } else { 0 })
    });
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match atelier_server::run(cli.args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(70)
        }
    }
}
