//! The text of a scrape: types, help, label order, and what is there before anything happened.

#![allow(clippy::unwrap_used, reason = "a broken assumption fails the test")]

use mcpmon_metrics::catalogue::{self, Kind};
use mcpmon_metrics::label::{Observer, Status};
use mcpmon_metrics::{Event, Metrics, Name, Options, Origin, Outcome, Seconds, ToolCall};

fn origin() -> Origin<'static> {
    let name = |text: &'static str| Name::new(text).unwrap();
    Origin { server: name("boutique"), source: name("boutique-1"), observer: Observer::Sdk }
}

fn listed(tools: &[&'static str]) -> Event<'static> {
    Event::ToolsListed {
        tools: tools.iter().map(|t| Name::new(*t).unwrap()).collect(),
        schema_hash: "0".into(),
        complete: true,
        bytes: None,
    }
}

fn of(text: &str, names: &[&str]) -> String {
    let of = |line: &&str| names.iter().any(|name| line.contains(name));
    text.lines().filter(of).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_listed_tool_starts_at_zero() {
    let metrics = Metrics::new(Options::new("test", "0"));
    metrics.record(&origin(), &listed(&["search"]));
    let text = metrics.encode().unwrap();
    let text = of(&text, &["mcp_tool_calls", "mcp_errors", "mcp_timeouts", "_size_bytes"]);
    insta::assert_snapshot!(text, @r##"
    # HELP mcp_errors_total Errors, by type and reason: one for each failed call, and those reported on their own.
    # TYPE mcp_errors_total counter
    mcp_errors_total{error_type="tool_error",reason="is_error",server="boutique",tool_name="search"} 0
    # HELP mcp_request_size_bytes Size of tool call requests, as JSON-RPC messages without framing.
    # TYPE mcp_request_size_bytes summary
    mcp_request_size_bytes_sum{server="boutique",tool_name="search"} 0
    mcp_request_size_bytes_count{server="boutique",tool_name="search"} 0
    # HELP mcp_response_size_bytes Size of tool call replies, as JSON-RPC messages without framing.
    # TYPE mcp_response_size_bytes summary
    mcp_response_size_bytes_sum{server="boutique",tool_name="search"} 0
    mcp_response_size_bytes_count{server="boutique",tool_name="search"} 0
    # HELP mcp_timeouts_total Tool calls that ended by a deadline.
    # TYPE mcp_timeouts_total counter
    mcp_timeouts_total{server="boutique",tool_name="search"} 0
    # HELP mcp_tool_calls_total Tool calls that ended, by outcome.
    # TYPE mcp_tool_calls_total counter
    mcp_tool_calls_total{server="boutique",status="cancelled",tool_name="search"} 0
    mcp_tool_calls_total{server="boutique",status="error",tool_name="search"} 0
    mcp_tool_calls_total{server="boutique",status="success",tool_name="search"} 0
    mcp_tool_calls_total{server="boutique",status="timeout",tool_name="search"} 0
    "##);
}

#[test]
fn a_call_is_written_once_in_every_family() {
    let metrics = Metrics::new(Options::new("test", "0"));
    let mut call = ToolCall::new(
        Name::new("se\"arch\\").unwrap(),
        Outcome::Success,
        Seconds::new(0.003).unwrap(),
    );
    call.request_bytes = Some(180);
    call.response_bytes = Some(5_120);
    metrics.record(&origin(), &Event::ToolCall(call));
    let text = metrics.encode().unwrap();
    let text =
        of(&text, &["mcp_request", "mcp_response", "mcp_tool_calls", "mcp_server_operation"]);
    insta::assert_snapshot!(text, @r##"
    # HELP mcp_request_duration_seconds Duration of tool calls, from the request's arrival to the reply's departure.
    # TYPE mcp_request_duration_seconds histogram
    mcp_request_duration_seconds_bucket{server="boutique",tool_name="se\"arch\\",le="0.001"} 0
    mcp_request_duration_seconds_bucket{server="boutique",tool_name="se\"arch\\",le="0.0025"} 0
    mcp_request_duration_seconds_bucket{server="boutique",tool_name="se\"arch\\",le="0.005"} 1
    mcp_request_duration_seconds_bucket{server="boutique",tool_name="se\"arch\\",le="0.01"} 1
    mcp_request_duration_seconds_bucket{server="boutique",tool_name="se\"arch\\",le="0.025"} 1
    mcp_request_duration_seconds_bucket{server="boutique",tool_name="se\"arch\\",le="0.05"} 1
    mcp_request_duration_seconds_bucket{server="boutique",tool_name="se\"arch\\",le="0.1"} 1
    mcp_request_duration_seconds_bucket{server="boutique",tool_name="se\"arch\\",le="0.25"} 1
    mcp_request_duration_seconds_bucket{server="boutique",tool_name="se\"arch\\",le="0.5"} 1
    mcp_request_duration_seconds_bucket{server="boutique",tool_name="se\"arch\\",le="1"} 1
    mcp_request_duration_seconds_bucket{server="boutique",tool_name="se\"arch\\",le="2"} 1
    mcp_request_duration_seconds_bucket{server="boutique",tool_name="se\"arch\\",le="5"} 1
    mcp_request_duration_seconds_bucket{server="boutique",tool_name="se\"arch\\",le="10"} 1
    mcp_request_duration_seconds_bucket{server="boutique",tool_name="se\"arch\\",le="30"} 1
    mcp_request_duration_seconds_bucket{server="boutique",tool_name="se\"arch\\",le="60"} 1
    mcp_request_duration_seconds_bucket{server="boutique",tool_name="se\"arch\\",le="120"} 1
    mcp_request_duration_seconds_bucket{server="boutique",tool_name="se\"arch\\",le="300"} 1
    mcp_request_duration_seconds_bucket{server="boutique",tool_name="se\"arch\\",le="+Inf"} 1
    mcp_request_duration_seconds_sum{server="boutique",tool_name="se\"arch\\"} 0.003
    mcp_request_duration_seconds_count{server="boutique",tool_name="se\"arch\\"} 1
    # HELP mcp_request_size_bytes Size of tool call requests, as JSON-RPC messages without framing.
    # TYPE mcp_request_size_bytes summary
    mcp_request_size_bytes_sum{server="boutique",tool_name="se\"arch\\"} 180
    mcp_request_size_bytes_count{server="boutique",tool_name="se\"arch\\"} 1
    # HELP mcp_response_size_bytes Size of tool call replies, as JSON-RPC messages without framing.
    # TYPE mcp_response_size_bytes summary
    mcp_response_size_bytes_sum{server="boutique",tool_name="se\"arch\\"} 5120
    mcp_response_size_bytes_count{server="boutique",tool_name="se\"arch\\"} 1
    # HELP mcp_server_operation_duration_seconds Duration of JSON-RPC requests of every method, as OpenTelemetry's MCP convention counts them.
    # TYPE mcp_server_operation_duration_seconds histogram
    mcp_server_operation_duration_seconds_bucket{mcp_method_name="tools/call",server="boutique",le="0.001"} 0
    mcp_server_operation_duration_seconds_bucket{mcp_method_name="tools/call",server="boutique",le="0.0025"} 0
    mcp_server_operation_duration_seconds_bucket{mcp_method_name="tools/call",server="boutique",le="0.005"} 1
    mcp_server_operation_duration_seconds_bucket{mcp_method_name="tools/call",server="boutique",le="0.01"} 1
    mcp_server_operation_duration_seconds_bucket{mcp_method_name="tools/call",server="boutique",le="0.02"} 1
    mcp_server_operation_duration_seconds_bucket{mcp_method_name="tools/call",server="boutique",le="0.05"} 1
    mcp_server_operation_duration_seconds_bucket{mcp_method_name="tools/call",server="boutique",le="0.1"} 1
    mcp_server_operation_duration_seconds_bucket{mcp_method_name="tools/call",server="boutique",le="0.2"} 1
    mcp_server_operation_duration_seconds_bucket{mcp_method_name="tools/call",server="boutique",le="0.5"} 1
    mcp_server_operation_duration_seconds_bucket{mcp_method_name="tools/call",server="boutique",le="1"} 1
    mcp_server_operation_duration_seconds_bucket{mcp_method_name="tools/call",server="boutique",le="2"} 1
    mcp_server_operation_duration_seconds_bucket{mcp_method_name="tools/call",server="boutique",le="5"} 1
    mcp_server_operation_duration_seconds_bucket{mcp_method_name="tools/call",server="boutique",le="10"} 1
    mcp_server_operation_duration_seconds_bucket{mcp_method_name="tools/call",server="boutique",le="30"} 1
    mcp_server_operation_duration_seconds_bucket{mcp_method_name="tools/call",server="boutique",le="60"} 1
    mcp_server_operation_duration_seconds_bucket{mcp_method_name="tools/call",server="boutique",le="120"} 1
    mcp_server_operation_duration_seconds_bucket{mcp_method_name="tools/call",server="boutique",le="300"} 1
    mcp_server_operation_duration_seconds_bucket{mcp_method_name="tools/call",server="boutique",le="+Inf"} 1
    mcp_server_operation_duration_seconds_sum{mcp_method_name="tools/call",server="boutique"} 0.003
    mcp_server_operation_duration_seconds_count{mcp_method_name="tools/call",server="boutique"} 1
    # HELP mcp_tool_calls_total Tool calls that ended, by outcome.
    # TYPE mcp_tool_calls_total counter
    mcp_tool_calls_total{server="boutique",status="cancelled",tool_name="se\"arch\\"} 0
    mcp_tool_calls_total{server="boutique",status="error",tool_name="se\"arch\\"} 0
    mcp_tool_calls_total{server="boutique",status="success",tool_name="se\"arch\\"} 1
    mcp_tool_calls_total{server="boutique",status="timeout",tool_name="se\"arch\\"} 0
    "##);
}

#[test]
fn every_family_is_exposed_as_the_catalogue_says() {
    let metrics = Metrics::new(Options::new("test", "0"));
    metrics.record(&origin(), &listed(&["search"]));
    let values = ["a", "b", "c", "d", "e", "f"];
    let text_before = metrics.encode().unwrap();
    for family in catalogue::ALL {
        let values = &values[..family.labels.len()];
        let is_there = text_before.contains(&format!("# TYPE {} ", family.name));
        match family.kind {
            _ if is_there => {}
            Kind::Counter => metrics.counter(*family, values).add(1),
            Kind::Gauge => {
                let values = values.to_vec();
                metrics.gauge(*family, move |emit| emit(&values, 1.0));
            }
            // Their only writers are the recorder's; the calls above and below reach them.
            Kind::FloatCounter | Kind::Histogram(_) | Kind::Summary => {}
        }
    }
    metrics.record(
        &origin(),
        &Event::LlmTokens {
            provider: Name::new("anthropic").unwrap(),
            model: Name::new("claude-sonnet-4-5").unwrap(),
            input: 1_000_000,
            output: 0,
            cache_read: 0,
            cache_write: 0,
        },
    );
    let call = ToolCall::new(Name::new("x").unwrap(), Outcome::Timeout, Seconds::new(1.0).unwrap());
    metrics.record(&origin(), &Event::ToolCall(call));
    let text = metrics.encode().unwrap();
    for family in catalogue::ALL.iter().filter(|f| f.name != "mcp_remediation_duration_seconds") {
        let help = format!("# HELP {} {}\n", family.name, family.help);
        let kind = format!("# TYPE {} {}\n", family.name, family.kind.exposed());
        assert_eq!(text.matches(&help).count(), 1, "{help}{text}");
        assert_eq!(text.matches(&kind).count(), 1, "{kind}");
    }
    assert!(!text.contains("otel_scope"), "{text}");
    assert!(!text.contains("_total_total"), "{text}");
    assert!(!text.contains("target_info"), "{text}");
}

#[test]
fn a_panicking_reading_costs_its_own_series_only() {
    let metrics = Metrics::new(Options::new("test", "0"));
    metrics.gauge(catalogue::HEALTH_STATUS, |_| panic!("simulated"));
    for _ in 0..2 {
        let text = metrics.encode().unwrap();
        assert!(text.contains("mcp_build_info"), "{text}");
        assert!(!text.contains("mcp_health_status "), "{text}");
    }
}

#[test]
fn totals_are_what_the_scrape_shows() {
    let metrics = Metrics::new(Options::new("test", "0"));
    metrics.record(&origin(), &listed(&["search"]));
    let call =
        ToolCall::new(Name::new("search").unwrap(), Outcome::Timeout, Seconds::new(0.003).unwrap());
    metrics.record(&origin(), &Event::ToolCall(call));
    let totals = metrics.totals().unwrap();
    let [tool] = totals.tools.as_slice() else { panic!("{totals:?}") };
    assert_eq!((&*tool.server, &*tool.tool), ("boutique", "search"));
    assert_eq!(tool.calls[Status::Timeout as usize], 1);
    assert_eq!(tool.calls.iter().sum::<u64>(), 1);
    assert_eq!(tool.buckets[..4], [0, 0, 1, 1]);
}

#[test]
fn operations_carry_the_convention_s_optional_labels_when_asked_to() {
    let options = Options { otel_semconv: true, ..Options::new("test", "0") };
    let metrics = Metrics::new(options);
    let seconds = Seconds::new(0.003).unwrap();
    let mut call = ToolCall::new(Name::new("search").unwrap(), Outcome::Success, seconds);
    call.protocol_version = Some("2026-07-28".parse().unwrap());
    metrics.record(&origin(), &Event::ToolCall(call));
    let text = metrics.encode().unwrap();
    let labels = "gen_ai_tool_name=\"search\",mcp_method_name=\"tools/call\",\
                  mcp_protocol_version=\"2026-07-28\",server=\"boutique\"";
    let series = format!("mcp_server_operation_duration_seconds_count{{{labels}}} 1\n");
    assert!(text.contains(&series), "{text}");
    let duration =
        "mcp_request_duration_seconds_count{server=\"boutique\",tool_name=\"search\"} 1\n";
    assert!(text.contains(duration), "{text}");
}
