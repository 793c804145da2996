//! Servers that other people wrote. `make nextest` says where they are.

use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::Duration;

use mcpmon_mcp_client::{Canary, CanaryResult, Command, Connector, Fault, Session, Target};
use tokio::time::{sleep, timeout};

use crate::support::*;

/// A server that listens; it ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn folder(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run `make nextest`"))
}

fn python(program: &str) -> String {
    format!("{}/{program}", folder("MCPMON_E2E_PYTHON"))
}

fn everything() -> String {
    let modules = folder("MCPMON_E2E_NODE_MODULES");
    format!("{modules}/@modelcontextprotocol/server-everything/dist/index.js")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn run(words: &[&str], port: u16) -> Running {
    let child = std::process::Command::new(words[0])
        .args(&words[1..])
        .env("PORT", port.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Running(child.unwrap())
}

/// Tries until the server listens.
async fn open(connector: &Connector) -> Result<Session, Fault> {
    let trying = async {
        loop {
            match connector.open(PATIENCE).await {
                Err(Fault::Refused) => sleep(Duration::from_millis(50)).await,
                result => return result,
            }
        }
    };
    timeout(PATIENCE, trying).await.expect("the server listens")
}

/// Asks twice, and calls a canary.
async fn is_well(
    mut session: Session,
    version: &str,
    canary: &str,
    arguments: serde_json::Value,
    expected: &str,
) {
    assert_eq!(session.server().protocol_version, version);
    assert!(session.server().has_tools && !session.server().name.is_empty());
    session.ping(PATIENCE).await.unwrap();
    let listing = session.list_tools(PATIENCE).await.unwrap();
    assert_eq!(listing.incomplete, None);
    assert!(listing.tools.values().all(|tool| tool.schema_valid), "{listing:?}");
    assert_eq!(session.list_tools(PATIENCE).await.unwrap(), listing);
    let canary = Canary {
        tool: canary.to_owned(),
        arguments: arguments.as_object().unwrap().clone(),
        expect_contains: Some(expected.to_owned()),
        allow_writes: true,
    };
    assert_eq!(session.canary(&canary, &listing, PATIENCE).await.unwrap(), CanaryResult::Passed);
    session.close().await;
}

#[tokio::test]
async fn server_time_speaks_the_modern_revision_over_stdio() {
    let connector = to_program(&[&python("mcp-server-time"), "--local-timezone", "UTC"]);
    let session = connector.open(PATIENCE).await.unwrap();
    let zone = serde_json::json!({"timezone": "UTC"});
    is_well(session, "2026-07-28", "get_current_time", zone, "UTC").await;
}

#[tokio::test]
async fn server_git_speaks_the_modern_revision_over_stdio() {
    let repository = tempfile::tempdir().unwrap();
    let made =
        std::process::Command::new("git").args(["init", "-q"]).arg(repository.path()).status();
    assert!(made.unwrap().success());
    let place = repository.path().display().to_string();
    let program = Command {
        cwd: Some(repository.path().to_owned()),
        ..command(&[&python("mcp-server-git"), "--repository", &place])
    };
    let session = Connector::new(Target::Command(program)).unwrap().open(PATIENCE).await.unwrap();
    let path = serde_json::json!({"repo_path": place});
    is_well(session, "2026-07-28", "git_status", path, "No commits yet").await;
}

#[tokio::test]
async fn server_everything_speaks_an_older_revision_over_stdio() {
    let session = to_program(&["node", &everything(), "stdio"]).open(PATIENCE).await.unwrap();
    let message = serde_json::json!({"message": "silk"});
    is_well(session, "2025-11-25", "echo", message, "silk").await;
}

#[tokio::test]
async fn server_everything_speaks_an_older_revision_over_http() {
    let port = free_port();
    let _server = run(&["node", &everything(), "streamableHttp"], port);
    let connector = to_url(&format!("http://127.0.0.1:{port}/mcp"));
    let session = open(&connector).await.unwrap();
    let message = serde_json::json!({"message": "silk"});
    is_well(session, "2025-11-25", "echo", message, "silk").await;
}

#[tokio::test]
async fn a_server_of_the_python_sdk_speaks_the_modern_revision_over_http() {
    const SERVER: &str = "
import os
from mcp.server import MCPServer
server = MCPServer('boutique')
@server.tool()
def price(name: str) -> str:
    return name + ': 90 euros'
server.run('streamable-http', port=int(os.environ['PORT']))
";
    let port = free_port();
    let _server = run(&[&python("python"), "-c", SERVER], port);
    let session = open(&to_url(&format!("http://127.0.0.1:{port}/mcp"))).await.unwrap();
    let name = serde_json::json!({"name": "scarf"});
    is_well(session, "2026-07-28", "price", name, "scarf: 90 euros").await;
}

#[tokio::test]
async fn server_everything_over_sse_is_not_supported() {
    let port = free_port();
    let _server = run(&["node", &everything(), "sse"], port);
    let fault = open(&to_url(&format!("http://127.0.0.1:{port}/sse"))).await.map(drop).unwrap_err();
    assert_eq!(fault, Fault::UnsupportedTransport);
}
