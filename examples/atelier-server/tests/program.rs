//! The program, and real clients of both eras that use it.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::process::Stdio;
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::model::{CallToolRequestParams, CallToolResult, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

type Client = RunningService<RoleClient, ()>;

/// A running atelier, whose work takes a twentieth of its simulated time.
struct Atelier {
    process: Child,
    address: String,
}

impl Atelier {
    async fn open(more: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_atelier-server"))
            .args(["--listen", "127.0.0.1:0", "--pace", "0.05"])
            .args(more)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        let address = line.strip_prefix("listening on http://").unwrap();
        let address = address.strip_suffix("/mcp").unwrap().to_owned();
        Self { process, address }
    }

    async fn connect(&self, era: ClientLifecycleMode) -> Client {
        // Another crate of the build may have given reqwest TLS without a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = format!("http://{}/mcp", self.address);
        let config = StreamableHttpClientTransportConfig::with_uri(url);
        let transport = StreamableHttpClientTransport::with_client(reqwest::Client::new(), config);
        ().serve_with_lifecycle(transport, era).await.unwrap()
    }

    /// The status of a request under that name.
    async fn status(&self, request: &str, host: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let head = format!("{request} HTTP/1.0\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        reply.split(' ').nth(1).unwrap().to_owned()
    }
}

fn eras() -> [ClientLifecycleMode; 2] {
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    [ClientLifecycleMode::Initialize, ClientLifecycleMode::Discover { preferred_versions }]
}

async fn call(
    client: &Client,
    tool: &'static str,
    arguments: Value,
) -> Result<CallToolResult, ServiceError> {
    let arguments = arguments.as_object().unwrap().clone();
    client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await
}

#[tokio::test]
async fn every_tool_says_that_it_only_pretends() {
    let atelier = Atelier::open(&[]).await;
    for era in eras() {
        let client = atelier.connect(era).await;
        let listed = client.list_all_tools().await.unwrap();
        let listed: Vec<_> = listed.into_iter().map(|tool| tool.name.into_owned()).collect();
        assert_eq!(listed, atelier_server::tool_names().collect::<Vec<_>>());
        let calls = [
            ("search_archive", json!({ "garment": "cape", "decade": 1960 })),
            ("take_measurements", json!({ "chest": 96.0, "waist": 80.0 })),
            ("grade_pattern", json!({ "pattern": "A-7", "size": 40 })),
            ("run_embroidery", json!({ "motif": "a heron", "stitches": 600 })),
        ];
        assert_eq!(calls.len(), listed.len());
        for (tool, arguments) in calls {
            let reply = call(&client, tool, arguments).await.unwrap();
            assert_eq!(reply.is_error, Some(false), "{tool}");
            assert_eq!(reply.structured_content.unwrap()["simulated"], json!(true), "{tool}");
        }
    }
}

#[tokio::test]
async fn each_fault_is_answered_in_its_own_way() {
    let atelier = Atelier::open(&[]).await;
    for era in eras() {
        let client = atelier.connect(era).await;
        for (tool, arguments, words) in [
            ("search_archive", json!({ "decade": 1960 }), "missing field `garment`"),
            ("iron_shirt", json!({}), "unknown tool"),
        ] {
            let Err(ServiceError::McpError(error)) = call(&client, tool, arguments).await else {
                panic!("expected a JSON-RPC error")
            };
            assert_eq!((error.code.0, &*error.message), (-32602, words));
        }
        let off = json!({ "chest": 96.0, "waist": 8.0 });
        let reply = call(&client, "take_measurements", off).await.unwrap();
        assert_eq!(reply.is_error, Some(true));
        let said = &reply.structured_content.unwrap()["error"];
        assert_eq!(said, "waist is 8 cm; the tape measures 50 to 160 cm");
    }
}

#[tokio::test]
async fn one_pattern_of_a_bolt_cannot_be_cut() {
    let atelier = Atelier::open(&[]).await;
    let [_, era] = eras();
    let client = atelier.connect(era).await;
    let mut failed = Vec::new();
    for number in 1..=50 {
        let grading = json!({ "pattern": "A-7", "size": 40 });
        if call(&client, "grade_pattern", grading).await.unwrap().is_error == Some(true) {
            failed.push(number);
        }
    }
    assert_eq!(failed, [25, 50]);
}

#[tokio::test]
async fn it_answers_to_loopback_and_to_the_names_that_it_was_given() {
    let atelier = Atelier::open(&["--allow-host", "atelier.example"]).await;
    assert_eq!(atelier.status("POST /mcp", "evil.example").await, "403");
    // An empty request is none that MCP accepts, and it was let in.
    for host in ["localhost", "atelier.example", "atelier.example:8000"] {
        assert_ne!(atelier.status("POST /mcp", host).await, "403", "{host}");
    }
    assert_eq!(atelier.status("GET /health/ready", "localhost").await, "200");
    assert_eq!(atelier.status("GET /metrics", "localhost").await, "404");
}

#[tokio::test]
async fn it_ends_when_it_is_told_to_though_a_client_is_connected() {
    let [legacy, _] = eras();
    let mut atelier = Atelier::open(&[]).await;
    let client = atelier.connect(legacy).await;
    assert_eq!(client.list_all_tools().await.unwrap().len(), 4);
    let id = atelier.process.id().unwrap().to_string();
    let told = Command::new("kill").args(["-TERM", &id]).status().await.unwrap();
    assert!(told.success());
    let ended = tokio::time::timeout(Duration::from_secs(20), atelier.process.wait()).await;
    assert_eq!(ended.unwrap().unwrap().code(), Some(0));
}

#[tokio::test]
async fn bad_usage_is_64_and_a_port_in_use_is_70() {
    let atelier = Atelier::open(&[]).await;
    for (arguments, code) in [(["--pace", "0"], 64), (["--listen", atelier.address.as_str()], 70)] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_atelier-server"));
        let output = program.args(arguments).stdin(Stdio::null()).output().await.unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}
