//! The in-process server over a real socket.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use mcpmon_sdk::{Monitor, SdkError};
use mcpmon_testkit::http_script::Answer;

use crate::support::{accepted, exporter, flush, monitor, record};

fn request(addr: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

fn get(addr: SocketAddr, path: &str) -> String {
    request(addr, &format!("GET {path} HTTP/1.1\r\nHost: {addr}"))
}

fn assert_line(text: &str, line: &str) {
    assert!(text.lines().any(|known| known == line), "no line {line}\n{text}");
}

#[test]
fn in_process_everything_is_served() {
    let monitor = Monitor::builder("shop").source("shop-1").build().unwrap();
    monitor.call("search").success();
    monitor.llm_tokens("anthropic", "claude-sonnet", 1_000, 500);
    let open = monitor.call("search");
    let addr = monitor.start_metrics_server(0).unwrap();
    assert!(addr.ip().is_loopback());

    let page = get(addr, "/metrics");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("content-type: text/plain; version=0.0.4"), "{page}");
    assert_line(
        &page,
        r#"mcp_tool_calls_total{server="shop",status="success",tool_name="search"} 1"#,
    );
    assert_line(&page, r#"mcp_tool_inflight{server="shop",tool_name="search"} 1"#);
    assert_line(&page, "mcp_sdk_events_dropped_total 0");
    assert!(page.contains("mcp_server_uptime_seconds{server=\"shop\"} "), "{page}");
    open.success();
    assert_line(&get(addr, "/metrics"), r#"mcp_tool_inflight{server="shop",tool_name="search"} 0"#);

    let health = get(addr, "/health");
    let (_, body) = health.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["status"], &body["sink"]), (&"ok".into(), &"in_process".into()));
    assert_eq!((&body["server"], &body["source"]), (&"shop".into(), &"shop-1".into()));
}

#[test]
fn with_an_exporter_only_its_own_numbers_are_served() {
    let script = exporter(|request| match crate::support::numbers([request]).len() {
        2 => Answer::status(400, ""),
        _ => accepted(),
    });
    let monitor = monitor(&script.url()).build().unwrap();
    let addr = monitor.start_metrics_server(0).unwrap();
    record(&monitor, 0..2);
    flush(&monitor);
    let page = get(addr, "/metrics");
    assert_line(&page, "mcp_sdk_events_dropped_total 2");
    assert_line(&get(addr, "/metrics"), "mcp_sdk_events_dropped_total 2");
    assert!(!page.contains("mcp_tool_calls_total{"), "{page}");
    assert!(!page.contains("shop"), "{page}");
    assert!(get(addr, "/health").contains(r#""sink":"exporter""#));
}

#[test]
fn other_requests_are_refused() {
    let monitor = Monitor::builder("shop").build().unwrap();
    let addr = monitor.start_metrics_server(0).unwrap();
    assert!(get(addr, "/").starts_with("HTTP/1.1 404"));
    let posted = request(addr, "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0");
    assert!(posted.starts_with("HTTP/1.1 405") && posted.contains("allow: GET, HEAD"), "{posted}");
    let rebound = request(addr, "GET /metrics HTTP/1.1\r\nHost: evil.example");
    assert!(rebound.starts_with("HTTP/1.1 403") && !rebound.contains("mcp_"), "{rebound}");
    let head = request(addr, "HEAD /metrics HTTP/1.1\r\nHost: localhost");
    assert!(head.starts_with("HTTP/1.1 200") && !head.contains("mcp_"), "{head}");
    assert!(get(addr, "/metrics").starts_with("HTTP/1.1 200"), "it lives on");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let monitor = Monitor::builder("shop").build().unwrap();
    let error = monitor.start_metrics_server(addr.port()).unwrap_err();
    assert!(matches!(error, SdkError::Bind { .. }));
    assert_eq!(error.to_string(), format!("the metrics server cannot listen on {addr}"));
}

#[test]
fn monitors_beside_each_other_share_a_page_and_its_names() {
    let first = Monitor::builder("shop").build().unwrap();
    let second = Monitor::builder("bar").beside(&first).build().unwrap();
    let addr = first.serve_metrics((Ipv4Addr::LOCALHOST, 0).into(), &["tap".into()]).unwrap();
    first.call("search").success();
    second.call("pour").success();
    let open = second.call("pour");

    let page = request(addr, "GET /metrics HTTP/1.1\r\nHost: tap:9464");
    for line in [
        r#"mcp_tool_calls_total{server="shop",status="success",tool_name="search"} 1"#,
        r#"mcp_tool_calls_total{server="bar",status="success",tool_name="pour"} 1"#,
        r#"mcp_tool_inflight{server="bar",tool_name="pour"} 1"#,
        "mcp_sdk_events_dropped_total 0",
    ] {
        assert_line(&page, line);
    }
    let other = second.metrics_text().unwrap();
    assert_line(
        &other,
        r#"mcp_tool_calls_total{server="shop",status="success",tool_name="search"} 1"#,
    );
    open.success();

    // Who is gone says nothing more; what was counted stays.
    drop(second);
    let page = request(addr, "GET /metrics HTTP/1.1\r\nHost: tap");
    assert_line(&page, r#"mcp_tool_calls_total{server="bar",status="success",tool_name="pour"} 2"#);
}
