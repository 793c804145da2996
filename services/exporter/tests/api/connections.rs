//! Clients that are slow, that leave, and that stay.

use std::time::Duration;

use futures_util::future::join_all;
use mcpmon_testkit::metric::metric;
use tokio::time::Instant;

use crate::support::{Exporter, Request, batch, call, get, post};

const QUICK: [(&str, &str); 2] =
    [("exporter.request_timeout_seconds", "0.3"), ("exporter.keep_alive_seconds", "0.3")];

#[tokio::test]
async fn a_slow_body_is_ended_and_others_are_served_meanwhile() {
    let exporter = Exporter::start(&QUICK).await;
    let bytes = post("/v1/events", batch("s", &[call("t")])).bytes();
    let mut slow = exporter.connect().await;
    let started = Instant::now();
    slow.write(&bytes[..bytes.len() - 10]).await;
    assert_eq!(exporter.post(batch("s", &[call("t")])).await.status, 202);
    let reply = slow.reply().await;
    assert_eq!((reply.status, reply.closes()), (408, true));
    insta::assert_snapshot!(reply.problem(), @"the body did not arrive within 0.3 s");
    assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    assert!(slow.is_closed().await);

    let text = exporter.scrape().await;
    metric("mcp_tool_calls_total").label("status", "success").value(1).assert_in(&text);
    metric("mcp_ingest_requests_total").label("code", "408").value(1).assert_in(&text);
}

#[tokio::test]
async fn a_body_that_trickles_is_as_slow_as_one_that_stops() {
    let exporter = Exporter::start(&QUICK).await;
    let bytes = post("/v1/events", batch("s", &[call("t")])).bytes();
    let mut slow = exporter.connect().await;
    for byte in &bytes[..bytes.len() - 1] {
        if !slow.try_write(&[*byte]).await {
            break;
        }
        // The client's own pace, far below the limit for the whole.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(slow.reply().await.status, 408);
}

#[tokio::test]
async fn a_slow_head_is_ended_and_others_are_served_meanwhile() {
    let exporter = Exporter::start(&QUICK).await;
    let mut slow = exporter.connect().await;
    slow.write(b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\nx-slow: 1").await;
    assert_eq!(exporter.send(get("/health")).await.status, 200);
    assert_eq!(slow.reply().await.status, 408);
    assert!(slow.is_closed().await);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_ended() {
    let exporter = Exporter::start(&QUICK).await;
    let mut silent = exporter.connect().await;
    assert_eq!(silent.reply().await.status, 408);
}

#[tokio::test]
async fn a_second_head_may_not_be_slow_either() {
    let exporter = Exporter::start(&QUICK).await;
    let mut connection = exporter.connect().await;
    assert_eq!(connection.send(&get("/health")).await.status, 200);
    connection.write(b"GET /health HTTP/1.1\r\nhost: local").await;
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn a_connection_between_two_requests_is_not_kept_for_ever() {
    let exporter = Exporter::start(&QUICK).await;
    let mut connection = exporter.connect().await;
    assert_eq!(connection.send(&get("/health")).await.status, 200);
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn a_client_that_does_not_read_its_reply_is_let_go() {
    let exporter = Exporter::start(&QUICK).await;
    let tools: Vec<_> = (0..250).map(|number| call(&format!("t{number}"))).collect();
    exporter.post(batch("s", &tools)).await;
    let mut connection = exporter.connect().await;
    let scrapes = get("/metrics").bytes().repeat(100);
    connection.write(&scrapes).await;
    let mut replies = 0;
    // The exporter goes on only when this reads; it may not wait for that any longer.
    tokio::time::sleep(Duration::from_secs(1)).await;
    while connection.try_reply().await.is_some() {
        replies += 1;
    }
    assert!(replies < 100, "{replies} replies waited to be read");
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let exporter = Exporter::start(&[]).await;
    let mut connection = exporter.connect().await;
    connection.write(b"GET /health HTTP/1.1\r\nhost: localhost\r\nx-long: ").await;
    while connection.try_write(&[b'x'; 65_536]).await {}
    assert_eq!(exporter.send(get("/health")).await.status, 200);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_is_not_counted() {
    let exporter = Exporter::start(&[]).await;
    let bytes = post("/v1/events", batch("s", &[call("t")])).bytes();
    let mut leaving = exporter.connect().await;
    leaving.write(&bytes[..bytes.len() - 1]).await;
    drop(leaving);
    let broken = metric("mcp_ingest_requests_total").label("code", "400").value(1);
    let text = exporter.scrape_until(|text| !broken.find(text).is_empty()).await;
    metric("mcp_tool_calls_total").assert_absent_in(&text);
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let exporter = Exporter::start(&[]).await;
    let mut connection = exporter.connect().await;
    let good = post("/v1/events", batch("s", &[call("t")]));
    for request in [&good, &good, &post("/v1/events", "{"), &good, &get("/metrics"), &good] {
        let reply = connection.send(request).await;
        assert!(!reply.closes(), "{reply:?}");
    }
    let text = exporter.scrape().await;
    metric("mcp_tool_calls_total").label("status", "success").value(4).assert_in(&text);
}

#[tokio::test]
async fn a_refused_request_ends_its_connection() {
    let exporter = Exporter::start(&[("exporter.write_token", "w")]).await;
    let body = "x".repeat(1_000_000);
    let chunked = |request: Request| {
        request.header("transfer-encoding", "chunked").body(format!("f4240\r\n{body}"))
    };
    let good = || post("/v1/events", &body).bearer("w");
    let refused = [
        post("/v1/events", &body),
        chunked(post("/v1/events", &body)),
        good().header("content-type", "text/plain"),
        chunked(good().header("content-type", "text/plain")),
        good().header("host", "evil.example"),
        post("/v1/nothing", &body),
        chunked(post("/v1/nothing", &body)),
        chunked(post("/metrics", &body)),
        post("/v1/events", body.repeat(2)).bearer("w"),
    ];
    join_all(refused.iter().map(async |request| {
        let bytes = request.bytes();
        let mut connection = exporter.connect().await;
        // A part of the body must not be taken for the next request.
        connection.write(&bytes[..bytes.len() - 500_000]).await;
        let reply = connection.reply().await;
        assert!(reply.closes(), "{reply:?}");
        assert!(connection.is_closed().await);
    }))
    .await;
}
