//! `--metrics`: the numbers on the tap's own page, for as long as the tap runs.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};

use mcpmon_testkit::program::until;

use super::*;

/// Answers a call, and stays.
const SERVER: &str = r#"read -r _; printf '%s\n' '{"id":1,"result":{}}'; cat"#;
const CALL: &[u8] = b"{\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"a\"}}\n";
const COUNTED: &str = r#"mcp_tool_calls_total{server="test",status="success",tool_name="a"} 1"#;

fn with_page(address: &str) -> Command {
    let mut command = bare();
    command.env("MCP_TAP_LOG", "info");
    command.args(["--server", "test", "--metrics", address, "--", "sh", "-c", SERVER]);
    command
}

/// The first line of the log that holds `word`.
fn said(log: &mut impl BufRead, word: &str) -> String {
    log.lines().map(Result::unwrap).find(|line| line.contains(word)).unwrap()
}

fn get(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_page_counts_while_the_server_runs() {
    let mut child = with_page("127.0.0.1:0").spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let line_of_log = said(&mut log, "metrics on http://");
    let (_, rest) = line_of_log.split_once("http://").unwrap();
    let address = rest.split('/').next().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(CALL).unwrap();
    line(child.stdout.as_mut().unwrap());
    // The observer reads behind the traffic.
    until("the call is counted", || get(address).lines().any(|line| line == COUNTED).then_some(()));
    drop(stdin);
    assert!(child.wait().unwrap().success());
    assert!(TcpStream::connect(address).is_err(), "the page goes with the tap");
}

#[test]
fn a_page_that_cannot_be_served_costs_the_client_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = converse(with_page(&address), CALL.to_vec());
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), "{\"id\":1,\"result\":{}}\n");
    assert!(text(&output.stderr).contains(&address), "{}", text(&output.stderr));
}
