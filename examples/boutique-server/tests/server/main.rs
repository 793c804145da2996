//! The boutique over Streamable HTTP, driven by a real client in both eras of the protocol.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests may panic")]

mod support;

use rmcp::service::{ClientLifecycleMode, ServiceError};
use serde_json::json;
use support::{Boutique, call, legacy, modern};

const CALLS: &str = "mcp_tool_calls_total";
const ERRORS: &str = "mcp_errors_total";

async fn tools_are_listed_and_called(era: ClientLifecycleMode) {
    let boutique = Boutique::open().await;
    let client = boutique.connect(era).await;

    let listed: Vec<_> =
        client.list_all_tools().await.unwrap().into_iter().map(|tool| tool.name).collect();
    assert_eq!(listed, boutique_server::tool_names().collect::<Vec<_>>());

    let reply = call(&client, "search_catalogue", json!({ "query": "coat" })).await.unwrap();
    assert_eq!(reply.is_error, Some(false));
    assert_eq!(reply.structured_content.unwrap()["simulated"], json!(true));
    let tool = r#"tool_name="search_catalogue""#;
    assert_eq!(boutique.value(CALLS, &[tool, r#"status="success""#]), 1.0);
    assert_eq!(boutique.value("mcp_request_duration_seconds_count", &[tool]), 1.0);
    assert!(boutique.value("mcp_request_size_bytes_sum", &[tool]) > 40.0);
    assert!(boutique.value("mcp_response_size_bytes_sum", &[tool]) > 40.0);
    let operations = "mcp_server_operation_duration_seconds_count";
    assert!(boutique.value(operations, &[r#"mcp_method_name="tools/list""#]) >= 1.0);
    assert_eq!(boutique.value("mcp_server_info", &[r#"name="boutique-server""#]), 1.0);
    client.cancel().await.unwrap();
    boutique.close().await;
}

#[tokio::test]
async fn legacy_clients_list_and_call() {
    tools_are_listed_and_called(legacy()).await;
}

#[tokio::test]
async fn modern_clients_list_and_call() {
    tools_are_listed_and_called(modern()).await;
}

#[tokio::test]
async fn every_tool_works_and_says_that_it_is_simulated() {
    let boutique = Boutique::open().await;
    let client = boutique.connect(modern()).await;
    let calls = [
        ("search_catalogue", json!({ "query": "coat" })),
        ("price_dynamically", json!({ "sku": "A", "list_price": 80.0, "discount": 25.0 })),
        ("upload_product_image", json!({ "sku": "A", "path": "coats/a.jpg" })),
        ("generate_theme", json!({ "collection": "Autumn", "mood": "fog" })),
        ("generate_3d_from_text", json!({ "prompt": "a coat" })),
        ("generate_3d_from_image", json!({ "image": "coats/a.jpg" })),
        ("scan_code", json!({ "source": "fn main() {}" })),
        ("plan_marketing_campaign", json!({ "product": "Autumn", "budget": 500.0 })),
        ("run_multi_agent_workflow", json!({ "goal": "launch", "agents": 3 })),
        ("check_health", json!({})),
    ];
    assert_eq!(calls.len(), boutique_server::tool_names().count());
    for (tool, arguments) in calls {
        let reply = call(&client, tool, arguments).await.unwrap();
        assert_eq!(reply.structured_content.unwrap()["simulated"], json!(true), "{tool}");
        assert_eq!(boutique.value(CALLS, &[&format!("tool_name=\"{tool}\"")]), 1.0);
    }
    assert!(boutique.value("mcp_llm_tokens_total", &[r#"type="input""#]) > 1_000.0);
    assert_eq!(boutique.value("mcp_agent_usage_total", &[]), 5.0);
    assert_eq!(boutique.value("mcp_3d_generations_total", &[r#"status="pending""#]), 2.0);
    assert_eq!(boutique.value("mcp_3d_generations_total", &[]), 4.0);
}

#[tokio::test]
async fn wrong_arguments_are_a_json_rpc_error() {
    let boutique = Boutique::open().await;
    for era in [legacy(), modern()] {
        let client = boutique.connect(era).await;
        let Err(ServiceError::McpError(error)) =
            call(&client, "search_catalogue", json!({ "limit": 3 })).await
        else {
            panic!("expected a JSON-RPC error")
        };
        assert_eq!((error.code.0, &*error.message), (-32602, "missing field `query`"));
        assert_eq!(error.data.unwrap()["simulated"], json!(true));
        let unknown = call(&client, "generate_hologram", json!({})).await.unwrap_err();
        assert!(unknown.to_string().contains("unknown tool"), "{unknown}");
    }
    let tool = r#"tool_name="search_catalogue""#;
    let invalid = [tool, r#"error_type="validation_error""#, r#"reason="invalid_params""#];
    assert_eq!(boutique.value(ERRORS, &invalid), 2.0);
    let schema = r#"validation_type="schema""#;
    assert_eq!(boutique.value("mcp_validation_failures_total", &[tool, schema]), 2.0);
    assert_eq!(boutique.value(CALLS, &[r#"status="error""#]), 4.0);
}

#[tokio::test]
async fn a_rule_of_the_house_is_an_is_error_result() {
    let boutique = Boutique::open().await;
    let client = boutique.connect(legacy()).await;
    let price = json!({ "sku": "A", "list_price": 80.0, "discount": 95.0 });
    let reply = call(&client, "price_dynamically", price).await.unwrap();
    assert_eq!(reply.is_error, Some(true));
    assert_eq!(
        reply.structured_content.unwrap(),
        json!({ "simulated": true, "error": "discount is 95 %; the house gives 0 to 70 %" })
    );
    let rule = r#"validation_type="business_rule""#;
    assert_eq!(boutique.value("mcp_validation_failures_total", &[rule]), 1.0);
}

#[tokio::test]
async fn a_path_traversal_is_refused_and_told() {
    let boutique = Boutique::open().await;
    let client = boutique.connect(modern()).await;
    let upload = json!({ "sku": "A", "path": "../../etc/passwd" });
    let reply = call(&client, "upload_product_image", upload).await.unwrap();
    assert_eq!(reply.is_error, Some(true));
    let seen = |family, label| boutique.value(family, &[label]);
    assert_eq!(seen("mcp_security_events_total", r#"event_type="path_traversal""#), 1.0);
    assert_eq!(seen("mcp_validation_failures_total", r#"validation_type="sanitization""#), 1.0);
    assert_eq!(seen(CALLS, r#"status="error""#), 1.0);
    let text = boutique.monitor.metrics_text().unwrap();
    assert!(!text.contains("passwd"), "an argument became a label");
}

async fn a_call_that_is_given_up_is_cancelled(era: ClientLifecycleMode) {
    let boutique = Boutique::open_at(100.0).await;
    let client = boutique.connect(era).await;
    let tool = [r#"tool_name="scan_code""#];
    {
        let endless = call(&client, "scan_code", json!({ "source": "" }));
        tokio::select! {
            reply = endless => panic!("a call of half a minute ended: {reply:?}"),
            () = boutique.reaches("mcp_tool_inflight", &tool, 1.0) => {}
        }
    }
    boutique.reaches(CALLS, &[tool[0], r#"status="cancelled""#], 1.0).await;
    boutique.reaches("mcp_tool_inflight", &tool, 0.0).await;
    assert_eq!(boutique.value(CALLS, &[]), 1.0);
}

#[tokio::test]
async fn a_legacy_call_that_is_given_up_is_cancelled() {
    a_call_that_is_given_up_is_cancelled(legacy()).await;
}

#[tokio::test]
async fn a_modern_call_that_is_given_up_is_cancelled() {
    a_call_that_is_given_up_is_cancelled(modern()).await;
}

#[tokio::test]
async fn two_renders_at_a_time_and_the_others_queue() {
    let boutique = Boutique::open_at(100.0).await;
    let client = boutique.connect(legacy()).await;
    let render = || call(&client, "generate_3d_from_text", json!({ "prompt": "a coat" }));
    tokio::select! {
        _ = async { tokio::join!(render(), render(), render(), render()) } => panic!("they cannot end"),
        () = boutique.reaches("mcp_queue_depth", &[], 2.0) => {}
    }
}

#[tokio::test]
async fn sessions_and_open_streams_are_connections() {
    let boutique = Boutique::open().await;
    let http = [r#"transport="http""#];
    let first = boutique.connect(legacy()).await;
    let second = boutique.connect(legacy()).await;
    boutique.reaches("mcp_active_connections", &http, 2.0).await;
    // A modern client holds nothing open between its requests.
    let modern = boutique.connect(modern()).await;
    boutique.reaches("mcp_active_connections", &http, 2.0).await;
    for client in [first, second, modern] {
        client.cancel().await.unwrap();
    }
    boutique.reaches("mcp_active_connections", &http, 0.0).await;
}

#[tokio::test]
async fn bad_tokens_are_refused_and_told_apart() {
    let boutique = Boutique::open().await;
    let refusals = [
        ("", "missing_token"),
        ("boutique-demo-expired", "expired_token"),
        ("boutique-demo-newsletter", "insufficient_scope"),
        ("found-on-the-street", "invalid_token"),
    ];
    for (token, reason) in refusals {
        let error = boutique.knock(Some(token), legacy()).await.unwrap_err();
        assert!(error.auth_challenge().is_some(), "{error}");
        let label = format!("reason=\"{reason}\"");
        assert_eq!(boutique.value("mcp_auth_failures_total", &[&label]), 1.0, "{reason}");
    }
    let client = boutique.knock(Some("boutique-demo"), legacy()).await.unwrap();
    assert!(!client.list_all_tools().await.unwrap().is_empty());
}

#[tokio::test]
async fn one_deck_of_calls_shows_every_fate() {
    let boutique = Boutique::open_at(0.2).await;
    let client = boutique.connect(modern()).await;
    for _ in 0..250 {
        call(&client, "search_catalogue", json!({ "query": "coat" })).await.unwrap();
    }
    let limits = "mcp_rate_limit_hits_total";
    assert_eq!(boutique.value(ERRORS, &[r#"error_type="api_error""#]), 2.0);
    assert_eq!(boutique.value(limits, &[r#"limit_type="upstream""#]), 1.0);
    assert_eq!(boutique.value(limits, &[r#"limit_type="per_minute""#]), 1.0);
    assert_eq!(boutique.value(ERRORS, &[r#"error_type="rate_limited""#]), 2.0);
    assert!(boutique.value("mcp_timeouts_total", &[]) >= 1.0);
    assert_eq!(boutique.value(CALLS, &[]), 250.0);
}
