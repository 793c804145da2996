//! Alertmanager's webhook.

use mcpmon_coordination::incident::{self, Origin};
use mcpmon_testkit::metric::metric;
use serde_json::{Value, json};

use crate::support::{Remediation, now};

fn time(at: u64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(at);
    // The part of a second is not of interest.
    format!("{}", humantime::format_rfc3339_seconds(time))
}

#[expect(clippy::needless_pass_by_value, reason = "a literal is written so")]
fn alert(status: &str, labels: Value, began: u64) -> Value {
    json!({
        "status": status, "labels": labels, "annotations": {"summary": "it hurts"},
        "startsAt": time(began), "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "f",
        "generatorURL": "http://prometheus/graph",
    })
}

fn body(alerts: &[Value]) -> Value {
    json!({
        "version": "4", "groupKey": "{}", "truncatedAlerts": 0, "status": "firing",
        "receiver": "remediation", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "http://alertmanager", "alerts": alerts,
    })
}

fn shop(status: &str, began: u64) -> Value {
    let labels = json!({"alertname": "ShopDown", "component": "shop", "failure": "timeout"});
    body(&[alert(status, labels, began)])
}

#[tokio::test]
async fn bad_bodies_are_told_what_is_wrong_with_them() {
    let remediation = Remediation::with_tokens(&[]).await;
    let many = vec![alert("firing", json!({}), now()); 1_001];
    let mut third = body(&[]);
    third["version"] = json!("3");
    let mut numbered = body(&[]);
    numbered["version"] = json!(4);
    let mut when = shop("firing", now());
    when["alerts"][0]["startsAt"] = json!("yesterday");
    let mut state = shop("firing", now());
    state["alerts"][0]["status"] = json!("suppressed");
    let mut told = Vec::new();
    for (what, body) in [
        ("nothing", String::new()),
        ("broken", "{\"version\": \"4\", \"alerts\": [".to_owned()),
        ("no object", "[]".to_owned()),
        ("no alerts", json!({"version": "4"}).to_string()),
        ("version 3", third.to_string()),
        ("version as a number", numbered.to_string()),
        ("1001 alerts", body(&many).to_string()),
        ("no time", when.to_string()),
        ("no status", state.to_string()),
        ("5 MB", format!("\"{}\"", "x".repeat(5 << 20))),
    ] {
        let reply = remediation.alert(body).await;
        told.push(format!("{what} -> {} {}", reply.status, reply.problem()));
    }
    insta::assert_snapshot!(told.join("\n"));
    assert!(remediation.audit().await.is_empty());
    remediation.stop().await;
}

#[tokio::test]
async fn an_alert_that_comes_ten_times_is_acted_on_once() {
    let remediation = Remediation::with_tokens(&[("remediation.rules.shop.mode", "act")]).await;
    remediation.member("shop", 0).await;
    let began = now() - 60_000;
    let first = remediation.alert(shop("firing", began)).await;
    assert_eq!(first.json(), json!({"alerts": 1, "opened": 1, "resolved": 0}));
    for _ in 0..9 {
        let again = remediation.alert(shop("firing", began)).await;
        assert_eq!(again.json(), json!({"alerts": 1, "opened": 0, "resolved": 0}));
    }
    let action = remediation.acted("success").await;
    let key = format!("shop@{}", began / 1_000 * 1_000);
    assert_eq!((&action["component"], &action["incident"]), (&json!("shop"), &json!(key)));
    let resolved = remediation.alert(shop("resolved", began)).await;
    assert_eq!(resolved.json(), json!({"alerts": 1, "opened": 0, "resolved": 1}));
    let again = remediation.alert(shop("resolved", began)).await;
    assert_eq!(again.json(), json!({"alerts": 1, "opened": 0, "resolved": 0}));
    assert_eq!(remediation.restarts(), 1);
    let shown = remediation
        .until("no open incident", async || {
            let shown = remediation.look("/api/v1/remediation").await;
            (shown["incidents"] == json!([])).then_some(shown)
        })
        .await;
    assert_eq!(shown["actions"].as_array().unwrap().len(), 1);
    remediation.stop().await;
}

