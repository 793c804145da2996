//! Who may ask, under which name, and how.

use serde_json::json;

use crate::support::{Remediation, TOKENS};
use crate::wire::{Request, get, post};

/// Each endpoint with its own token, and what it answers when there is nothing to do.
fn endpoints() -> Vec<(Request, &'static str, u16)> {
    let window = json!({"component": "shop", "seconds": 60, "reason": "test"});
    let alerts = json!({"version": "4", "alerts": []});
    let asked = json!({"component": "shop", "failure": "timeout"});
    vec![
        (get("/metrics"), "reader", 200),
        (get("/api/v1/remediation"), "reader", 200),
        (get("/api/v1/audit"), "reader", 200),
        (post("/v1/alerts", alerts), "alerter", 200),
        (post("/api/v1/explain", asked), "operator", 200),
        (post("/api/v1/approve", json!({"key": "shop@1"})), "operator", 409),
        (post("/api/v1/maintenance", window), "operator", 200),
        (get("/api/v1/maintenance/shop").method("DELETE"), "operator", 204),
        (post("/api/v1/circuits/shop/close", ""), "operator", 404),
    ]
}

#[tokio::test]
async fn each_endpoint_takes_its_own_token_alone() {
    let remediation = Remediation::with_tokens(&[]).await;
    for (request, own, done) in endpoints() {
        let without = remediation.send(request.clone()).await;
        assert_eq!(without.status, 401, "{request:?}");
        assert!(without.problem().starts_with("this needs a token; send the token of the scope "));
        assert!(without.header("www-authenticate").is_some_and(|way| way.starts_with("Bearer")));
        let wrong = remediation.send(request.clone().bearer("wrong")).await;
        assert_eq!(wrong.status, 401, "{request:?}");
        for (_, token) in TOKENS {
            let status = remediation.send(request.clone().bearer(token)).await.status;
            assert_eq!(status, if token == own { done } else { 403 }, "{token}: {request:?}");
        }
    }
    remediation.stop().await;
}

#[tokio::test]
async fn without_tokens_everybody_here_may_look_and_no_more() {
    let remediation = Remediation::start(&[]).await;
    for (request, own, done) in endpoints() {
        let reply = remediation.send(request.clone()).await;
        if own != "reader" {
            let scope = if own == "operator" { "operate" } else { "webhook" };
            assert_eq!(reply.status, 403, "{request:?}");
            assert_eq!(
                reply.problem(),
                format!(
                    "the scope {scope} is closed until remediation.{scope}_token or \
                     remediation.{scope}_token_file is set"
                )
            );
        } else {
            assert_eq!(reply.status, done, "{request:?}");
        }
    }
    remediation.stop().await;
}

#[tokio::test]
async fn health_is_open_to_all() {
    let remediation = Remediation::with_tokens(&[]).await;
    for path in ["/health", "/health/live", "/health/ready"] {
        let reply = remediation.send(get(path).header("host", "any.example")).await;
        assert_eq!(reply.status, 200, "{path}");
    }
    let health = remediation.send(get("/health")).await.json();
    assert_eq!(
        (&health["status"], &health["service"]),
        (&json!("healthy"), &json!("mcp-remediation"))
    );
    remediation.stop().await;
}

#[tokio::test]
async fn foreign_names_are_refused() {
    let hosts = ("remediation.allowed_hosts", "repair.example");
    let remediation = Remediation::start(&[hosts]).await;
    let ask = async |name, value: &str| remediation.send(get("/metrics").header(name, value)).await;
    assert_eq!(ask("host", "repair.example").await.status, 200);
    assert_eq!(ask("origin", "http://repair.example").await.status, 200);
    for (name, value, header) in [
        ("host", "evil.example", "Host"),
        ("origin", "http://evil.example", "Origin"),
        ("origin", "null", "Origin"),
    ] {
        let reply = ask(name, value).await;
        assert_eq!(reply.status, 403);
        assert_eq!(
            reply.problem(),
            format!(
                "the {header} {value:?} is not allowed here; remediation.allowed_hosts lists the \
                 names that are"
            )
        );
    }
    remediation.stop().await;
}

#[tokio::test]
async fn other_methods_and_paths_are_told_so() {
    let remediation = Remediation::with_tokens(&[]).await;
    for (method, path, allowed) in [
        ("POST", "/metrics", "GET, HEAD"),
        ("DELETE", "/api/v1/audit", "GET, HEAD"),
        ("PUT", "/api/v1/remediation", "GET, HEAD"),
        ("GET", "/v1/alerts", "POST"),
        ("GET", "/api/v1/explain", "POST"),
        ("GET", "/api/v1/approve", "POST"),
        ("GET", "/api/v1/maintenance", "POST"),
        ("GET", "/api/v1/maintenance/shop", "DELETE"),
        ("GET", "/api/v1/circuits/shop/close", "POST"),
    ] {
        let reply = remediation.operate(get(path).method(method)).await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allowed)), "{method} {path}");
        assert_eq!(reply.problem(), format!("this path takes {allowed} alone"));
    }
    for path in ["/", "/api/v1", "/api/v2/audit", "/api/v1/circuits/shop"] {
        let reply = remediation.operate(get(path)).await;
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (404, "there is nothing at this path")
        );
    }
    remediation.stop().await;
}

#[tokio::test]
async fn who_may_not_is_told_that_before_the_body_is_looked_at() {
    let remediation = Remediation::with_tokens(&[]).await;
    let large = format!("\"{}\"", "x".repeat(5 << 20));
    for path in ["/v1/alerts", "/api/v1/explain", "/api/v1/approve", "/api/v1/maintenance"] {
        for body in ["{", &large] {
            assert_eq!(remediation.send(post(path, body)).await.status, 401, "{path}");
        }
        let token = if path == "/v1/alerts" { "alerter" } else { "operator" };
        let reply = remediation.send(post(path, &large).bearer(token)).await;
        assert_eq!(reply.status, 413, "{path}");
    }
    remediation.stop().await;
}
