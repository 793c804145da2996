//! Names from strangers: what gets a series and what becomes `_other`.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a broken assumption fails the test")]

use mcpmon_metrics::label::{ErrorType, Observer, Reason};
use mcpmon_metrics::{Budgets, Event, Metrics, Name, Options, Origin, Outcome, Seconds, ToolCall};

fn origin(server: &str, observer: Observer) -> Origin<'_> {
    Origin { server: Name::new(server).unwrap(), source: Name::new("source").unwrap(), observer }
}

fn call(tool: &str, outcome: Outcome) -> Event<'_> {
    let tool = Name::new(tool).unwrap();
    Event::ToolCall(ToolCall::new(tool, outcome, Seconds::new(0.1).unwrap()))
}

fn listed<'a>(tools: &[&'a str], complete: bool) -> Event<'a> {
    Event::ToolsListed {
        tools: tools.iter().map(|t| Name::new(*t).unwrap()).collect(),
        schema_hash: "0".into(),
        complete,
        bytes: None,
    }
}

fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
}

const FAILED: Outcome = Outcome::Error(ErrorType::ValidationError, Reason::InvalidParams);

#[test]
fn a_tap_s_invented_name_gets_no_series_after_a_listing() {
    let metrics = Metrics::new(Options::new("test", "0"));
    let tap = origin("git", Observer::Tap);
    metrics.record(&tap, &listed(&["git_log"], true));
    metrics.record(&tap, &call("git_log", Outcome::Success));
    metrics.record(&tap, &call("invented", FAILED));
    metrics.record(&tap, &call("invented", Outcome::Success));
    let text = metrics.encode().unwrap();
    assert!(!text.contains("invented"), "{text}");
    let calls = |status: &str, tool: &str| {
        let labels = format!("{{server=\"git\",status=\"{status}\",tool_name=\"{tool}\"}}");
        value(&text, &format!("mcp_tool_calls_total{labels}"))
    };
    assert_eq!(calls("success", "git_log"), 1.0);
    assert_eq!(calls("error", "_other"), 1.0);
    assert_eq!(calls("success", "_other"), 1.0);
    assert_eq!(value(&text, "mcp_label_overflow_total{label=\"tool_name\"}"), 2.0);
}

#[test]
fn before_a_listing_a_tap_s_name_is_proven_by_success() {
    let metrics = Metrics::new(Options::new("test", "0"));
    let tap = origin("git", Observer::Tap);
    metrics.record(&tap, &call("git_log", FAILED));
    metrics.record(&tap, &call("git_log", Outcome::Success));
    metrics.record(&tap, &call("git_log", FAILED));
    let text = metrics.encode().unwrap();
    let errors = |tool: &str| {
        let labels = format!("{{server=\"git\",status=\"error\",tool_name=\"{tool}\"}}");
        value(&text, &format!("mcp_tool_calls_total{labels}"))
    };
    assert_eq!((errors("_other"), errors("git_log")), (1.0, 1.0));
}

#[test]
fn a_page_of_a_listing_admits_its_names_and_closes_nothing() {
    let metrics = Metrics::new(Options::new("test", "0"));
    let tap = origin("s", Observer::Tap);
    metrics.record(&tap, &listed(&["first"], false));
    metrics.record(&tap, &call("first", FAILED));
    metrics.record(&tap, &call("second", Outcome::Success));
    let text = metrics.encode().unwrap();
    assert!(text.contains("tool_name=\"first\"") && text.contains("tool_name=\"second\""));
}

#[test]
fn a_server_s_own_program_is_believed_until_it_has_listed_its_tools() {
    let metrics = Metrics::new(Options::new("test", "0"));
    let sdk = origin("s", Observer::Sdk);
    metrics.record(&sdk, &call("first", FAILED));
    metrics.record(&sdk, &listed(&["second"], true));
    metrics.record(&sdk, &call("third", FAILED));
    let text = metrics.encode().unwrap();
    assert!(text.contains("tool_name=\"first\"") && text.contains("tool_name=\"second\""));
    assert!(!text.contains("third"), "{text}");
}

