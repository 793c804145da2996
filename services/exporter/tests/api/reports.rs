//! JSON for the page and for programs: summary, failures, status, alerts, health.

use serde_json::{Value, json};

use crate::support::{Exporter, batch, call, get, post, pretty};

/// A call that failed; whatever else is wanted stands in `more`.
fn failed(tool: &str, more: &Value) -> Value {
    let mut event = call(tool);
    event["status"] = json!("error");
    for (key, value) in more.as_object().unwrap() {
        event[key] = value.clone();
    }
    event
}

/// The reply without what differs from run to run.
fn steady(reply: &Value) -> String {
    const VARYING: [&str; 4] = ["window_seconds", "uptime_seconds", "time", "version"];
    let lines = pretty(reply);
    let steady = lines.lines().map(|line| match line.split_once("\": ") {
        Some((key, _)) if VARYING.iter().any(|name| key.trim() == format!("\"{name}")) => {
            format!("{key}\": …")
        }
        _ => line.to_owned(),
    });
    steady.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_summary_tells_what_was_counted() {
    let exporter = Exporter::start(&[]).await;
    insta::assert_snapshot!(steady(&exporter.json("/api/v1/summary").await), @r#"
{
  "servers": [],
  "tools": [],
  "window_seconds": …
}
"#);
    let mut calls = vec![call("quick"); 19];
    calls.push(failed("quick", &json!({"duration_seconds": 3})));
    calls.push(
        json!({"type": "tool_call", "tool": "slow", "status": "cancelled", "duration_seconds": 20}),
    );
    calls.push(
        json!({"type": "llm_tokens", "provider": "p", "model": "m", "input": 10, "output": 5}),
    );
    exporter.post(batch("boutique", &calls)).await;
    let used = json!({"type": "llm_tokens", "provider": "p", "model": "m", "input": 1});
    exporter.post(batch("only-tokens", &[used])).await;

    let counted = async {
        loop {
            // Totals are kept for a moment; the first reading is older than the batch.
            let summary = exporter.json("/api/v1/summary").await;
            if summary["servers"].as_array().is_some_and(|servers| servers.len() == 2) {
                return summary;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let summary = tokio::time::timeout(crate::support::PATIENCE, counted).await.unwrap();
    insta::assert_snapshot!(steady(&summary));
}

#[tokio::test]
async fn failures_are_listed_by_server_and_tool_newest_first() {
    let exporter = Exporter::start(&[]).await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let events = [
        call("a"),
        failed(
            "a",
            &json!({"error_type": "api_error", "reason": "upstream_5xx", "trace_id": trace, "message": "secret"}),
        ),
        json!({"type": "tool_call", "tool": "a", "status": "timeout", "duration_seconds": 30}),
        json!({"type": "error", "error_type": "internal_error", "reason": "panic"}),
    ];
    exporter.post(batch("s", &events)).await;
    exporter.post(batch("other", &[failed("b", &json!({}))])).await;
    insta::assert_snapshot!(steady(&exporter.json("/api/v1/failures?server=s").await));

    let tools = async |query: &str| {
        let reply = exporter.json(&format!("/api/v1/failures{query}")).await;
        let failures = reply["failures"].as_array().unwrap().clone();
        failures.iter().map(|f| f["tool"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(tools("").await, ["b", "_none", "a", "a"]);
    assert_eq!(tools("?tool=a").await, ["a", "a"]);
    assert_eq!(tools("?limit=1").await, ["b"]);
    assert_eq!(tools("?server=nobody").await, [""; 0]);
    let reply = exporter.send(get("/api/v1/failures?limit=-1")).await;
    assert_eq!(reply.status, 400);
    insta::assert_snapshot!(reply.problem(), @"Query deserialize error: invalid digit found in string");
}

#[tokio::test]
async fn the_last_50_failures_of_a_tool_are_kept() {
    let exporter = Exporter::start(&[]).await;
    let slower = |number: u32| failed("t", &json!({"duration_seconds": number}));
    exporter.post(batch("s", &(0..60).map(slower).collect::<Vec<_>>())).await;
    let reply = exporter.json("/api/v1/failures").await;
    let durations: Vec<_> = reply["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| failure["duration_seconds"].as_f64().unwrap())
        .collect();
    assert_eq!(durations, (10..60).rev().map(f64::from).collect::<Vec<_>>());
}

#[tokio::test]
async fn texts_are_kept_only_when_asked_for_and_without_secrets() {
    let exporter = Exporter::start(&[("exporter.keep_error_text", "true")]).await;
    let text = format!("Bearer abcdefghijklmnop0123 was refused{}", " again".repeat(100));
    exporter.post(batch("s", &[failed("t", &json!({"message": text}))])).await;
    let reply = exporter.json("/api/v1/failures").await;
    let kept = reply["failures"][0]["message"].as_str().unwrap();
    assert!(kept.contains("was refused again") && !kept.contains("abcdefghijklmnop"), "{kept}");
    assert!(kept.chars().count() <= 200, "{kept}");
}

#[tokio::test]
async fn without_a_monitor_the_verdict_is_that_of_the_traffic() {
    let exporter = Exporter::start(&[]).await;
    let mut calls = vec![call("t"); 95];
    calls.extend(vec![failed("t", &json!({})); 5]);
    exporter.post(batch("s", &calls)).await;
    insta::assert_snapshot!(steady(&exporter.json("/api/v1/status").await), @r#"
{
  "alerts": [],
  "repairs": null,
  "verdict": {
    "components": [],
    "left_out": [],
    "reasons": [
      "s: 5.0 % of calls fail"
    ],
    "source": "traffic only",
    "status": "red"
  }
}
"#);
}

#[tokio::test]
async fn health_says_who_answers() {
    let exporter = Exporter::start(&[]).await;
    insta::assert_snapshot!(steady(&exporter.json("/health").await), @r#"
{
  "service": "mcp-exporter",
  "status": "healthy",
  "uptime_seconds": …
  "version": …
}
"#);
    assert_eq!(exporter.send(get("/health/live")).await.body, "ok");
    assert_eq!(exporter.json("/health/ready").await, json!({"status": "ready"}));
}

/// What Alertmanager 0.28 sends.
const NOTIFICATION: &str = include_str!("../testdata/alertmanager.json");

#[tokio::test]
async fn alerts_are_kept_for_the_page() {
    let exporter = Exporter::start(&[]).await;
    let sent = post("/v1/alerts", NOTIFICATION);
    let reply = exporter.send(sent.clone()).await;
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    let alerts = exporter.json("/api/v1/status").await["alerts"].clone();
    insta::assert_snapshot!(pretty(&alerts));

    // Alertmanager sends a whole group again whenever one of it changes.
    exporter.send(sent).await;
    assert_eq!(exporter.json("/api/v1/status").await["alerts"], alerts);
    let text = exporter.scrape().await;
    let received = |status| {
        mcpmon_testkit::metric::metric("mcp_alerts_received_total").label("status", status)
    };
    received("firing").value(2).assert_in(&text);
    received("resolved").value(2).assert_in(&text);
}

#[tokio::test]
async fn the_last_50_alerts_are_kept() {
    let exporter = Exporter::start(&[]).await;
    let alert = |number: u32| json!({"status": "firing", "fingerprint": number.to_string(), "labels": {"alertname": format!("a{number}")}});
    let alerts: Vec<_> = (0..60).map(alert).collect();
    exporter.send(post("/v1/alerts", json!({"version": "4", "alerts": alerts}))).await;
    let status = exporter.json("/api/v1/status").await;
    let kept = status["alerts"].as_array().unwrap();
    assert_eq!(kept.len(), 50);
    assert_eq!((&kept[0]["name"], &kept[49]["name"]), (&json!("a59"), &json!("a10")));
}

#[tokio::test]
async fn what_is_no_notification_is_told_so() {
    let exporter = Exporter::start(&[]).await;
    let mut told = Vec::new();
    for body in ["", "{", "{}", r#"{"alerts":[{"status":"on fire"}]}"#] {
        let reply = exporter.send(post("/v1/alerts", body)).await;
        assert_eq!(reply.status, 400);
        told.push(reply.problem());
    }
    insta::assert_debug_snapshot!(told, @r#"
[
    "the body is not Alertmanager's webhook, version 4: EOF while parsing a value at line 1 column 0",
    "the body is not Alertmanager's webhook, version 4: EOF while parsing an object at line 1 column 1",
    "the body is not Alertmanager's webhook, version 4: missing field `alerts` at line 1 column 2",
    "the body is not Alertmanager's webhook, version 4: unknown variant `on fire`, expected `firing` or `resolved` at line 1 column 30",
]
"#);
}
