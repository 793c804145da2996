//! What one call writes, whatever way it ends, read from the numbers of an in-process monitor.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mcpmon_sdk::label::{ErrorType, LimitType, Reason, SecurityEvent, ValidationType};
use mcpmon_sdk::{Monitor, Outcome};
use proptest::prelude::*;

fn shop() -> Monitor {
    Monitor::builder("shop").build().unwrap()
}

/// The sum of the samples whose line starts with `name{` and holds all of `labels`.
fn sum(monitor: &Monitor, name: &str, labels: &[&str]) -> u64 {
    let text = monitor.metrics_text().unwrap();
    let family = format!("{name}{{");
    let lines = text.lines().filter(|line| line.starts_with(&family));
    let lines = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
}

fn calls(monitor: &Monitor, status: &str) -> u64 {
    sum(monitor, "mcp_tool_calls_total", &[&format!("status=\"{status}\"")])
}

fn errors(monitor: &Monitor, error_type: &str, reason: &str) -> u64 {
    let labels = [format!("error_type=\"{error_type}\""), format!("reason=\"{reason}\"")];
    sum(monitor, "mcp_errors_total", &[&labels[0], &labels[1]])
}

fn all_errors(monitor: &Monitor) -> u64 {
    sum(monitor, "mcp_errors_total", &[])
}

#[test]
fn each_ending_is_written_once() {
    let monitor = shop();
    monitor.call("a").success();
    monitor.call("a").error(ErrorType::ApiError, Reason::Upstream5xx);
    monitor.call("a").timeout();
    monitor.call("a").cancelled();
    monitor.call("a").finish(Outcome::Error(ErrorType::ToolError, Reason::IsError));
    let statuses = ["success", "error", "timeout", "cancelled"].map(|s| calls(&monitor, s));
    assert_eq!(statuses, [1, 2, 1, 1]);
    assert_eq!(sum(&monitor, "mcp_request_duration_seconds_count", &[]), 5);
    assert_eq!(sum(&monitor, "mcp_timeouts_total", &[]), 1);
    assert_eq!(errors(&monitor, "api_error", "upstream_5xx"), 1);
    assert_eq!(all_errors(&monitor), 2);
    assert_eq!(sum(&monitor, "mcp_tool_inflight", &[]), 0);
}

#[tokio::test]
async fn a_dropped_future_is_a_cancelled_call() {
    let monitor = shop();
    let tool = async {
        let call = monitor.call("a");
        pending::<()>().await;
        call.success();
    };
    tokio::select! {
        biased;
        () = tool => unreachable!("it never ends"),
        () = tokio::task::yield_now() => {}
    }
    assert_eq!((calls(&monitor, "cancelled"), all_errors(&monitor)), (1, 0));
}

#[tokio::test]
async fn a_panic_is_an_error() {
    let monitor = shop();
    let inside = monitor.clone();
    let task = tokio::spawn(async move {
        let _call = inside.call("a");
        panic!("a tool that panics");
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(calls(&monitor, "error"), 1);
    assert_eq!(errors(&monitor, "internal_error", "panic"), 1);
    assert_eq!(sum(&monitor, "mcp_tool_inflight", &[]), 0);
}

#[test]
fn a_call_that_is_opened_by_a_panic_is_not_blamed_for_it() {
    struct CleanUp(Monitor);
    impl Drop for CleanUp {
        fn drop(&mut self) {
            drop(self.0.call("clean_up"));
        }
    }
    let monitor = shop();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _clean_up = CleanUp(monitor.clone());
        panic!("something else");
    }));
    assert!(unwound.is_err());
    assert_eq!((calls(&monitor, "cancelled"), calls(&monitor, "error")), (1, 0));
}

#[test]
fn an_error_inside_its_call_is_counted_once() {
    let monitor = shop();
    let call = monitor.call("a");
    monitor.error("api_error", Some("a"), "upstream_5xx");
    assert_eq!(all_errors(&monitor), 0, "the call is not over");
    call.error(ErrorType::ToolError, Reason::IsError);
    assert_eq!(errors(&monitor, "api_error", "upstream_5xx"), 1);
    assert_eq!((all_errors(&monitor), calls(&monitor, "error")), (1, 1));
}

#[test]
fn an_error_that_the_call_survived_is_counted_by_itself() {
    let monitor = shop();
    for end in [Outcome::Success, Outcome::Timeout, Outcome::Cancelled] {
        let call = monitor.call("a");
        monitor.error("api_error", Some("a"), "reset");
        call.finish(end);
    }
    assert_eq!(errors(&monitor, "api_error", "reset"), 3);
    assert_eq!((all_errors(&monitor), calls(&monitor, "error")), (3, 0));
}

