//! `mcp-conformance-server`: everything that the MCP conformance suites call by name.
//!
//! The suites ask for tools, prompts and resources that no ordinary server has. This one has them,
//! in both eras of the protocol, as far as rmcp goes. It is what the tests put behind `mcp-tap`;
//! nothing in it is instrumented.
//!
//! `house.rs` is what all connections share, `fixture.rs` the handler of one; the names are in
//! `tools.rs`, `prompts.rs` and `resources.rs`. What is said is written as JSON, as the suites'
//! documentation has it, and becomes rmcp's types by `typed`; rmcp takes away what an older era lacks.

mod fixture;
mod house;
mod prompts;
mod resources;
mod rounds;
mod samples;
mod sessions;
mod tools;

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use clap::Parser;
use rmcp::ErrorData;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpListener;

use fixture::Fixture;
use house::House;
use sessions::{RETRY, Sessions};

/// Everything the MCP conformance suites call by name, over Streamable HTTP on loopback.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Where to listen; 0 takes a free port. The address is printed.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        let _ = error.print();
        std::process::exit(if error.use_stderr() { 64 } else { 0 })
    });
    match serve(cli.port).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error:#}");
            ExitCode::from(70)
        }
    }
}

async fn serve(port: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("cannot listen on 127.0.0.1:{port}"))?;
    writeln!(io::stdout(), "listening on http://{}/mcp", listener.local_addr()?)?;

    let house = Arc::new(House::new());
    // Pages of this machine may ask, from any port; the names of loopback are rmcp's default.
    let config = StreamableHttpServerConfig::default()
        .with_allowed_origins(["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"])
        .with_sse_retry(Some(RETRY));
    let mcp = StreamableHttpService::new(
        move || Ok(Fixture::new(Arc::clone(&house))),
        Arc::new(Sessions::new()),
        config,
    );
    axum::serve(listener, Router::new().nest_service("/mcp", mcp)).await?;
    Ok(())
}

/// A value of rmcp's, from the JSON that it is on the wire.
fn typed<T: DeserializeOwned>(json: Value) -> Result<T, ErrorData> {
    serde_json::from_value(json)
        .map_err(|error| ErrorData::internal_error(format!("rmcp cannot hold it: {error}"), None))
}
