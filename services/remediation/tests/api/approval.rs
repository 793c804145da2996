//! A person says yes.

use serde_json::json;

use crate::support::Remediation;
use crate::wire::post;

const APPROVE: (&str, &str) = ("remediation.rules.shop.mode", "approve");

async fn approve(remediation: &Remediation, key: &str) -> (u16, String) {
    let reply = remediation.operate(post("/api/v1/approve", json!({ "key": key }))).await;
    let said = if reply.status == 200 { reply.body.clone() } else { reply.problem() };
    (reply.status, said)
}

#[tokio::test]
async fn nothing_is_done_until_the_right_incident_is_approved() {
    let remediation = Remediation::with_tokens(&[APPROVE]).await;
    let key = remediation.trouble("shop", 30_000).await;
    let waiting = remediation.decided("shop", "awaiting_approval").await;
    assert_eq!(waiting["decision"], "wait");
    assert!(waiting["detail"].as_str().unwrap().contains(&key), "{waiting}");
    assert!(waiting["until"].is_u64());
    for wrong in ["shop@1", "shop", "", "other@1", &format!("{key}0")] {
        let told = format!("there is no open incident `{wrong}`");
        assert_eq!(approve(&remediation, wrong).await, (409, told));
    }
    assert_eq!(remediation.restarts(), 0);
    let approved = json!({ "approved": key }).to_string();
    assert_eq!(approve(&remediation, &key).await, (200, approved));
    let action = remediation.acted("success").await;
    assert_eq!((&action["incident"], remediation.restarts()), (&json!(key), 1));
    assert_eq!(
        remediation.story().await[..4],
        ["awaiting_approval", "operator", "intent", "success"]
    );
    let (status, told) = approve(&remediation, &key).await;
    assert_eq!((status, told), (409, format!("`{key}` does not wait for an approval")));
    remediation.stop().await;
}

#[tokio::test]
async fn what_began_too_long_ago_is_not_approved() {
    let remediation = Remediation::with_tokens(&[APPROVE]).await;
    let key = remediation.trouble("shop", 11 * 60_000).await;
    assert_eq!(remediation.decided("shop", "expired").await["decision"], "skip");
    let told = format!("`{key}` was reported too long ago to be approved");
    assert_eq!(approve(&remediation, &key).await, (409, told));
    assert_eq!(remediation.restarts(), 0);
    remediation.stop().await;
}

#[tokio::test]
async fn what_waits_for_something_else_is_not_approved() {
    let remediation = Remediation::with_tokens(&[]).await;
    let key = remediation.trouble("shop", 1_000).await;
    remediation.decided("shop", "dry_run").await;
    let told = format!("`{key}` does not wait for an approval");
    assert_eq!(approve(&remediation, &key).await, (409, told));
    remediation.over_again("shop").await;
    let told = format!("there is no open incident `{key}`");
    assert_eq!(approve(&remediation, &key).await, (409, told));
    remediation.stop().await;
}
