//! The end: what was begun is ended, what was acknowledged was counted, exit code 0.

use std::time::Duration;

use mcpmon_testkit::metric::metric;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::{Exporter, PATIENCE, Program, batch, call, get, post};

#[tokio::test]
async fn a_request_that_was_begun_is_ended() {
    let program = Program::start(&[]);
    assert_eq!(program.post(batch("s", &[call("t")])).await.status, 202);
    let calls = metric("mcp_tool_calls_total").label("status", "success");
    calls.value(1).assert_in(&program.scrape().await);

    let mut posting = program.connect().await;
    let last = posting.begin(post("/v1/events", batch("s", &[call("t")]))).await;
    program.terminate();
    let closing = async { while TcpStream::connect(program.address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, closing).await.expect("it never closes its door");

    posting.write(&[last]).await;
    let reply = posting.reply().await;
    assert_eq!((reply.status, reply.closes()), (202, true));
    assert_eq!(reply.body, r#"{"accepted":1,"rejected":[]}"#);
    let (status, log) = program.end().await;
    assert_eq!((status.code(), log.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn what_is_acknowledged_to_the_very_end_is_counted() {
    let exporter = Exporter::start(&[]).await;
    assert_eq!(exporter.post(batch("s", &[call("t")])).await.status, 202);
    let mut posting = exporter.connect().await;
    let last = posting.begin(post("/v1/events", batch("s", &[call("t")]))).await;
    let (overview, address) = (exporter.overview(), exporter.address);
    let stopping = exporter.stop();
    posting.write(&[last]).await;
    assert_eq!(posting.reply().await.status, 202);
    stopping.await.unwrap().unwrap();
    assert_eq!(overview.read().await.unwrap().calls, 2);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn idle_connections_do_not_hold_it_up() {
    let program = Program::start(&[]);
    let mut idle = program.connect().await;
    assert_eq!(idle.send(&get("/health")).await.status, 200);
    let started = Instant::now();
    program.terminate();
    let (status, log) = program.end().await;
    assert_eq!((status.code(), log.as_str()), (Some(0), ""));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(idle.is_closed().await);
}

#[tokio::test]
async fn a_request_that_never_ends_is_dropped_after_the_grace_period() {
    let program = Program::start(&[("exporter.shutdown_grace_seconds", "1")]);
    let mut posting = program.connect().await;
    posting.begin(post("/v1/events", batch("s", &[call("t")]))).await;
    let started = Instant::now();
    program.terminate();
    let (status, log) = program.end().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    assert!(posting.is_closed().await);
}
