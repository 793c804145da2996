//! What belongs to a process ends with it, and two observers count a server's calls once.

use mcpmon_testkit::metric::metric;
use serde_json::{Value, json};

use crate::support::{Exporter, call};

const QUICK: [(&str, &str); 1] = [("exporter.source_expiry_seconds", "0.5")];

fn from(source: &str, observer: &str, events: &[Value]) -> Value {
    json!({"server": "s", "source": source, "observer": observer, "events": events})
}

fn connections(value: u64) -> Value {
    json!({"type": "connections", "transport": "stdio", "value": value})
}

#[tokio::test]
async fn a_silent_process_takes_its_readings_along_and_leaves_its_counts() {
    let exporter = Exporter::start(&QUICK).await;
    let readings = [
        connections(2),
        json!({"type": "queue_depth", "tool": "t", "value": 3}),
        json!({"type": "inflight", "tool": "t", "value": 4}),
        json!({"type": "server_started", "name": "n", "uptime_seconds": 5}),
        call("t"),
    ];
    exporter.post(from("p-1", "api", &readings)).await;
    exporter.post(from("p-2", "api", &readings)).await;
    let text = exporter.scrape().await;
    metric("mcp_active_connections").value(4).assert_in(&text);
    metric("mcp_queue_depth").value(6).assert_in(&text);
    metric("mcp_tool_inflight").value(8).assert_in(&text);
    metric("mcp_live_sources").value(2).assert_in(&text);

    let gone = |text: &str| !metric("mcp_live_sources").value(0).find(text).is_empty();
    let text = exporter.scrape_until(gone).await;
    for family in [
        "mcp_active_connections",
        "mcp_queue_depth",
        "mcp_tool_inflight",
        "mcp_server_uptime_seconds",
        "mcp_server_info",
    ] {
        metric(family).assert_absent_in(&text);
    }
    metric("mcp_tool_calls_total").label("status", "success").value(2).assert_in(&text);
}

#[tokio::test]
async fn a_process_that_goes_on_reporting_stays() {
    let exporter = Exporter::start(&QUICK).await;
    exporter.post(from("gone", "api", &[connections(10)])).await;
    // An empty batch is a sign of life as well.
    let alive = async {
        loop {
            exporter.post(from("alive", "api", &[])).await;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    exporter.post(from("alive", "api", &[connections(1)])).await;
    let one = metric("mcp_active_connections").value(1);
    tokio::select! {
        () = alive => unreachable!("it reports for ever"),
        _ = exporter.scrape_until(|text| !one.find(text).is_empty()) => {}
    }
}

#[tokio::test]
async fn a_second_kind_of_observer_is_counted_as_such_and_not_again() {
    let exporter = Exporter::start(&[]).await;
    let calls = [call("t"), call("t"), connections(1)];
    exporter.post(from("sdk-1", "sdk", &calls)).await;
    let reply = exporter.post(from("tap-1", "tap", &calls)).await;
    assert_eq!(reply.json(), json!({"accepted": 3, "rejected": []}));
    exporter.post(from("sdk-2", "sdk", &calls)).await;

    let text = exporter.scrape().await;
    assert_eq!(metric("mcp_tool_calls_total").sum_in(&text), 4.0);
    metric("mcp_duplicate_observer_total").label("server", "s").value(2).assert_in(&text);
    metric("mcp_active_connections").value(2).assert_in(&text);
}

#[tokio::test]
async fn a_tap_has_to_prove_the_names_that_callers_chose() {
    let exporter = Exporter::start(&[]).await;
    let mut failed = call("invented");
    failed["status"] = json!("error");
    let listed =
        json!({"type": "tools_listed", "tools": ["t"], "schema_hash": "h", "complete": true});
    exporter.post(from("tap-1", "tap", &[listed, failed, call("t")])).await;
    let text = exporter.scrape().await;
    let calls = |tool| metric("mcp_tool_calls_total").label("tool_name", tool);
    calls("_other").label("status", "error").value(1).assert_in(&text);
    calls("t").label("status", "success").value(1).assert_in(&text);
    calls("invented").assert_absent_in(&text);
}
