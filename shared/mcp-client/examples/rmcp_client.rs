//! A client made with rmcp alone, one of those that the end-to-end tests put before the tap:
//! `rmcp_client http URL`, or `rmcp_client stdio COMMAND [ARG…]`. Reads calls as JSON,
//! `[[tool, arguments], …]`, and writes what it got for each.

#![expect(clippy::panic, clippy::unwrap_used, reason = "all of this is a test")]

use std::process::Stdio;

use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation, JsonObject,
    ProtocolVersion,
};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt as _, RoleClient, RunningService};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::{IntoTransport, StreamableHttpClientTransport};
use serde_json::{Value, json};
use tokio::process::Command;

type Service = RunningService<RoleClient, ClientConfig>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let calls = serde_json::from_reader(std::io::stdin()).unwrap();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let got = match words.as_slice() {
        ["http", url] => over_http(url, calls).await,
        ["stdio", program, arguments @ ..] => over_stdio(program, arguments, calls).await,
        _ => panic!("expected http URL, or stdio COMMAND [ARG…], not {words:?}"),
    };
    serde_json::to_writer(std::io::stdout(), &got).unwrap();
}

async fn over_http(url: &str, calls: Vec<(String, JsonObject)>) -> Value {
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let service = connect(StreamableHttpClientTransport::from_uri(url)).await;
    let got = converse(&service, calls).await;
    service.cancel().await.unwrap();
    got
}

async fn over_stdio(program: &str, arguments: &[&str], calls: Vec<(String, JsonObject)>) -> Value {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut server = command.spawn().unwrap();
    let (output, input) = (server.stdout.take().unwrap(), server.stdin.take().unwrap());
    let service = connect(AsyncRwTransport::new_client(output, input)).await;
    let got = converse(&service, calls).await;
    service.cancel().await.unwrap();
    assert!(server.wait().await.unwrap().success());
    got
}

/// Asks for the modern revision, and is content with the one before.
async fn connect<T, E, A>(transport: T) -> Service
where
    T: IntoTransport<RoleClient, E, A>,
    E: std::error::Error + Send + Sync + 'static,
{
    let client = Implementation::new("rmcp", "3");
    let config = ClientConfig::new(ClientCapabilities::default(), client);
    let lifecycle = ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
    };
    config.serve_with_lifecycle(transport, lifecycle).await.unwrap()
}

async fn converse(service: &Service, calls: Vec<(String, JsonObject)>) -> Value {
    let tools = service.list_all_tools().await.unwrap();
    let mut tools: Vec<_> = tools.iter().map(|tool| tool.name.to_string()).collect();
    tools.sort();
    let mut answers = Vec::new();
    for (tool, arguments) in calls {
        let asked = CallToolRequestParams::new(tool).with_arguments(arguments);
        answers.push(match service.call_tool(asked).await {
            Ok(result) if result.is_error == Some(true) => json!(["error", result.content]),
            Ok(result) => json!(["success", result.content]),
            Err(error) => json!(["error", error.to_string()]),
        });
    }
    json!([tools, answers])
}
