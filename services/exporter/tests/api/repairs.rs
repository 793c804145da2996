//! Remediation says what it repairs, for as long as it can be asked.

use std::time::Duration;

use mcpmon_testkit::http_script::{Answer, HttpScript};
use serde_json::{Value, json};

use crate::support::{Exporter, PATIENCE};

async fn repairs(exporter: &Exporter, wanted: impl Fn(&Value) -> bool) -> Value {
    let asking = async {
        loop {
            let repairs = exporter.json("/api/v1/status").await["repairs"].clone();
            if wanted(&repairs) {
                return repairs;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("the repairs are never as wanted")
}

fn reply() -> Value {
    let actions = [1, 3, 2].map(|at| {
        json!({
            "at": at, "component": "api", "incident": "api@1700000000000",
            "action": "restart container boutique", "result": "success", "took_ms": 1_200,
            "detail": null,
        })
    });
    json!({
        "mode": "act",
        "held": "hold_off",
        "leading": true,
        "incidents": [{
            "component": "api", "key": "api@1700000000000", "failure": "connection_refused",
            "decision": "wait", "reason": "cool_down", "detail": "until 10:00", "since": 1_700_000_000_000_u64,
        }],
        "actions": actions,
        "circuits": ["shop", "_system"],
        "more": "that a later version says",
    })
}

/// The first thing that is told of a remediation that answers so.
async fn complaint(answer: Answer) -> String {
    let remediation = HttpScript::start(move |_| answer.clone());
    let exporter = Exporter::start(&[("remediation.url", &remediation.url())]).await;
    let told = |repairs: &Value| {
        repairs["error"].as_str().is_some_and(|error| !error.contains("not asked yet"))
    };
    let repairs = repairs(&exporter, told).await;
    repairs["error"].as_str().unwrap().replace(&remediation.url(), "URL")
}

#[tokio::test]
async fn what_remediation_does_is_passed_on_with_the_newest_action_first() {
    let remediation = HttpScript::start(|_| Answer::status(200, reply().to_string()));
    let url = remediation.url();
    let exporter =
        Exporter::start(&[("remediation.url", &url), ("remediation.token", "s3cret")]).await;
    let repairs = repairs(&exporter, |repairs| repairs["mode"] == "act").await;
    let mut expected = reply();
    expected.as_object_mut().unwrap().remove("more");
    expected["actions"].as_array_mut().unwrap().sort_by_key(|a| -a["at"].as_i64().unwrap());
    assert_eq!(repairs, expected);
    let asked = &remediation.requests()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", "/api/v1/remediation"));
    assert_eq!(asked.header("authorization"), Some("Bearer s3cret"));
}

#[tokio::test]
async fn without_a_url_there_is_no_remediation() {
    let exporter = Exporter::start(&[]).await;
    assert_eq!(exporter.json("/api/v1/status").await["repairs"], Value::Null);
}

#[tokio::test]
async fn a_reply_that_makes_no_sense_is_named() {
    insta::assert_snapshot!(complaint(Answer::status(401, "")).await, @"remediation at URL cannot be asked: it answers 401 Unauthorized");
    insta::assert_snapshot!(complaint(Answer::status(200, "{}")).await, @"remediation at URL cannot be asked: its reply is not what it should be: missing field `mode` at line 1 column 2");
    let large = vec![b' '; 5 << 20];
    insta::assert_snapshot!(complaint(Answer::status(200, large)).await, @"remediation at URL cannot be asked: its reply is larger than 4194304 bytes");
}

#[tokio::test]
async fn what_it_did_for_years_is_not_kept() {
    let mut reply = reply();
    let action = reply["actions"][0].clone();
    reply["actions"] = (0..1_000)
        .map(|at| {
            let mut action = action.clone();
            action["at"] = at.into();
            action
        })
        .collect();
    let remediation = HttpScript::start(move |_| Answer::status(200, reply.to_string()));
    let exporter = Exporter::start(&[("remediation.url", &remediation.url())]).await;
    let repairs = repairs(&exporter, |repairs| repairs["mode"] == "act").await;
    let actions = repairs["actions"].as_array().unwrap();
    assert_eq!((actions.len(), &actions[0]["at"]), (100, &json!(999)));
}
