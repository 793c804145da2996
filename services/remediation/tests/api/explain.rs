//! What would be decided, and why.

use mcpmon_coordination::marks::{self, Maintenance};
use serde_json::{Value, json};

use crate::support::{Remediation, now};
use crate::wire::post;

async fn ask(remediation: &Remediation, body: &Value) -> Value {
    let reply = remediation.operate(post("/api/v1/explain", body)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

fn asked(component: &str) -> Value {
    json!({"component": component, "failure": "timeout"})
}

fn verdict(answer: &Value) -> (&str, &str) {
    let word = |name: &str| answer["verdict"][name].as_str().unwrap();
    (word("decision"), word("reason"))
}

#[tokio::test]
async fn an_incident_is_explained_and_nothing_is_done() {
    let act = ("remediation.rules.shop.mode", "act");
    let remediation = Remediation::with_tokens(&[act]).await;
    remediation.member("shop", 0).await;
    let answers = ask(&remediation, &asked("shop")).await;
    let answer = &answers[0];
    assert_eq!(answers.as_array().unwrap().len(), 1);
    assert_eq!((&answer["rule"], &answer["ladder"]), (&json!("shop"), &json!(["shop"])));
    assert_eq!(verdict(answer), ("act", "act"));
    let unknown = ask(&remediation, &asked("shpo")).await;
    assert_eq!(verdict(&unknown[0]), ("skip", "no_rule"));
    let protected = ask(&remediation, &asked("redis")).await;
    assert_eq!(verdict(&protected[0]), ("skip", "protected"));
    let unlisted = json!({"component": "api", "failure": "connection_refused"});
    assert_eq!(verdict(&ask(&remediation, &unlisted).await[0]), ("skip", "no_target"));

    let window = Maintenance { until: now() + 60_000, reason: "move".to_owned() };
    marks::start_maintenance(&*remediation.store, "_all", &window, now()).await.unwrap();
    assert_eq!(verdict(&ask(&remediation, &asked("shop")).await[0]), ("wait", "maintenance"));
    assert_eq!((remediation.restarts(), remediation.audit().await.len()), (0, 0));
    remediation.stop().await;
}

#[tokio::test]
async fn the_open_incident_is_the_one_that_is_meant() {
    let approve = ("remediation.rules.shop.mode", "approve");
    let remediation = Remediation::with_tokens(&[approve]).await;
    let key = remediation.trouble("shop", 30_000).await;
    remediation.decided("shop", "awaiting_approval").await;
    let answer = ask(&remediation, &asked("shop")).await[0].take();
    assert_eq!(verdict(&answer), ("wait", "awaiting_approval"));
    let detail = answer["verdict"]["detail"].as_str().unwrap();
    assert!(detail.contains(&key), "{detail}");
    remediation.stop().await;
}

#[tokio::test]
async fn what_was_tried_for_an_earlier_incident_is_not_held_against_this_one() {
    let ladder = [
        ("remediation.rules.shop.mode", "act"),
        ("remediation.targets.second.kind", "http"),
        ("remediation.targets.second.url", "http://127.0.0.1:1/second"),
        ("remediation.rules.shop.ladder", r#"["shop", "second"]"#),
    ];
    let remediation = Remediation::with_tokens(&ladder).await;
    let key = remediation.trouble("shop", 30_000).await;
    remediation.acted_on(&key).await;
    remediation.over_again("shop").await;
    let answer = ask(&remediation, &asked("shop")).await[0].take();
    assert!(answer["action"].as_str().unwrap().contains("/restart"), "{answer}");
    remediation.stop().await;
}

#[tokio::test]
async fn each_alert_of_a_body_is_explained() {
    let remediation = Remediation::with_tokens(&[]).await;
    remediation.member("shop", 0).await;
    let alert = |status: &str, labels: Value| json!({"status": status, "labels": labels, "startsAt": "2026-01-01T00:00:00Z"});
    let body = json!({"version": "4", "alerts": [
        alert("firing", json!({"component": "shop", "failure": "timeout"})),
        alert("resolved", json!({"component": "shop"})),
        alert("firing", json!({"alertname": "Strange"})),
    ]});
    let answers = ask(&remediation, &body).await;
    let verdicts: Vec<_> = answers.as_array().unwrap().iter().map(verdict).collect();
    assert_eq!(verdicts, [("skip", "dry_run"), ("skip", "recovered"), ("skip", "no_component")]);
    assert_eq!(remediation.audit().await.len(), 0);
    remediation.stop().await;
}

#[tokio::test]
async fn garbage_is_told_what_would_be_right() {
    let remediation = Remediation::with_tokens(&[]).await;
    let mut told = Vec::new();
    for body in [
        "",
        "{",
        "[]",
        "7",
        r#"{"component": "shop"}"#,
        r#"{"component": "shop", "failure": "sulking"}"#,
        r#"{"component": 7, "failure": "timeout"}"#,
        r#"{"version": "3", "alerts": []}"#,
        r#"{"alerts": []}"#,
    ] {
        let reply = remediation.operate(post("/api/v1/explain", body)).await;
        told.push(format!("{body} -> {} {}", reply.status, reply.problem()));
    }
    insta::assert_snapshot!(told.join("\n"));
    remediation.stop().await;
}