#[test]
fn an_error_details_a_call_that_panics() {
    let monitor = shop();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _call = monitor.call("a");
        monitor.error("api_error", None, "tls");
        panic!("after it was reported");
    }));
    assert!(unwound.is_err());
    assert_eq!((errors(&monitor, "api_error", "tls"), all_errors(&monitor)), (1, 1));
}

#[test]
fn every_report_is_counted_and_the_last_details_the_call() {
    let monitor = shop();
    let call = monitor.call("a");
    monitor.error("transport_error", Some("a"), "reset");
    monitor.error("api_error", Some("a"), "dns");
    call.error(ErrorType::ToolError, Reason::IsError);
    assert_eq!(errors(&monitor, "transport_error", "reset"), 1);
    assert_eq!(errors(&monitor, "api_error", "dns"), 1);
    assert_eq!(all_errors(&monitor), 2);
}

#[tokio::test]
async fn calls_side_by_side_in_one_task_are_detailed_by_their_guards() {
    let monitor = shop();
    let one = async {
        let call = monitor.call("a");
        tokio::task::yield_now().await;
        call.detail("api_error", "dns");
        tokio::task::yield_now().await;
        call.error(ErrorType::ToolError, Reason::IsError);
    };
    let other = async {
        let call = monitor.call("a");
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        call.success();
    };
    tokio::join!(one, other);
    assert_eq!((errors(&monitor, "api_error", "dns"), all_errors(&monitor)), (1, 1));
    assert_eq!((calls(&monitor, "error"), calls(&monitor, "success")), (1, 1));
}

#[test]
fn a_second_detail_counts_the_first_by_itself() {
    let monitor = shop();
    let call = monitor.call("a");
    call.detail("transport_error", "reset");
    call.detail("api_error", "dns");
    call.error(ErrorType::ToolError, Reason::IsError);
    assert_eq!(errors(&monitor, "transport_error", "reset"), 1);
    assert_eq!((errors(&monitor, "api_error", "dns"), all_errors(&monitor)), (1, 2));
}

#[test]
fn an_error_of_another_tool_leaves_the_call_alone() {
    let monitor = shop();
    let call = monitor.call("a");
    monitor.error("api_error", Some("b"), "dns");
    assert_eq!(sum(&monitor, "mcp_errors_total", &["tool_name=\"b\"", "reason=\"dns\""]), 1);
    call.error(ErrorType::ToolError, Reason::IsError);
    assert_eq!(errors(&monitor, "tool_error", "is_error"), 1);
}

#[test]
fn nested_calls_are_detailed_from_the_inside() {
    let monitor = shop();
    let outer = monitor.call("outer");
    let inner = monitor.call("inner");
    monitor.error("api_error", None, "dns");
    monitor.error("api_error", Some("outer"), "tls");
    inner.error(ErrorType::ToolError, Reason::IsError);
    outer.error(ErrorType::ToolError, Reason::IsError);
    assert_eq!(sum(&monitor, "mcp_errors_total", &["tool_name=\"inner\"", "reason=\"dns\""]), 1);
    assert_eq!(sum(&monitor, "mcp_errors_total", &["tool_name=\"outer\"", "reason=\"tls\""]), 1);
    assert_eq!(all_errors(&monitor), 2);
}

#[tokio::test]
async fn calls_of_other_tasks_are_not_detailed() {
    let monitor = shop();
    let call = monitor.call("a");
    let other = monitor.clone();
    let report = async move { other.error("api_error", Some("a"), "dns") };
    tokio::spawn(report).await.unwrap();
    assert_eq!(errors(&monitor, "api_error", "dns"), 1, "it is counted by itself");
    call.error(ErrorType::ToolError, Reason::IsError);
    assert_eq!(all_errors(&monitor), 2);
}

#[tokio::test]
async fn a_guard_may_end_in_another_task() {
    let monitor = shop();
    let call = monitor.call("a");
    monitor.error("api_error", Some("a"), "dns");
    let end = async move { call.error(ErrorType::ToolError, Reason::IsError) };
    tokio::spawn(end).await.unwrap();
    assert_eq!((errors(&monitor, "api_error", "dns"), all_errors(&monitor)), (1, 1));
    // The call is over here as well: the next error is nobody's detail.
    monitor.error("api_error", Some("a"), "dns");
    assert_eq!(all_errors(&monitor), 2);
}

