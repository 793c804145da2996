//! The servers beside the exporter: one that only parses, a Python stack, and pushgateway.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::process::Command;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, PayloadConfig};
use actix_web::{App, HttpResponse, HttpServer, rt};
use anyhow::Context;
use mcpmon_metrics::wire;

use super::{SERVER_CORE, Server, body};
use crate::process::{self, Running};
use crate::workload::{Calls, SERVER};
use crate::{debian, http, product, python};

/// The exporter's limit for a body.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Parses batches and forgets them: what the exporter's own HTTP and JSON cost. Runs until killed.
pub(crate) fn parse_only() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
    crate::say(&format!("listening on http://{}", listener.local_addr()?))?;
    let server = HttpServer::new(|| {
        App::new()
            .app_data(PayloadConfig::new(MAX_BODY_BYTES))
            .route("/v1/events", web::post().to(parse))
    });
    rt::System::new()
        .block_on(server.workers(1).listen(listener)?.run())
        .context("the server failed")
}

async fn parse(body: Bytes) -> HttpResponse {
    match wire::parse_batch(&body) {
        Ok(batch) => {
            let accepted = batch.events.iter().filter(|event| event.is_ok()).count();
            let reply = format!("{{\"accepted\":{accepted},\"rejected\":[]}}");
            HttpResponse::Accepted().content_type("application/json").body(reply)
        }
        Err(error) => HttpResponse::build(StatusCode::BAD_REQUEST).body(error.to_string()),
    }
}

pub(super) fn parse_only_server() -> anyhow::Result<Server> {
    events_server("parse only", &process::helper("parse-only-helper")?)
}

pub(super) fn python() -> anyhow::Result<Server> {
    events_server("uvicorn, starlette, orjson, prometheus_client", &python::command("ingest.py")?)
}

fn events_server(name: &'static str, command: &Command) -> anyhow::Result<Server> {
    let (process, address) = product::serve(&mut process::pinned(SERVER_CORE, command))?;
    let (path, content_type) = ("/v1/events", "application/json");
    Ok(Server { name, process, address, path, content_type, body })
}

/// Takes one sample for an event; it replaces and does not add, so it does less.
pub(super) fn pushgateway() -> anyhow::Result<Server> {
    // It does not say which port it got, so it is given one that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut command = Command::new(debian::program("prometheus-pushgateway")?);
    command.arg(format!("--web.listen-address={address}")).arg("--log.level=error");
    let process = Running::start(&mut process::pinned(SERVER_CORE, &command))?;
    http::await_answer(&address, "/-/ready")?;
    let (path, content_type) = ("/metrics/job/bench", "text/plain; version=0.0.4");
    Ok(Server { name: "pushgateway", process, address, path, content_type, body: samples })
}

fn samples(batch: usize) -> String {
    let calls = Calls::new();
    let names = calls.names();
    let mut text = String::new();
    for place in 0..batch {
        // A push may hold a series only once, so each event has a tool of its own.
        let (tool, seconds) = (&names[place % names.len()], calls.at(place).seconds);
        writeln!(
            text,
            "mcp_request_duration_seconds{{server=\"{SERVER}\",tool_name=\"{tool}\"}} {seconds}"
        )
        .expect("a String takes everything");
    }
    text
}
