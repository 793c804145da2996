//! Bodies that are too large, too slow, or compressed to deceive.

use futures_util::future::join_all;
use mcpmon_testkit::metric::metric;

use crate::support::{Exporter, Request, batch, call, get, gzip, post};

/// A batch of that many bytes.
fn batch_of(bytes: usize) -> String {
    let batch = batch("s", &[call("t")]).to_string();
    format!("{batch}{}", " ".repeat(bytes - batch.len()))
}

fn compressed(bytes: &[u8]) -> Request {
    post("/v1/events", "").body(gzip(bytes)).header("content-encoding", "gzip")
}

#[tokio::test]
async fn a_body_may_have_the_limit_and_not_a_byte_more() {
    let exporter = Exporter::start(&[("exporter.max_body_bytes", "4096")]).await;
    assert_eq!(exporter.post(batch_of(4096)).await.status, 202);
    let reply = exporter.post(batch_of(4097)).await;
    assert_eq!((reply.status, reply.closes()), (413, true));
    insta::assert_snapshot!(reply.problem(), @"the body is too large; at most 4096 bytes are accepted");
}

#[tokio::test]
async fn an_announced_length_is_refused_before_the_body() {
    let exporter = Exporter::start(&[]).await;
    let mut connection = exporter.connect().await;
    let length = "content-length: 100000000";
    let head = post("/v1/events", "{}").bytes();
    let head = String::from_utf8(head).unwrap().replace("content-length: 2", length);
    connection.write(head.trim_end_matches('}').as_bytes()).await;
    assert_eq!(connection.reply().await.status, 413);
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn a_body_without_a_length_is_read_up_to_the_limit() {
    let exporter = Exporter::start(&[("exporter.max_body_bytes", "4096")]).await;
    let chunked = |body: &str| {
        let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        post("/v1/events", chunks).header("transfer-encoding", "chunked")
    };
    assert_eq!(exporter.send(chunked(&batch_of(4096))).await.status, 202);
    assert_eq!(exporter.send(chunked(&batch_of(4097))).await.status, 413);
    let text = exporter.scrape().await;
    metric("mcp_ingest_body_bytes_total").value(4096).assert_in(&text);
}

#[tokio::test]
async fn what_a_body_decompresses_to_is_limited() {
    let exporter = Exporter::start(&[("exporter.max_decompressed_bytes", "65536")]).await;
    assert_eq!(exporter.send(compressed(batch_of(65_536).as_bytes())).await.status, 202);
    let reply = exporter.send(compressed(batch_of(65_537).as_bytes())).await;
    assert_eq!(reply.status, 413);
    insta::assert_snapshot!(reply.problem(), @"the body decompresses to too much; at most 65536 bytes are accepted");

    let twice = [gzip(batch_of(40_000).as_bytes()), gzip(&[b' '; 40_000])].concat();
    let reply = exporter.send(compressed(b"").body(twice)).await;
    assert_eq!(reply.status, 413, "members are counted together");
}

#[tokio::test]
async fn what_is_not_gzip_is_told_so() {
    let exporter = Exporter::start(&[]).await;
    let whole = gzip(batch_of(1_000).as_bytes());
    let mut damaged = whole.clone();
    let checksum = damaged.len() - 6;
    damaged[checksum] ^= 1;
    let mut told = Vec::new();
    for body in [b"{}".to_vec(), whole[..whole.len() / 2].to_vec(), damaged, Vec::new()] {
        let reply = exporter.send(compressed(b"").body(body)).await;
        assert_eq!(reply.status, 400);
        told.push(reply.problem());
    }
    insta::assert_debug_snapshot!(told, @r#"
[
    "the body is not gzip: unexpected end of file",
    "the body is not gzip: incomplete deflate stream",
    "the body is not gzip: corrupt gzip stream does not have a matching checksum",
    "the body is not gzip: unexpected end of file",
]
"#);
    metric("mcp_tool_calls_total").assert_absent_in(&exporter.scrape().await);
}

#[tokio::test]
async fn many_compressed_bodies_at_once_are_taken() {
    let exporter = Exporter::start(&[]).await;
    let request = compressed(batch_of(1_000).as_bytes());
    let replies = join_all((0..100).map(|_| exporter.send(request.clone()))).await;
    let accepted = replies.iter().filter(|reply| reply.status == 202).count();
    assert_eq!(accepted, 100);
}

#[tokio::test]
async fn slow_bodies_use_up_the_buffers_and_later_ones_are_told_to_wait() {
    let exporter = Exporter::start(&[
        ("exporter.max_body_bytes", "65536"),
        ("exporter.max_decompressed_bytes", "65536"),
        ("exporter.max_buffered_bytes", "131072"),
    ])
    .await;
    let body = batch_of(65_536);
    let mut slow = [exporter.connect().await, exporter.connect().await];
    let mut last = Vec::new();
    for connection in &mut slow {
        last.push(connection.begin(post("/v1/events", &body)).await);
    }
    let refused = exporter.post(&body).await;
    assert_eq!(refused.status, 429);
    assert_eq!((refused.header("retry-after"), refused.closes()), (Some("1"), true));
    insta::assert_snapshot!(refused.problem(), @"too much is being received at once; try again later");
    assert_eq!(exporter.send(get("/health")).await.status, 200);
    let alerts = exporter.send(post("/v1/alerts", &body)).await;
    assert_eq!(alerts.status, 429, "alerts share the buffers");

    for (connection, byte) in slow.iter_mut().zip(last) {
        connection.write(&[byte]).await;
        assert_eq!(connection.reply().await.status, 202);
    }
    assert_eq!(exporter.post(&body).await.status, 202);
}
