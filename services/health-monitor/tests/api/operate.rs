//! What is changed: checks on demand, maintenance windows, acknowledgements; and what bad requests
//! are told.

use serde_json::{Value, json};

use crate::support::{Monitor, Reply, Request, TOKENS, get, post};

async fn operate(monitor: &Monitor, request: Request) -> Reply {
    monitor.send(request.bearer("operator")).await
}

fn delete(path: &str) -> Request {
    get(path).method("DELETE")
}

#[tokio::test]
async fn a_check_on_demand_counts_and_says_what_it_found() {
    let monitor = Monitor::start(&TOKENS).await;
    let reply = operate(&monitor, post("/api/v1/components/api/check", "")).await.json();
    assert_eq!(reply["name"], "api");
    assert_eq!((&reply["state"], &reply["outcome"]), (&json!("healthy"), &json!("ok")));
    assert_eq!((&reply["counted"], &reply["error"]), (&json!(true), &Value::Null));
    assert!(reply["checked_at"].as_u64().unwrap() > 1_700_000_000_000);
    for _ in 0..3 {
        let reply = operate(&monitor, post("/api/v1/components/dead/check", "")).await;
        assert_eq!(reply.json()["outcome"], json!({"fail": "http_5xx"}));
    }
    let is_counted = |report: &Value| {
        let dead = &report["components"][1];
        dead["name"] == "dead" && dead["consecutive_failures"].as_u64().unwrap() >= 3
    };
    monitor.report_until(is_counted).await;

    let acknowledged = operate(&monitor, post("/api/v1/components/dead/ack", "")).await.json();
    assert_eq!(acknowledged, json!({"acknowledged": true, "tools_forgotten": []}));
    monitor.report_until(|report| report["components"][1]["acknowledged"] == true).await;
    let well = operate(&monitor, post("/api/v1/components/api/ack", "")).await.json();
    assert_eq!(well, json!({"acknowledged": false, "tools_forgotten": []}));
    for what in ["check", "ack"] {
        let path = format!("/api/v1/components/apo/{what}");
        let reply = operate(&monitor, post(&path, "")).await;
        let problem = "there is no component `apo`; there are api, dead";
        assert_eq!((reply.status, reply.problem().as_str()), (404, problem));
    }
    monitor.stop().await;
}

#[tokio::test]
async fn a_maintenance_window_opens_changes_and_closes() {
    let monitor = Monitor::start(&TOKENS).await;
    let window = |component: &str, seconds: f64, reason: &str| json!({"component": component, "seconds": seconds, "reason": reason});
    let opened = operate(&monitor, post("/api/v1/maintenance", window("api", 60.0, "disks"))).await;
    assert_eq!(opened.status, 200);
    let first = opened.json()["until"].as_u64().unwrap();
    assert_eq!(opened.json()["reason"], "disks");
    let longer =
        operate(&monitor, post("/api/v1/maintenance", window("api", 3600.0, "more"))).await;
    assert!(longer.json()["until"].as_u64().unwrap() > first);
    let all = operate(&monitor, post("/api/v1/maintenance", window("_all", 60.0, "move"))).await;
    assert_eq!(all.status, 200);
    let listed = monitor.send(get("/api/v1/maintenance").bearer("reader")).await.json();
    assert_eq!(listed["maintenance"]["api"]["reason"], "more");
    assert_eq!(listed["maintenance"]["_all"]["reason"], "move");
    // Its own window before the one for all.
    monitor
        .report_until(|report| {
            report["components"][0]["maintenance"]["reason"] == "more"
                && report["components"][1]["maintenance"]["reason"] == "move"
        })
        .await;
    for name in ["api", "_all"] {
        let path = format!("/api/v1/maintenance/{name}");
        let closed = operate(&monitor, delete(&path)).await;
        assert_eq!((closed.status, closed.body.as_str()), (204, ""));
        let again = operate(&monitor, delete(&path)).await;
        let problem = format!("there is no maintenance window for `{name}`");
        assert_eq!((again.status, again.problem()), (404, problem));
    }
    let listed = monitor.send(get("/api/v1/maintenance").bearer("reader")).await.json();
    assert_eq!(listed, json!({"maintenance": {}}));
    monitor.stop().await;
}

#[tokio::test]
async fn bad_windows_are_told_what_is_wrong_with_them() {
    let monitor = Monitor::start(&TOKENS).await;
    let bodies = [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        "{\"component\": \"api\", \"seconds\": 60}".to_owned(),
        "{\"component\": \"api\", \"seconds\": \"60\", \"reason\": \"r\"}".to_owned(),
        "{\"component\": \"api\", \"seconds\": 60, \"reason\": \"r\", \"until\": 1}".to_owned(),
        json!({"component": "apo", "seconds": 60, "reason": "r"}).to_string(),
        json!({"component": "api", "seconds": 0.5, "reason": "r"}).to_string(),
        json!({"component": "api", "seconds": -60, "reason": "r"}).to_string(),
        json!({"component": "api", "seconds": 2_592_001, "reason": "r"}).to_string(),
        "{\"component\": \"api\", \"seconds\": 1e999, \"reason\": \"r\"}".to_owned(),
        json!({"component": "api", "seconds": 60, "reason": "  "}).to_string(),
        json!({"component": "api", "seconds": 60, "reason": "r".repeat(201)}).to_string(),
        format!("\"{}\"", "x".repeat(16 * 1024)),
    ];
    let mut told = Vec::new();
    for body in bodies {
        let reply = operate(&monitor, post("/api/v1/maintenance", &body)).await;
        let shown: String = body.chars().take(70).collect();
        told.push(format!("{shown} -> {} {}", reply.status, reply.problem()));
    }
    insta::assert_snapshot!(told.join("\n"));
    let listed = monitor.send(get("/api/v1/maintenance").bearer("reader")).await.json();
    assert_eq!(listed, json!({"maintenance": {}}));
    monitor.stop().await;
}

#[tokio::test]
async fn who_may_not_operate_is_told_that_before_the_body_is_looked_at() {
    let monitor = Monitor::start(&TOKENS).await;
    let large = format!("\"{}\"", "x".repeat(16 * 1024));
    for body in ["{", &large] {
        let reply = monitor.send(post("/api/v1/maintenance", body)).await;
        assert_eq!(reply.status, 401, "{reply:?}");
    }
    monitor.stop().await;
}
