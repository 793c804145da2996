//! What was acknowledged was counted, and nothing else was.

use futures_util::future::join_all;
use mcpmon_testkit::metric::metric;
use serde_json::json;

use crate::support::{Exporter, batch, call, post};

const CLIENTS: usize = 16;
const BATCHES: usize = 40;

/// Posts batches of changing sizes, with one bad event each, and gives the sum of what the
/// replies called accepted.
async fn client(exporter: &Exporter, number: usize) -> u64 {
    let mut connection = exporter.connect().await;
    let mut accepted = 0;
    for round in 0..BATCHES {
        let mut events = vec![call(&format!("tool-{}", round % 5)); 1 + (number * 7 + round) % 23];
        events.push(json!({"type": "tool_call", "tool": "bad"}));
        let server = format!("server-{}", number % 3);
        let reply = connection.send(&post("/v1/events", batch(&server, &events))).await;
        assert_eq!(reply.status, 202);
        accepted += reply.json()["accepted"].as_u64().unwrap();
    }
    accepted
}

#[tokio::test]
async fn what_clients_were_told_is_what_the_scrape_shows() {
    let exporter = Exporter::start(&[("exporter.workers", "4")]).await;
    let scraping = async {
        loop {
            exporter.scrape().await;
        }
    };
    let posting = join_all((0..CLIENTS).map(|number| client(&exporter, number)));
    let accepted: u64 = tokio::select! {
        accepted = posting => accepted.into_iter().sum(),
        () = scraping => unreachable!("it scrapes for ever"),
    };
    let text = exporter.scrape().await;
    assert_eq!(metric("mcp_tool_calls_total").sum_in(&text), accepted as f64);
    assert_eq!(metric("mcp_request_duration_seconds_count").sum_in(&text), accepted as f64);
    let events = |result| metric("mcp_ingest_events_total").label("result", result);
    events("accepted").value(accepted as f64).assert_in(&text);
    events("rejected").value((CLIENTS * BATCHES) as f64).assert_in(&text);
}
