//! Who may ask, and under which name.

use serde_json::json;

use crate::support::{Monitor, Request, TOKENS, get, post};

fn looking() -> Vec<(Request, u16)> {
    ["/metrics", "/api/v1/components", "/api/v1/maintenance"].map(|path| (get(path), 200)).into()
}

fn operating() -> Vec<(Request, u16)> {
    let window = json!({"component": "api", "seconds": 60, "reason": "test"});
    vec![
        (post("/api/v1/components/api/check", ""), 200),
        (post("/api/v1/components/api/ack", ""), 200),
        (post("/api/v1/maintenance", window), 200),
        (get("/api/v1/maintenance/api").method("DELETE"), 204),
    ]
}

#[tokio::test]
async fn each_endpoint_takes_its_own_token_alone() {
    let monitor = Monitor::start(&TOKENS).await;
    let looking = looking().into_iter().map(|(request, done)| (request, "reader", done));
    let operating = operating().into_iter().map(|(request, done)| (request, "operator", done));
    for (request, own, done) in looking.chain(operating) {
        let without = monitor.send(request.clone()).await;
        assert_eq!(without.status, 401, "{request:?}");
        assert!(without.problem().starts_with("this needs a token; send the token of the scope "));
        assert!(without.header("www-authenticate").is_some_and(|way| way.starts_with("Bearer")));
        for (token, other) in [("wrong", 401), ("reader", 403), ("operator", 403)] {
            let status = monitor.send(request.clone().bearer(token)).await.status;
            assert_eq!(status, if token == own { done } else { other }, "{token}: {request:?}");
        }
    }
    monitor.stop().await;
}

#[tokio::test]
async fn without_tokens_everybody_here_may_look_and_nobody_may_operate() {
    let monitor = Monitor::start(&[]).await;
    for (request, done) in looking() {
        assert_eq!(monitor.send(request.clone()).await.status, done, "{request:?}");
    }
    for (request, _) in operating() {
        let reply = monitor.send(request.clone()).await;
        assert_eq!(reply.status, 403, "{request:?}");
        assert_eq!(
            reply.problem(),
            "the scope operate is closed until health_monitor.operate_token or \
             health_monitor.operate_token_file is set"
        );
    }
    monitor.stop().await;
}

#[tokio::test]
async fn health_is_open_to_all() {
    let monitor = Monitor::start(&TOKENS).await;
    for path in ["/health", "/health/live", "/health/ready"] {
        let reply = monitor.send(get(path).header("host", "any.example")).await;
        assert_eq!(reply.status, 200, "{path}");
    }
    let health = monitor.send(get("/health")).await.json();
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["service"], "mcp-health-monitor");
    assert!(health["uptime_seconds"].as_f64().unwrap() >= 0.0);
    monitor.stop().await;
}

#[tokio::test]
async fn foreign_names_are_refused() {
    let monitor = Monitor::start(&[("health_monitor.allowed_hosts", "monitor.example")]).await;
    let ask = |host: &str| monitor.send(get("/metrics").header("host", host));
    assert_eq!(ask("monitor.example").await.status, 200);
    let reply = ask("evil.example").await;
    assert_eq!(reply.status, 403);
    assert_eq!(
        reply.problem(),
        "the Host \"evil.example\" is not allowed here; health_monitor.allowed_hosts lists the \
         names that are"
    );
    monitor.stop().await;
}
