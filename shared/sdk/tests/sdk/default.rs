//! The free functions over the default monitor. One test, for the default is the process's.

use mcpmon_sdk::label::{GenerationStatus, LimitType};
use mcpmon_sdk::{Monitor, SdkError};

use crate::support::LONG;

#[test]
fn the_free_functions_share_the_monitor_that_was_given_first() {
    mcpmon_sdk::init(Monitor::builder("shop").build().unwrap()).unwrap();
    let second = mcpmon_sdk::init(Monitor::builder("other").build().unwrap());
    assert!(matches!(second, Err(SdkError::AlreadyInitialised)));

    let call = mcpmon_sdk::record_tool_call("search");
    mcpmon_sdk::record_error("api_error", Some("search"), "dns");
    call.error(mcpmon_sdk::label::ErrorType::ToolError, mcpmon_sdk::label::Reason::IsError);
    mcpmon_sdk::record_llm_tokens("anthropic", "claude-sonnet", 1_000, 500);
    mcpmon_sdk::record_3d_generation(GenerationStatus::Pending);
    mcpmon_sdk::record_rate_limit(None, LimitType::PerHour);

    let text = mcpmon_sdk::monitor().metrics_text().unwrap();
    for line in [
        r#"mcp_tool_calls_total{server="shop",status="error",tool_name="search"} 1"#,
        r#"mcp_errors_total{error_type="api_error",reason="dns",server="shop",tool_name="search"} 1"#,
        r#"mcp_3d_generations_total{server="shop",status="pending"} 1"#,
    ] {
        assert!(text.lines().any(|known| known == line), "no line {line}\n{text}");
    }
    assert!(mcpmon_sdk::start_metrics_server_background(0).unwrap().ip().is_loopback());
    assert_eq!(mcpmon_sdk::shutdown(LONG), Ok(()));
}
