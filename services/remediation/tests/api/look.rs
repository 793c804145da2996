//! What is shown: the page's endpoint, the audit and the metrics.

use mcp_remediation::case::ActionResult;
use mcp_remediation::verdict::Reason;
use mcpmon_testkit::metric::metric;
use serde_json::{Value, json};

use crate::support::{Remediation, now};
use crate::wire::{get, post};

#[tokio::test]
async fn the_page_shows_what_the_exporter_reads() {
    let act = ("remediation.rules.shop.mode", "act");
    let remediation = Remediation::with_tokens(&[act]).await;
    let key = remediation.trouble("shop", 30_000).await;
    let before = now();
    let action = remediation.acted("success").await;
    // Those that services/exporter/src/remediation.rs cannot do without.
    assert_eq!((&action["component"], &action["incident"]), (&json!("shop"), &json!(key)));
    assert!(action["at"].as_u64().unwrap() >= before - 1_000);
    let words = action["action"].as_str().unwrap();
    assert!(words.contains("/restart"), "{words}");
    assert!(action["took_ms"].is_u64());
    assert_eq!(action["detail"], "verified");
    let shown = remediation.look("/api/v1/remediation").await;
    assert_eq!((&shown["mode"], &shown["held"]), (&json!("dry_run"), &Value::Null));
    assert_eq!((&shown["leading"], &shown["circuits"]), (&json!(true), &json!([])));
    let incident = &shown["incidents"][0];
    assert_eq!((&incident["key"], &incident["failure"]), (&json!(key), &json!("timeout")));
    assert!(incident["since"].is_u64() && incident["detail"].is_string(), "{incident}");
    insta::assert_snapshot!(format!("{:#}", shown["rules"]));
    remediation.stop().await;
}

#[tokio::test]
async fn every_series_begins_at_0_and_counts_from_there() {
    let act = ("remediation.rules.shop.mode", "act");
    let remediation = Remediation::with_tokens(&[act]).await;
    let held = metric("mcp_remediation_held").label("reason", "hold_off").value(0);
    // A store that was never seen is waited for as one that came back empty.
    let text = remediation
        .until("it holds off no more", async || {
            let text = remediation.metrics().await;
            (!held.find(&text).is_empty()).then_some(text)
        })
        .await;
    let decisions = metric("mcp_remediation_decisions_total");
    for component in ["shop", "api", "metrics_server"] {
        for reason in Reason::ALL {
            let series = decisions.clone().label("component", component);
            series.label("decision", reason.as_str()).value(0).assert_in(&text);
        }
        let circuit = metric("mcp_remediation_circuit_open").label("component", component);
        circuit.value(0).assert_in(&text);
    }
    let actions = metric("mcp_remediation_actions_total");
    for result in ActionResult::ALL {
        let series = actions.clone().label("component", "shop").label("action", "http");
        series.label("result", result.as_str()).value(0).assert_in(&text);
    }
    for reason in ["coordination_unavailable", "audit_unavailable"] {
        metric("mcp_remediation_held").label("reason", reason).value(0).assert_in(&text);
    }
    metric("mcp_coordination_up").label("backend", "memory").value(1).assert_in(&text);
    metric("mcp_config_last_reload_successful").value(1).assert_in(&text);
    assert_eq!(remediation.send(get("/metrics").method("HEAD").bearer("reader")).await.body, "");

    remediation.trouble("shop", 30_000).await;
    remediation.acted("success").await;
    let text = remediation.metrics().await;
    let act = decisions.label("component", "shop").label("decision", "act");
    act.value(1).assert_in(&text);
    actions.label("component", "shop").label("result", "success").value(1).assert_in(&text);
    metric("mcp_remediation_duration_seconds_count")
        .label("component", "shop")
        .value(1)
        .assert_in(&text);
    metric("mcp_remediation_leading").value(1).assert_in(&text);
    remediation.stop().await;
}

#[tokio::test]
async fn the_audit_is_read_page_by_page() {
    let remediation = Remediation::with_tokens(&[]).await;
    for number in 0..7 {
        let window =
            json!({"component": "shop", "seconds": 60, "reason": format!("window {number}")});
        let paused = remediation.operate(post("/api/v1/maintenance", window)).await;
        assert_eq!(paused.status, 200, "{paused:?}");
    }
    let mut path = "/api/v1/audit?limit=3".to_owned();
    let mut pages: Vec<Vec<u64>> = Vec::new();
    loop {
        let page = remediation.look(&path).await;
        let records = page["records"].as_array().unwrap();
        pages.push(records.iter().map(|record| record["seq"].as_u64().unwrap()).collect());
        let Some(next) = page["next_before"].as_u64() else { break };
        path = format!("/api/v1/audit?limit=3&before={next}");
    }
    assert_eq!(pages, [vec![7, 6, 5], vec![4, 3, 2], vec![1]]);
    let whole = remediation.look("/api/v1/audit").await;
    assert_eq!(
        (whole["records"].as_array().unwrap().len(), &whole["next_before"]),
        (7, &Value::Null)
    );
    let beyond = remediation.look("/api/v1/audit?before=1000").await;
    assert_eq!(beyond["records"], whole["records"]);
    let none = json!({"records": [], "next_before": null});
    for before in [0, 1] {
        assert_eq!(remediation.look(&format!("/api/v1/audit?before={before}")).await, none);
    }
    let mut told = Vec::new();
    for query in ["limit=0", "limit=1001", "limit=many", "before=-1", "since=3", "limit=1&limit=2"]
    {
        let reply = remediation.send(get(&format!("/api/v1/audit?{query}")).bearer("reader")).await;
        told.push(format!("{query} -> {} {}", reply.status, reply.problem()));
    }
    insta::assert_snapshot!(told.join("\n"));
    remediation.stop().await;
}

#[tokio::test]
async fn a_good_configuration_is_taken_up_and_a_bad_one_changes_nothing() {
    let remediation = Remediation::with_tokens(&[]).await;
    let loaded = metric("mcp_config_last_reload_successful");
    let is = async |value: u8| {
        let loaded = loaded.clone().value(value);
        remediation
            .until(&format!("the gauge says {value}"), async || {
                (!loaded.find(&remediation.metrics().await).is_empty()).then_some(())
            })
            .await;
    };
    let modes = async || remediation.look("/api/v1/remediation").await["rules"].clone();
    let before = modes().await;
    remediation.reload(&[("remediation.rules.shop.mode", "perhaps")]).await;
    is(0).await;
    assert_eq!(modes().await, before);
    remediation.reload(&[("remediation.rules.shop.mode", "approve")]).await;
    is(1).await;
    assert_eq!(modes().await[0]["mode"], "approve");
    let key = remediation.trouble("shop", 1_000).await;
    assert_eq!(remediation.decided("shop", "awaiting_approval").await["key"], key);
    remediation.stop().await;
}
