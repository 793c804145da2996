//! What is taken, and what each wrong body or event is told.

use mcpmon_testkit::metric::metric;
use serde_json::json;

use crate::support::{Exporter, batch, call, gzip, post, pretty};

#[tokio::test]
async fn the_documented_batch_is_counted() {
    let exporter = Exporter::start(&[]).await;
    let reply = exporter
        .post(
            r#"{"server":"boutique","source":"boutique-7f3a","observer":"api","events":[
  {"type":"tool_call","tool":"search_catalogue","status":"success","duration_seconds":0.042,"request_bytes":180,"response_bytes":5120},
  {"type":"tool_call","tool":"generate_3d","status":"error","error_type":"api_error","reason":"upstream_5xx","duration_seconds":2.1},
  {"type":"llm_tokens","provider":"anthropic","model":"claude-sonnet-4-5","input":1000,"output":500}]}"#,
        )
        .await;
    assert_eq!((reply.status, reply.body.as_str()), (202, r#"{"accepted":3,"rejected":[]}"#));
    assert_eq!(reply.header("content-type"), Some("application/json"));

    let text = exporter.scrape().await;
    let of = |name, tool| metric(name).label("server", "boutique").label("tool_name", tool);
    let calls = |tool, status| of("mcp_tool_calls_total", tool).label("status", status);
    calls("search_catalogue", "success").value(1).assert_in(&text);
    calls("search_catalogue", "error").value(0).assert_in(&text);
    calls("generate_3d", "error").value(1).assert_in(&text);
    of("mcp_request_size_bytes_sum", "search_catalogue").value(180).assert_in(&text);
    of("mcp_response_size_bytes_sum", "search_catalogue").value(5120).assert_in(&text);
    of("mcp_request_duration_seconds_sum", "generate_3d").value(2.1).assert_in(&text);
    of("mcp_errors_total", "generate_3d")
        .label("error_type", "api_error")
        .label("reason", "upstream_5xx")
        .value(1)
        .assert_in(&text);
    let tokens = metric("mcp_llm_tokens_total").label("model", "claude-sonnet-4-5");
    tokens.clone().label("type", "input").value(1000).assert_in(&text);
    tokens.label("type", "output").value(500).assert_in(&text);
    metric("mcp_llm_cost_usd_total").label("provider", "anthropic").assert_in(&text);
    metric("mcp_ingest_requests_total").label("code", "202").value(1).assert_in(&text);
    metric("mcp_ingest_events_total").label("result", "accepted").value(3).assert_in(&text);
}

#[tokio::test]
async fn every_type_of_event_has_its_family() {
    let exporter = Exporter::start(&[]).await;
    let events = [
        call("t"),
        json!({"type": "operation", "method": "tools/list", "duration_seconds": 0.1, "transport": "http"}),
        json!({"type": "error", "error_type": "internal_error", "reason": "panic"}),
        json!({"type": "rate_limit", "limit_type": "per_minute", "count": 2}),
        json!({"type": "connections", "transport": "http", "value": 3}),
        json!({"type": "queue_depth", "tool": "t", "value": 4}),
        json!({"type": "inflight", "tool": "t", "value": 5}),
        json!({"type": "server_started", "name": "n", "version": "1", "uptime_seconds": 60}),
        json!({"type": "tools_listed", "tools": ["t"], "schema_hash": "h", "complete": true}),
        json!({"type": "agent_usage", "agent": "a", "category": "c"}),
        json!({"type": "llm_tokens", "provider": "p", "model": "m", "input": 6}),
        json!({"type": "generation_3d", "status": "pending"}),
        json!({"type": "auth_failure", "reason": "expired_token"}),
        json!({"type": "validation_failure", "tool": "t", "validation_type": "schema"}),
        json!({"type": "security_event", "event_type": "path_traversal"}),
    ];
    let reply = exporter.post(batch("s", &events)).await;
    assert_eq!(reply.json(), json!({"accepted": events.len(), "rejected": []}));

    let text = exporter.scrape().await;
    for (family, sum) in [
        ("mcp_tool_calls_total", 1),
        ("mcp_server_operation_duration_seconds_count", 2),
        ("mcp_errors_total", 1),
        ("mcp_rate_limit_hits_total", 2),
        ("mcp_active_connections", 3),
        ("mcp_queue_depth", 4),
        ("mcp_tool_inflight", 5),
        ("mcp_server_info", 1),
        ("mcp_agent_usage_total", 1),
        ("mcp_llm_unpriced_tokens_total", 6),
        ("mcp_3d_generations_total", 1),
        ("mcp_auth_failures_total", 1),
        ("mcp_validation_failures_total", 1),
        ("mcp_security_events_total", 1),
    ] {
        assert_eq!(metric(family).label("server", "s").sum_in(&text), f64::from(sum), "{family}");
    }
    assert!(metric("mcp_server_uptime_seconds").sum_in(&text) >= 60.0);
}

#[tokio::test]
async fn a_wrong_event_costs_only_itself() {
    let exporter = Exporter::start(&[]).await;
    let wrong = |key: &str, value| {
        let mut event = call("t");
        event[key] = value;
        event
    };
    let events = [
        call("t"),
        wrong("duration_seconds", json!(-0.5)),
        wrong("duration_seconds", json!("fast")),
        wrong("status", json!("ok")),
        wrong("request_bytes", json!((1_u64 << 53) + 1)),
        wrong("request_bytes", json!(1.5)),
        wrong("tool", json!("a\u{0}b")),
        wrong("tool", json!("")),
        wrong("tool", json!(["t"])),
        wrong("colour", json!("red")),
        wrong("type", json!("timeout")),
        json!(7),
        call("t"),
    ];
    let reply = exporter.post(batch("s", &events)).await;
    assert_eq!(reply.status, 202);
    insta::assert_snapshot!(pretty(&reply.json()));

    let text = exporter.scrape().await;
    metric("mcp_tool_calls_total").label("status", "success").value(2).assert_in(&text);
    metric("mcp_ingest_events_total").label("result", "accepted").value(2).assert_in(&text);
    metric("mcp_ingest_events_total").label("result", "rejected").value(11).assert_in(&text);
}

#[tokio::test]
async fn the_largest_size_and_the_largest_count_are_exact() {
    let exporter = Exporter::start(&[]).await;
    let (bytes, count) = (1_u64 << 53, 1_000_000_000_u64);
    let mut sized = call("t");
    sized["request_bytes"] = json!(bytes);
    let counted = |count| json!({"type": "generation_3d", "status": "success", "count": count});
    let reply = exporter.post(batch("s", &[sized, counted(count), counted(count + 1)])).await;
    assert_eq!(reply.json()["accepted"], 2);
    assert_eq!(
        reply.json()["rejected"][0]["error"],
        "count: 1000000001 is too large; expected at most 1000000000"
    );
    let text = exporter.scrape().await;
    metric("mcp_request_size_bytes_sum").value(bytes as f64).assert_in(&text);
    metric("mcp_3d_generations_total").value(count as f64).assert_in(&text);
}

#[tokio::test]
async fn a_body_that_is_no_batch_is_refused_whole() {
    let exporter = Exporter::start(&[]).await;
    let nan = r#"{"server":"s","source":"s","events":[{"type":"tool_call","tool":"t","status":"success","duration_seconds":NaN}]}"#;
    let mut told = Vec::new();
    for body in [
        "",
        "{",
        "[]",
        "\u{feff}{}",
        "{} {}",
        nan,
        r#"{"server":"s","source":"s"}"#,
        r#"{"server":"s","source":"s","events":{}}"#,
        r#"{"server":7,"source":"s","events":[]}"#,
        r#"{"server":"","source":"s","events":[]}"#,
        r#"{"server":"a\nb","source":"s","events":[]}"#,
        r#"{"server":"s","source":"s","observer":"me","events":[]}"#,
        r#"{"server":"s","source":"s","extra":1,"events":[]}"#,
    ] {
        let reply = exporter.post(body).await;
        assert_eq!(reply.status, 400, "{body}");
        told.push((body, reply.problem()));
    }
    insta::assert_debug_snapshot!(told);

    let reply = exporter.send(post("/v1/events", "").body([b'{', 0xff, b'}'])).await;
    assert_eq!(reply.status, 400);
    let text = exporter.scrape().await;
    metric("mcp_ingest_requests_total").label("code", "400").value(14).assert_in(&text);
    metric("mcp_tool_calls_total").assert_absent_in(&text);
}

#[tokio::test]
async fn deep_nesting_is_refused_and_not_followed() {
    let exporter = Exporter::start(&[]).await;
    let reply = exporter.post("[".repeat(500_000)).await;
    assert_eq!((reply.status, reply.problem().contains("the body is not a batch")), (400, true));
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    let body = format!(r#"{{"server":"s","source":"s","events":[{{"type":{deep}}}]}}"#);
    assert_eq!(exporter.post(body).await.json()["accepted"], 0);
}

#[tokio::test]
async fn other_content_types_and_encodings_are_refused() {
    let exporter = Exporter::start(&[]).await;
    let with = |name, value| exporter.send(post("/v1/events", "{}").header(name, value));
    let mut told = Vec::new();
    for (name, value) in [
        ("content-type", "text/plain"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-type", ""),
        ("content-encoding", "br"),
        ("content-encoding", "gzip, gzip"),
    ] {
        let reply = with(name, value).await;
        assert_eq!(reply.status, 415, "{name}: {value}");
        assert!(reply.closes(), "the body of a refused request is not read");
        told.push(reply.problem());
    }
    insta::assert_debug_snapshot!(told);

    let accepted = batch("s", &[call("t")]).to_string();
    for (name, value) in [
        ("content-type", "Application/JSON; charset=utf-8"),
        ("content-encoding", "identity"),
        ("content-encoding", ""),
    ] {
        let reply = exporter.send(post("/v1/events", &accepted).header(name, value)).await;
        assert_eq!(reply.status, 202, "{name}: {value}");
    }
    let compressed = post("/v1/events", "").body(gzip(accepted.as_bytes()));
    for value in ["gzip", "GZIP", "x-gzip"] {
        let reply = exporter.send(compressed.clone().header("content-encoding", value)).await;
        assert_eq!(reply.status, 202, "{value}");
    }
}

#[tokio::test]
async fn a_bad_line_costs_only_itself() {
    let exporter = Exporter::start(&[]).await;
    let line = |server: &str| {
        let mut event = call("t");
        event["server"] = json!(server);
        event["source"] = json!("p-1");
        event.to_string()
    };
    let lines = [
        &line("a"),
        "",
        "not json",
        &line("b"),
        r#"{"type":"tool_call","server":"a"}"#,
        &line("bad\u{7}name"),
        &format!("{} {}", line("a"), line("b")),
        &line("a"),
    ];
    let request = post("/v1/events", lines.join("\r\n"));
    let reply = exporter.send(request.header("content-type", "application/x-ndjson")).await;
    assert_eq!(reply.status, 202);
    insta::assert_snapshot!(pretty(&reply.json()), @r#"
{
  "accepted": 3,
  "rejected": [
    {
      "error": "expected ident",
      "index": 2
    },
    {
      "error": "source is missing; every line names its own",
      "index": 4
    },
    {
      "error": "server holds the control character '\\u{7}'; expected printable text",
      "index": 5
    },
    {
      "error": "one line holds more than one value; expected one event",
      "index": 6
    }
  ]
}
"#);

    let text = exporter.scrape().await;
    let calls = metric("mcp_tool_calls_total").label("status", "success");
    calls.clone().label("server", "a").value(2).assert_in(&text);
    calls.label("server", "b").value(1).assert_in(&text);
}

#[tokio::test]
async fn lines_that_are_not_utf_8_are_refused() {
    let exporter = Exporter::start(&[]).await;
    let request = post("/v1/events", "").body([0xff]);
    let reply = exporter.send(request.header("content-type", "application/x-ndjson")).await;
    assert_eq!(reply.status, 400);
    insta::assert_snapshot!(reply.problem(), @"the body is no text: invalid utf-8 sequence of 1 bytes from index 0");
}

#[tokio::test]
async fn a_reply_stays_short_whatever_was_wrong() {
    let exporter = Exporter::start(&[]).await;
    let mut long = call("t");
    long["k".repeat(100_000)] = json!(1);
    let events = vec![long; 9];
    let reply = exporter.post(batch("s", &events)).await.json();
    let errors = reply["rejected"].as_array().unwrap();
    assert_eq!(errors.len(), 9);
    for rejection in errors {
        assert!(rejection["error"].as_str().unwrap().len() < 2_000, "{rejection}");
    }

    let reply = exporter.post(batch("s", &vec![json!({}); 10_000])).await.json();
    assert_eq!(reply["accepted"], 0);
    assert_eq!(reply["rejected"].as_array().unwrap().len(), 1_000);
    assert_eq!(reply["rejected_unlisted"], 9_000);

    let envelope = format!(r#"{{"server":"s","{}":1}}"#, "k".repeat(100_000));
    let told = exporter.post(envelope).await.problem();
    assert!(told.len() < 2_000, "{} bytes", told.len());
}

#[tokio::test]
async fn more_than_10_000_events_are_too_many() {
    let exporter = Exporter::start(&[]).await;
    let event = json!({"type": "generation_3d", "status": "failed"});
    let reply = exporter.post(batch("s", &vec![event.clone(); 10_001])).await;
    assert_eq!(reply.status, 413);
    insta::assert_snapshot!(reply.problem(), @"the batch holds more than 10000 events; expected several smaller batches");

    let line = json!({"type": "generation_3d", "status": "failed", "server": "s", "source": "p"});
    let lines = post("/v1/events", format!("{line}\n").repeat(10_001));
    let reply = exporter.send(lines.header("content-type", "application/x-ndjson")).await;
    assert_eq!(reply.status, 413);

    metric("mcp_3d_generations_total").assert_absent_in(&exporter.scrape().await);
    let reply = exporter.post(batch("s", &vec![event; 10_000])).await;
    assert_eq!(reply.json()["accepted"], 10_000);
}

#[tokio::test]
async fn other_methods_and_paths_are_told() {
    let exporter = Exporter::start(&[]).await;
    let reply = exporter.send(post("/v1/events", "{}").method("PUT")).await;
    assert_eq!(reply.status, 405);
    assert_eq!(reply.header("allow"), Some("POST"));
    insta::assert_snapshot!(reply.problem(), @"this path takes POST alone");
    let reply = exporter.send(post("/v1/event", "{}")).await;
    assert_eq!(reply.status, 404);
    insta::assert_snapshot!(reply.problem(), @"there is nothing at this path");
}
