//! `Idempotency-Key`: a batch that is sent again is answered again and not counted again.

use futures_util::future::join_all;
use mcpmon_testkit::metric::metric;
use serde_json::json;

use crate::support::{Exporter, Request, batch, call, post};

fn keyed(batch: impl ToString, key: &str) -> Request {
    post("/v1/events", batch).header("idempotency-key", key)
}

async fn calls(exporter: &Exporter) -> f64 {
    metric("mcp_tool_calls_total").sum_in(&exporter.scrape().await)
}

#[tokio::test]
async fn a_key_is_counted_once_and_answered_alike() {
    let exporter = Exporter::start(&[]).await;
    let events = batch("s", &[call("t"), json!({"type": "nonsense"}), call("t")]);
    let first = exporter.send(keyed(&events, "k-1")).await;
    let second = exporter.send(keyed(&events, "k-1")).await;
    assert_eq!((first.status, &first.body), (202, &second.body));
    assert_eq!(calls(&exporter).await, 2.0);

    exporter.send(keyed(&events, "k-2")).await;
    assert_eq!(calls(&exporter).await, 4.0);
    exporter.post(&events).await;
    exporter.post(&events).await;
    assert_eq!(calls(&exporter).await, 8.0);
    let text = exporter.scrape().await;
    metric("mcp_ingest_events_total").label("result", "replayed").value(2).assert_in(&text);
}

#[tokio::test]
async fn a_key_belongs_to_its_source() {
    let exporter = Exporter::start(&[]).await;
    for source in ["p-1", "p-2", "p-1"] {
        let events = json!({"server": "s", "source": source, "events": [call("t")]});
        exporter.send(keyed(events, "k")).await;
    }
    assert_eq!(calls(&exporter).await, 2.0);
}

#[tokio::test]
async fn lines_have_keys_as_well() {
    let exporter = Exporter::start(&[]).await;
    let mut line = call("t");
    line["server"] = json!("s");
    line["source"] = json!("p");
    let lines = keyed(format!("not json\n{line}\n{line}"), "k");
    let lines = lines.header("content-type", "application/x-ndjson");
    let first = exporter.send(lines.clone()).await;
    assert_eq!(exporter.send(lines).await.body, first.body);
    assert_eq!(calls(&exporter).await, 2.0);
}

#[tokio::test]
async fn a_key_that_is_sent_from_all_sides_at_once_is_counted_once() {
    let exporter = Exporter::start(&[("exporter.workers", "4")]).await;
    let events = batch("s", &vec![call("t"); 100]);
    let replies = join_all((0..64).map(|_| exporter.send(keyed(&events, "k")))).await;
    for reply in replies {
        assert_eq!(reply.json()["accepted"], 100);
    }
    assert_eq!(calls(&exporter).await, 100.0);
}

#[tokio::test]
async fn a_batch_that_was_refused_whole_may_be_put_right_under_its_key() {
    let exporter = Exporter::start(&[]).await;
    assert_eq!(exporter.send(keyed("{", "k")).await.status, 400);
    assert_eq!(exporter.send(keyed(batch("s", &[call("t")]), "k")).await.status, 202);
    assert_eq!(calls(&exporter).await, 1.0);
}

#[tokio::test]
async fn a_key_has_1_to_256_ascii_characters() {
    let exporter = Exporter::start(&[]).await;
    let events = batch("s", &[call("t")]);
    assert_eq!(exporter.send(keyed(&events, &"k".repeat(256))).await.status, 202);
    for key in [String::new(), "k".repeat(257), "é".to_owned()] {
        let reply = exporter.send(keyed(&events, &key)).await;
        assert_eq!(reply.status, 400, "{key}");
        assert_eq!(reply.problem(), "Idempotency-Key: expected 1 to 256 ASCII characters");
    }
    assert_eq!(calls(&exporter).await, 1.0);
}