#[test]
fn no_other_event_brings_an_invented_name_in() {
    let metrics = Metrics::new(Options::new("test", "0"));
    let tap = origin("s", Observer::Tap);
    let tool = || Name::new("invented").unwrap();
    metrics.record(&tap, &Event::Inflight { tool: tool(), value: 1 });
    metrics.record(&tap, &Event::QueueDepth { tool: tool(), value: 1 });
    let (error_type, reason) = (ErrorType::RpcError, Reason::Internal);
    let error = Event::Error { error_type, reason, tool: Some(tool()), message: None, count: 1 };
    metrics.record(&tap, &error);
    let text = metrics.encode().unwrap();
    assert!(!text.contains("invented"), "{text}");
    assert!(text.contains("mcp_tool_inflight{server=\"s\",tool_name=\"_other\"} 1"), "{text}");
}

#[test]
fn a_hundred_thousand_names_fill_the_budgets_and_no_more() {
    let budgets = Budgets { tools_per_server: 8, servers: 4, pairs: 20, ..Budgets::default() };
    let metrics = Metrics::new(Options { budgets, ..Options::new("test", "0") });
    for i in 0..100_000 {
        let (server, tool) = (format!("server-{}", i % 1_000), format!("tool \"{i}\\\u{e9}"));
        metrics.record(&origin(&server, Observer::Api), &call(&tool, Outcome::Success));
    }
    let text = metrics.encode().unwrap();
    let calls = text.lines().filter(|line| {
        line.starts_with("mcp_tool_calls_total{") && line.contains("status=\"success\"")
    });
    // 20 pairs, and `_other` of each of 4 servers and of the server `_other`.
    assert_eq!(calls.clone().count(), 25, "{text}");
    let total: f64 =
        calls.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum();
    assert_eq!(total, 100_000.0, "every call is counted, whatever its name");
    assert!(!text.contains("otel_metric_overflow"));
}

#[test]
fn agents_and_models_beyond_their_budgets_are_other() {
    let budgets = Budgets { agents: 2, models: 1, ..Budgets::default() };
    let metrics = Metrics::new(Options { budgets, ..Options::new("test", "0") });
    let sdk = origin("s", Observer::Sdk);
    let name = |text: &'static str| Name::new(text).unwrap();
    for agent in ["a", "b", "c", "d"] {
        let category = name("research");
        metrics.record(&sdk, &Event::AgentUsage { agent: name(agent), category, count: 2 });
    }
    for model in ["gpt-4o", "gpt-4o-mini"] {
        metrics.record(
            &sdk,
            &Event::LlmTokens {
                provider: name("openai"),
                model: name(model),
                input: 1_000_000,
                output: 0,
                cache_read: 0,
                cache_write: 0,
            },
        );
    }
    let text = metrics.encode().unwrap();
    let usage = "mcp_agent_usage_total{agent_name=\"_other\",category=\"research\",server=\"s\"}";
    assert_eq!(value(&text, usage), 4.0);
    assert_eq!(value(&text, "mcp_label_overflow_total{label=\"agent_name\"}"), 2.0);
    // The cost goes by the model's real name, though the label does not show it.
    let cost = |model| {
        let labels = format!("{{model=\"{model}\",provider=\"openai\",server=\"s\"}}");
        value(&text, &format!("mcp_llm_cost_usd_total{labels}"))
    };
    assert_eq!((cost("gpt-4o"), cost("_other")), (2.5, 0.15));
}

#[test]
fn an_unpriced_model_costs_nothing_and_is_told_apart() {
    let metrics = Metrics::new(Options::new("test", "0"));
    metrics.record(
        &origin("s", Observer::Sdk),
        &Event::LlmTokens {
            provider: Name::new("acme").unwrap(),
            model: Name::new("m").unwrap(),
            input: 3,
            output: 4,
            cache_read: 0,
            cache_write: 0,
        },
    );
    let text = metrics.encode().unwrap();
    let labels = "{model=\"m\",provider=\"acme\",server=\"s\"}";
    assert_eq!(value(&text, &format!("mcp_llm_unpriced_tokens_total{labels}")), 7.0);
    assert_eq!(value(&text, &format!("mcp_llm_cost_usd_total{labels}")), 0.0);
}

