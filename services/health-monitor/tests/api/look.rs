//! What is read: the report, the metrics, and paths and methods that are none.

use mcpmon_testkit::metric::metric;
use serde_json::Value;

use crate::support::{Monitor, Reply, Request, TOKENS, get, post};

fn is_checked(report: &Value) -> bool {
    let components = report["components"].as_array().unwrap();
    components.iter().all(|component| component["last_check"].is_string())
}

#[tokio::test]
async fn the_report_says_how_each_component_is() {
    let monitor = Monitor::start(&TOKENS).await;
    let mut report = monitor.report_until(is_checked).await;
    for component in report["components"].as_array_mut().unwrap() {
        for time in ["since", "last_check"] {
            let text = component[time].as_str().unwrap().to_owned();
            assert!(text.ends_with('Z') && text.len() == 24, "{text}");
            component[time] = "TIME".into();
        }
        component["latency_ms"] = 1.into();
        if let Some(error) = component["error"].as_str() {
            let from = error.find("http://").unwrap();
            let to = error.find(": it").unwrap();
            component["error"] = error.replace(&error[from..to], "URL").into();
        }
    }
    report["generated_at"] = "TIME".into();
    report["overall"]["reasons"] = report["overall"]["reasons"].as_array().unwrap().len().into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap());
    monitor.stop().await;
}

#[tokio::test]
async fn metrics_show_the_same() {
    let monitor = Monitor::start(&TOKENS).await;
    monitor.report_until(is_checked).await;
    let reply = monitor.send(get("/metrics").bearer("reader")).await;
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for (component, up, state) in [("api", 1, "healthy"), ("dead", 0, "unhealthy")] {
        let of = |name: &str| metric(name).label("component", component);
        of("mcp_component_up").label("kind", "http").value(up).assert_in(&reply.body);
        of("mcp_component_state").label("state", state).value(1).assert_in(&reply.body);
        of("mcp_component_checks_missed_total").value(0).assert_in(&reply.body);
        let states = of("mcp_component_state").find(&reply.body);
        assert_eq!((states.len(), of("mcp_component_state").sum_in(&reply.body)), (10, 1.0));
    }
    metric("mcp_health_status").value(2).assert_in(&reply.body);
    metric("mcp_coordination_up").label("backend", "memory").value(1).assert_in(&reply.body);
    metric("mcp_config_last_reload_successful").value(1).assert_in(&reply.body);
    monitor.stop().await;
}

#[tokio::test]
async fn what_is_read_answers_head_and_no_other_method() {
    let monitor = Monitor::start(&TOKENS).await;
    for path in ["/metrics", "/health", "/api/v1/components", "/api/v1/maintenance"] {
        let head = monitor.send(get(path).method("HEAD").bearer("reader")).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert!(head.header("content-type").is_some(), "{path}: {head:?}");
    }
    let refused = |request: Request| async { refusal(&monitor.send(request).await) };
    for path in ["/metrics", "/health", "/api/v1/components"] {
        let expected = "405 GET, HEAD: this path takes GET, HEAD alone";
        assert_eq!(refused(post(path, "{}")).await, expected, "{path}");
    }
    for path in ["/api/v1/components/api/check", "/api/v1/components/api/ack"] {
        assert_eq!(refused(get(path)).await, "405 POST: this path takes POST alone", "{path}");
    }
    assert_eq!(
        refused(get("/api/v1/maintenance").method("PUT")).await,
        "405 GET, HEAD, POST: this path takes GET, HEAD, POST alone"
    );
    assert_eq!(
        refused(get("/api/v1/maintenance/api")).await,
        "405 DELETE: this path takes DELETE alone"
    );
    for path in ["/", "/api", "/api/v1/components/", "/api/v1/components/api", "/v1/events"] {
        let reply = monitor.send(get(path)).await;
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (404, "there is nothing at this path")
        );
    }
    monitor.stop().await;
}

fn refusal(reply: &Reply) -> String {
    let allow = reply.header("allow").unwrap_or_default();
    format!("{} {allow}: {}", reply.status, reply.problem())
}