#[tokio::test]
async fn a_time_of_any_zone_is_a_time() {
    let remediation = Remediation::with_tokens(&[]).await;
    for (text, key) in [
        ("2026-01-01T12:00:00.123456789+02:00", "one@1767261600123"),
        ("2026-01-01T12:00:00-05:30", "two@1767288600000"),
        ("2026-01-01T12:00:00Z", "three@1767268800000"),
    ] {
        let name = key.split_once('@').unwrap().0;
        remediation.member(name, 0).await;
        let mut body = body(&[alert("firing", json!({"component": name}), now())]);
        body["alerts"][0]["startsAt"] = json!(text);
        assert_eq!(remediation.alert(body).await.status, 200, "{text}");
        let open = incident::open_incident(&*remediation.store, name).await.unwrap();
        assert_eq!(open.unwrap().key, key);
    }
    remediation.stop().await;
}

#[tokio::test]
async fn an_alert_joins_what_the_monitor_sees_and_does_not_end_it() {
    let remediation = Remediation::with_tokens(&[]).await;
    let key = remediation.trouble("shop", 30_000).await;
    let joined = remediation.alert(shop("firing", now() - 10_000)).await;
    assert_eq!(joined.json(), json!({"alerts": 1, "opened": 0, "resolved": 0}));
    let resolved = remediation.alert(shop("resolved", now() - 10_000)).await;
    assert_eq!(resolved.json(), json!({"alerts": 1, "opened": 0, "resolved": 0}));
    let open = incident::open_incident(&*remediation.store, "shop").await.unwrap().unwrap();
    assert_eq!((open.key.as_str(), open.origin), (key.as_str(), Origin::Monitor));
    assert_eq!(remediation.decided("shop", "dry_run").await["key"], key);
    remediation.stop().await;
}

#[tokio::test]
async fn an_alert_finds_its_component_by_the_server() {
    let remediation = Remediation::with_tokens(&[]).await;
    remediation.member("shop", 0).await;
    let alerts = body(&[alert("firing", json!({"server": "shop-server"}), now())]);
    assert_eq!(remediation.alert(alerts).await.json()["opened"], 1);
    let decided = remediation.decided("shop", "dry_run").await;
    assert_eq!(decided["failure"], "other");
    remediation.stop().await;
}

#[tokio::test]
async fn an_alert_that_names_nobody_is_on_record_once() {
    let remediation = Remediation::with_tokens(&[]).await;
    let began = now();
    let secret = json!({"alertname": "Strange", "note": "token=abcdef1234567890"});
    let mut alerts = vec![alert("firing", secret, began)];
    // Names of our own, names that are none, and one that the monitor does not know.
    for name in ["", "_all", "_system", "shop", "a b", "a:b", "ü", &"x".repeat(300)] {
        alerts.push(alert("firing", json!({"component": name}), began));
    }
    for _ in 0..10 {
        let reply = remediation.alert(body(&alerts)).await;
        assert_eq!(reply.json(), json!({"alerts": alerts.len(), "opened": 0, "resolved": 0}));
    }
    let audit = remediation.audit().await;
    assert_eq!(audit.len(), alerts.len(), "{audit:#?}");
    for record in &audit {
        assert_eq!(
            (&record["decision"], &record["reason"]),
            (&json!("skip"), &json!("no_component"))
        );
        assert!(record.to_string().len() < 1_000, "{record}");
        assert!(!record.to_string().contains("abcdef"), "{record}");
    }
    metric("mcp_remediation_decisions_total")
        .label("component", "_other")
        .label("decision", "no_component")
        .value(alerts.len() as f64)
        .assert_in(&remediation.metrics().await);
    remediation.stop().await;
}

#[tokio::test]
async fn names_out_of_alerts_do_not_fill_the_metrics() {
    let remediation = Remediation::with_tokens(&[]).await;
    let began = now();
    let mut alerts = Vec::new();
    for number in 0..1_000 {
        let name = format!("n{number}");
        remediation.member(&name, 0).await;
        alerts.push(alert("firing", json!({"alertname": "Many", "component": name}), began));
    }
    assert_eq!(remediation.alert(body(&alerts)).await.json()["opened"], 1_000);
    let decided = metric("mcp_remediation_decisions_total").label("decision", "no_rule");
    remediation
        .until("each is decided on", async || {
            (decided.sum_in(&remediation.metrics().await) >= 1_000.0).then_some(())
        })
        .await;
    let text = remediation.metrics().await;
    let others = decided.find(&text).len();
    assert!(others <= 300, "{others} components");
    decided.label("component", "shop").value(0).assert_in(&text);
    remediation.stop().await;
}