#[test]
fn words_that_are_not_listed_become_other() {
    let monitor = shop();
    monitor.error("StripeError", Some("a"), "card declined for jo@example.org");
    monitor.error("api_error", Some("a"), "password=hunter2");
    assert_eq!(errors(&monitor, "internal_error", "other"), 1);
    assert_eq!(errors(&monitor, "api_error", "other"), 1);
    let text = monitor.metrics_text().unwrap();
    assert!(!text.contains("hunter2") && !text.contains("Stripe") && !text.contains("example.org"));
}

#[test]
fn a_queued_call_counts_when_it_starts() {
    let monitor = shop();
    let depth = |monitor: &Monitor| sum(monitor, "mcp_queue_depth", &[]);
    let (first, second) = (monitor.queued("a"), monitor.queued("a"));
    assert_eq!(depth(&monitor), 2);
    drop(second);
    assert_eq!(depth(&monitor), 1);
    let call = first.start();
    assert_eq!((depth(&monitor), sum(&monitor, "mcp_tool_inflight", &[])), (0, 1));
    call.success();
    assert_eq!((calls(&monitor, "success"), calls(&monitor, "cancelled")), (1, 0));
}

#[test]
fn the_other_facts_reach_their_families() {
    let monitor = shop();
    monitor.llm_tokens_cached("anthropic", "claude-sonnet", 10, 20, 30, 40);
    monitor.agent_usage("planner", "design");
    monitor.generation_3d(mcpmon_sdk::label::GenerationStatus::Success);
    monitor.auth_failure(mcpmon_sdk::label::AuthFailure::ExpiredToken);
    monitor.validation_failure("a", ValidationType::Schema);
    monitor.security_event(SecurityEvent::PathTraversal);
    monitor.rate_limit(Some("a"), LimitType::PerMinute);
    monitor.declare_tools(&["declared"]);
    for (name, label, value) in [
        ("mcp_llm_tokens_total", "type=\"cache_write\"", 40),
        ("mcp_agent_usage_total", "agent_name=\"planner\"", 1),
        ("mcp_3d_generations_total", "status=\"success\"", 1),
        ("mcp_auth_failures_total", "reason=\"expired_token\"", 1),
        ("mcp_validation_failures_total", "validation_type=\"schema\"", 1),
        ("mcp_security_events_total", "event_type=\"path_traversal\"", 1),
        ("mcp_rate_limit_hits_total", "limit_type=\"per_minute\"", 1),
    ] {
        assert_eq!(sum(&monitor, name, &[label]), value, "{name}");
    }
    let text = monitor.metrics_text().unwrap();
    assert!(text.contains("status=\"success\",tool_name=\"declared\"} 0"), "{text}");
}

#[test]
fn names_that_are_none_become_other() {
    let monitor = shop();
    for tool in ["", "a\nb", &"x".repeat(129)] {
        monitor.call(tool).success();
    }
    assert_eq!(sum(&monitor, "mcp_tool_calls_total", &["tool_name=\"_other\"", "success"]), 3);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Open,
    Report,
    End(Outcome),
    Abandon,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Open),
        Just(Step::Report),
        Just(Step::Abandon),
        prop::sample::select(vec![
            Step::End(Outcome::Success),
            Step::End(Outcome::Timeout),
            Step::End(Outcome::Error(ErrorType::ToolError, Reason::IsError)),
        ]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Calls and errors add up, in whatever order they nest.
    #[test]
    fn one_truth(steps in prop::collection::vec(step(), 0..40)) {
        let monitor = shop();
        let mut open = Vec::new();
        let (mut opened, mut reports) = (0, 0);
        for step in steps {
            match step {
                Step::Open => {
                    open.push(monitor.call("a"));
                    opened += 1;
                }
                Step::Report => {
                    monitor.error("api_error", Some("a"), "dns");
                    reports += 1;
                }
                Step::End(outcome) => drop(open.pop().map(|call| call.finish(outcome))),
                Step::Abandon => drop(open.pop()),
            }
        }
        drop(open);
        prop_assert_eq!(sum(&monitor, "mcp_tool_calls_total", &[]), opened);
        prop_assert_eq!(sum(&monitor, "mcp_request_duration_seconds_count", &[]), opened);
        prop_assert_eq!(errors(&monitor, "api_error", "dns"), reports, "each report counts once");
        prop_assert!(all_errors(&monitor) >= calls(&monitor, "error"));
        prop_assert_eq!(sum(&monitor, "mcp_tool_inflight", &[]), 0);
    }
}
