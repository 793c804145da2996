//! `GET /metrics`.

use futures_util::future::join_all;
use mcpmon_testkit::metric::{metric, samples};
use serde_json::json;

use crate::support::{Exporter, batch, call, get};

#[tokio::test]
async fn an_exporter_that_counted_nothing_says_what_it_is() {
    let exporter = Exporter::start(&[]).await;
    let reply = exporter.send(get("/metrics")).await;
    let format = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!((reply.status, reply.header("content-type")), (200, Some(format)));
    let text = reply.body;
    let version = env!("CARGO_PKG_VERSION");
    metric("mcp_build_info")
        .label("service", "mcp-exporter")
        .label("version", version)
        .assert_in(&text);
    metric("mcp_config_last_reload_successful").value(1).assert_in(&text);
    metric("mcp_live_sources").value(0).assert_in(&text);
    metric("mcp_ingest_requests_total").label("code", "202").value(0).assert_in(&text);
}

#[tokio::test]
async fn whatever_stands_in_a_name_the_exposition_parses() {
    let exporter = Exporter::start(&[]).await;
    let names = [
        "\"",
        "\\",
        "\\n",
        "a\"} 1",
        "{le=\"x\"}",
        "#",
        " ",
        "naïve ☃ 名前",
        "a,b=\"c\"",
        "\u{202e}x",
        "\u{2028}",
    ];
    for name in names {
        let events = [
            call(name),
            json!({"type": "agent_usage", "agent": name, "category": name}),
            json!({"type": "llm_tokens", "provider": name, "model": name, "input": 1}),
            json!({"type": "server_started", "name": name, "version": name, "uptime_seconds": 1}),
        ];
        let reply = exporter.post(batch(name, &events)).await;
        assert_eq!(reply.json()["accepted"], 4, "{name:?}: {reply:?}");
    }
    let text = exporter.scrape().await;
    for name in names {
        let by_tool = metric("mcp_tool_calls_total").label("server", name);
        by_tool.label("tool_name", name).label("status", "success").value(1).assert_in(&text);
        metric("mcp_agent_usage_total").label("agent_name", name).value(1).assert_in(&text);
        metric("mcp_server_info").label("name", name).value(1).assert_in(&text);
    }
}

#[tokio::test]
async fn control_characters_never_reach_a_label() {
    let exporter = Exporter::start(&[]).await;
    for name in ["a\nb", "a\rb", "a\tb", "\u{0}", "\u{7f}", "\u{85}", "\u{1b}[31m"] {
        let reply = exporter.post(batch("s", &[call(name)])).await;
        assert_eq!(reply.json()["accepted"], 0, "{name:?}");
        assert_eq!(exporter.post(batch(name, &[call("t")])).await.status, 400, "{name:?}");
    }
    let text = exporter.scrape().await;
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
    metric("mcp_tool_calls_total").assert_absent_in(&text);
}

#[tokio::test]
async fn head_tells_the_length_alone() {
    let exporter = Exporter::start(&[]).await;
    for path in ["/metrics", "/", "/health", "/api/v1/summary", "/assets/page.js"] {
        let mut connection = exporter.connect().await;
        connection.write(&get(path).method("HEAD").bytes()).await;
        let reply = connection.reply_without_body().await;
        let length = reply.header("content-length").and_then(|length| length.parse().ok());
        assert_eq!((reply.status, length > Some(0)), (200, true), "{path}: {reply:?}");
        assert_eq!(connection.send(&get("/health/live")).await.body, "ok", "{path}");
    }
}

#[tokio::test]
async fn many_scrapers_at_once_are_all_served() {
    let exporter = Exporter::start(&[]).await;
    let tools: Vec<_> = (0..250).map(|number| call(&format!("t{number}"))).collect();
    exporter.post(batch("s", &tools)).await;
    for text in join_all((0..32).map(|_| exporter.scrape())).await {
        assert!(samples(&text).len() > 5_000);
    }
    let text = exporter.scrape().await;
    metric("mcp_scrape_duration_seconds_count").value(32).assert_in(&text);
}
