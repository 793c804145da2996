//! What a person changes: pauses and circuits.

use std::sync::atomic::Ordering;

use mcpmon_testkit::metric::metric;
use serde_json::{Value, json};

use crate::support::{Remediation, now};
use crate::wire::{get, post};

const ACT: (&str, &str) = ("remediation.rules.shop.mode", "act");

fn window(component: &str) -> Value {
    json!({"component": component, "seconds": 3_600, "reason": "new disks"})
}

#[tokio::test]
async fn a_pause_holds_an_action_and_its_end_lets_it_go() {
    for name in ["shop", "_all"] {
        let remediation = Remediation::with_tokens(&[ACT]).await;
        let paused = remediation.operate(post("/api/v1/maintenance", window(name))).await;
        assert_eq!((paused.status, &paused.json()["reason"]), (200, &json!("new disks")));
        let until = paused.json()["until"].as_u64().unwrap();
        assert!((3_590_000..=3_600_000).contains(&(until - now())), "{until}");
        remediation.trouble("shop", 30_000).await;
        let held = remediation.decided("shop", "maintenance").await;
        assert_eq!((&held["decision"], &held["until"]), (&json!("wait"), &json!(until)));
        assert_eq!(
            (&held["detail"], remediation.restarts()),
            (&json!("maintenance: new disks"), 0)
        );

        let path = format!("/api/v1/maintenance/{name}");
        let ended = remediation.operate(get(&path).method("DELETE")).await;
        assert_eq!((ended.status, ended.body.as_str()), (204, ""));
        remediation.acted("success").await;
        let again = remediation.operate(get(&path).method("DELETE")).await;
        assert_eq!((again.status, again.problem()), (404, format!("`{name}` is not paused")));
        let audit = remediation.audit().await;
        let of_people = audit.iter().filter(|record| record["event"] == "operator");
        let notes: Vec<_> = of_people.map(|it| (&it["component"], &it["note"])).collect();
        let paused = json!(format!("paused until {until}: new disks"));
        assert_eq!(notes, [(&json!(name), &paused), (&json!(name), &json!("resumed"))]);
        remediation.stop().await;
    }
}

#[tokio::test]
async fn bad_pauses_are_told_what_is_wrong_with_them() {
    let remediation = Remediation::with_tokens(&[]).await;
    remediation.member("known", 0).await;
    let mut told = Vec::new();
    for body in [
        String::new(),
        "{".to_owned(),
        json!({"component": "shop", "seconds": 60}).to_string(),
        json!({"component": "shop", "seconds": "60", "reason": "r"}).to_string(),
        json!({"component": "shop", "seconds": 60, "reason": "r", "until": 1}).to_string(),
        json!({"component": "shop", "seconds": 0.5, "reason": "r"}).to_string(),
        json!({"component": "shop", "seconds": -60, "reason": "r"}).to_string(),
        json!({"component": "shop", "seconds": 2_592_001, "reason": "r"}).to_string(),
        json!({"component": "shop", "seconds": 60, "reason": " "}).to_string(),
        json!({"component": "shop", "seconds": 60, "reason": "r".repeat(201)}).to_string(),
        json!({"component": "", "seconds": 60, "reason": "r"}).to_string(),
        json!({"component": "a:b", "seconds": 60, "reason": "r"}).to_string(),
        json!({"component": "*", "seconds": 60, "reason": "r"}).to_string(),
        json!({"component": "shpo", "seconds": 60, "reason": "r"}).to_string(),
        format!("\"{}\"", "x".repeat(16 * 1024)),
    ] {
        let reply = remediation.operate(post("/api/v1/maintenance", &body)).await;
        let shown: String = body.chars().take(60).collect();
        told.push(format!("{shown} -> {} {}", reply.status, reply.problem()));
    }
    insta::assert_snapshot!(told.join("\n"));
    assert!(remediation.audit().await.is_empty());
    remediation.stop().await;
}

#[tokio::test]
async fn a_spent_budget_opens_the_circuit_and_a_person_closes_it() {
    let attempts = ("remediation.attempts", "2");
    let remediation =
        Remediation::with_tokens(&[ACT, attempts, ("remediation.verify_seconds", "0.05")]).await;
    let close = async |name: &str| {
        remediation.operate(post(&format!("/api/v1/circuits/{name}/close"), "")).await
    };
    let none = close("shop").await;
    let told = "the circuit of `shop` is not open; none is";
    assert_eq!((none.status, none.problem().as_str()), (404, told));

    // Twice it is well for a moment and then broken again.
    let mut keys = Vec::new();
    for _ in 0..2 {
        remediation.well.store(false, Ordering::Relaxed);
        let key = remediation.trouble("shop", 1_000).await;
        remediation.acted_on(&key).await;
        remediation.over_again("shop").await;
        keys.push(key);
    }
    remediation.well.store(false, Ordering::Relaxed);
    let key = remediation.trouble("shop", 0).await;
    let open = remediation.decided("shop", "circuit_open").await;
    assert_eq!((&open["key"], &open["decision"]), (&json!(key), &json!("skip")));
    remediation
        .until("the circuit is shown", async || {
            let shown = remediation.look("/api/v1/remediation").await;
            (shown["circuits"] == json!(["shop"])).then_some(())
        })
        .await;
    let gauge = metric("mcp_remediation_circuit_open").label("component", "shop");
    gauge.clone().value(1).assert_in(&remediation.metrics().await);
    assert_eq!(remediation.restarts(), 2);
    let other = close("other").await;
    let told = "the circuit of `other` is not open; open: shop";
    assert_eq!((other.status, other.problem().as_str()), (404, told));
    let closed = close("shop").await;
    assert_eq!((closed.status, closed.json()), (200, json!({"closed": "shop"})));
    remediation.acted_on(&key).await;
    assert_eq!(remediation.restarts(), 3);
    remediation
        .until("the circuit is closed", async || {
            (!gauge.clone().value(0).find(&remediation.metrics().await).is_empty()).then_some(())
        })
        .await;
    remediation.stop().await;
}
