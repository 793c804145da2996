//! The program itself: its announcement, its ends, standard input and output.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::process::Stdio;
use std::time::Duration;

use rmcp::ServiceExt;
use rmcp::model::CallToolRequestParams;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

fn program(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_boutique-server"))
        .args(arguments)
        .env_remove("MCP_EXPORTER_URL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn exit_code(mut child: Child) -> Option<i32> {
    let ended = tokio::time::timeout(Duration::from_secs(20), child.wait());
    ended.await.expect("the program ends").unwrap().code()
}

#[tokio::test]
async fn it_says_where_it_listens_and_ends_with_its_stdin() {
    let mut child = program(&["--listen", "127.0.0.1:0", "--until-stdin-ends"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let address = line.strip_prefix("listening on http://").unwrap().strip_suffix("/mcp").unwrap();
    tokio::net::TcpStream::connect(address).await.unwrap();
    drop(child.stdin.take());
    assert_eq!(exit_code(child).await, Some(0));
}

/// The status of a request under that name.
async fn asked_as(address: &str, host: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!("POST /mcp HTTP/1.0\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let line = BufReader::new(stream).lines().next_line().await.unwrap().unwrap();
    line.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn it_answers_to_loopback_and_to_the_names_that_it_was_given() {
    let mut child = program(&["--listen", "127.0.0.1:0", "--allow-host", "shop.example"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let address = line.strip_prefix("listening on http://").unwrap().strip_suffix("/mcp").unwrap();
    assert_eq!(asked_as(address, "evil.example").await, "403");
    // An empty request is none that MCP accepts, and it was let in.
    for host in [address, "shop.example", "shop.example:8765"] {
        assert_ne!(asked_as(address, host).await, "403", "{host}");
    }
}

#[tokio::test]
async fn it_serves_standard_input_and_output() {
    let mut child = program(&["--stdio", "--pace", "0.05"]);
    let streams = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    let client = ().serve(streams).await.unwrap();
    assert_eq!(client.list_all_tools().await.unwrap().len(), boutique_server::tool_names().count());
    let reply = client.call_tool(CallToolRequestParams::new("check_health")).await.unwrap();
    assert_eq!(reply.is_error, Some(false));
    client.cancel().await.unwrap();
    assert_eq!(exit_code(child).await, Some(0));
}

#[tokio::test]
async fn bad_usage_is_64_and_a_port_in_use_is_70() {
    let holder = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    assert_eq!(exit_code(program(&["--pace", "0"])).await, Some(64));
    assert_eq!(exit_code(program(&["--stdio", "--listen", &taken])).await, Some(64));
    assert_eq!(exit_code(program(&["--listen", &taken])).await, Some(70));
}