#[test]
fn readings_of_unadmitted_tools_add_up_and_follow_their_tool() {
    let metrics = Metrics::new(Options::new("test", "0"));
    let tap = origin("s", Observer::Tap);
    let inflight =
        |tool: &'static str, value| Event::Inflight { tool: Name::new(tool).unwrap(), value };
    let shown = |tool: &str| {
        let text = metrics.encode().unwrap();
        let series = format!("mcp_tool_inflight{{server=\"s\",tool_name=\"{tool}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&series));
        line.map(|value| value.parse::<u64>().unwrap())
    };
    metrics.record(&tap, &inflight("slow", 1));
    metrics.record(&tap, &inflight("fast", 5));
    assert_eq!(shown("_other"), Some(6));
    metrics.record(&tap, &call("slow", Outcome::Success));
    assert_eq!((shown("_other"), shown("slow")), (Some(5), Some(1)));
    metrics.record(&tap, &listed(&["slow", "fast"], true));
    metrics.record(&tap, &inflight("fast", 0));
    assert_eq!((shown("_other"), shown("fast")), (None, Some(0)));
}

#[test]
fn looking_a_label_up_counts_no_overflow() {
    let metrics = Metrics::new(Options::new("test", "0"));
    let tap = origin("s", Observer::Tap);
    metrics.record(&tap, &call("invented", FAILED));
    let server = metrics.server(&Name::new("s").unwrap());
    assert_eq!(&*server.tool_label(&Name::new("invented").unwrap()), "_other");
    let text = metrics.encode().unwrap();
    assert_eq!(value(&text, "mcp_label_overflow_total{label=\"tool_name\"}"), 1.0);
}

#[test]
fn operations_beyond_the_budget_never_reach_opentelemetry_s_own_limit() {
    use mcpmon_metrics::label::{Label, Method, Transport};
    let budgets = Budgets { combinations: 1, servers: 8, ..Budgets::default() };
    let metrics = Metrics::new(Options { budgets, ..Options::new("test", "0") });
    let mut outcomes = vec![Outcome::Success, Outcome::Timeout, Outcome::Cancelled];
    outcomes.extend(ErrorType::ALL.iter().map(|kind| Outcome::Error(*kind, Reason::None)));
    for server in 0..10 {
        let server = format!("server-{server}");
        let api = origin(&server, Observer::Api);
        for outcome in &outcomes {
            for transport in Transport::ALL {
                for method in Method::ALL.iter().filter(|m| **m != Method::ToolsCall) {
                    let duration = Seconds::new(0.1).unwrap();
                    let (method, outcome, transport) = (*method, *outcome, *transport);
                    let protocol_version = None;
                    let event =
                        Event::Operation { method, outcome, duration, transport, protocol_version };
                    metrics.record(&api, &event);
                }
                let tool = Name::new("t").unwrap();
                let mut call = ToolCall::new(tool, *outcome, Seconds::new(0.1).unwrap());
                metrics.record(&api, &Event::ToolCall(call.clone()));
                call.transport = Some(*transport);
                metrics.record(&api, &Event::ToolCall(call));
            }
        }
    }
    assert!(!metrics.encode().unwrap().contains("otel_metric_overflow"));
}

#[test]
fn a_program_reports_its_own_limits_and_refusals() {
    let limited = Outcome::Error(ErrorType::RateLimited, Reason::RateLimit);
    let refused = Outcome::Error(ErrorType::AuthError, Reason::Forbidden);
    for (observer, derived) in [(Observer::Tap, true), (Observer::Sdk, false)] {
        let metrics = Metrics::new(Options::new("test", "0"));
        let origin = origin("s", observer);
        metrics.record(&origin, &call("t", limited));
        metrics.record(&origin, &call("t", refused));
        let text = metrics.encode().unwrap();
        let has = |series: &str| text.contains(series);
        assert_eq!(has("mcp_rate_limit_hits_total{limit_type=\"upstream\""), derived);
        assert_eq!(has("mcp_auth_failures_total{reason=\"insufficient_scope\""), derived);
    }
}
