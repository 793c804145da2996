//! A finished call is written once: what the families say together, for any calls.

#![allow(clippy::unwrap_used, reason = "a broken assumption fails the test")]

use std::collections::BTreeMap;

use mcpmon_metrics::label::{ErrorType, Label, Observer, Reason};
use mcpmon_metrics::{Budgets, Event, Metrics, Name, Options, Origin, Outcome, Seconds, ToolCall};
use proptest::prelude::*;

fn outcome() -> impl Strategy<Value = Outcome> {
    let error = (prop::sample::select(ErrorType::ALL), prop::sample::select(Reason::ALL));
    prop_oneof![
        4 => Just(Outcome::Success),
        4 => error.prop_map(|(error_type, reason)| Outcome::Error(error_type, reason)),
        1 => Just(Outcome::Timeout),
        1 => Just(Outcome::Cancelled),
    ]
}

fn event() -> impl Strategy<Value = Event<'static>> {
    // More names than the budget admits, so that `_other` is under the same law.
    let tool = || (0..12_u8).prop_map(|i| Name::new(format!("tool-{i}")).unwrap());
    let size = || prop::option::of(0..1_u64 << 40);
    let call = (tool(), outcome(), 0.0..400.0_f64, size(), size()).prop_map(
        |(tool, outcome, seconds, request, response)| {
            let mut call = ToolCall::new(tool, outcome, Seconds::new(seconds).unwrap());
            (call.request_bytes, call.response_bytes) = (request, response);
            Event::ToolCall(call)
        },
    );
    let bare = (tool(), prop::sample::select(ErrorType::ALL), 1..5_u64).prop_map(
        |(tool, error_type, count)| Event::Error {
            error_type,
            reason: Reason::Other,
            tool: Some(tool),
            message: None,
            count,
        },
    );
    prop_oneof![9 => call, 1 => bare]
}

/// The sum of a family's samples by server and tool.
fn sums(text: &str, name: &str, with: &str) -> BTreeMap<(String, String), f64> {
    let mut sums = BTreeMap::new();
    for line in text.lines().filter(|l| l.starts_with(&format!("{name}{{")) && l.contains(with)) {
        let (labels, value) = line.rsplit_once(' ').unwrap();
        let label = |key: &str| {
            let rest = labels.split_once(&format!("{key}=\"")).unwrap().1;
            rest.split_once('"').unwrap().0.to_owned()
        };
        *sums.entry((label("server"), label("tool_name"))).or_default() +=
            value.parse::<f64>().unwrap();
    }
    sums
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_families_agree(events in prop::collection::vec((0..4_u8, event()), 0..120)) {
        let budgets = Budgets { servers: 3, tools_per_server: 6, pairs: 14, error_details: 30, ..Budgets::default() };
        let metrics = Metrics::new(Options { budgets, ..Options::new("test", "0") });
        let (mut calls, mut errors) = (0, 0);
        for (server, event) in &events {
            let origin = Origin {
                server: Name::new(format!("server-{server}")).unwrap(),
                source: Name::new("source").unwrap(),
                observer: Observer::Api,
            };
            match event {
                Event::ToolCall(call) => {
                    calls += 1;
                    errors += u64::from(matches!(call.outcome, Outcome::Error(..)));
                }
                Event::Error { count, .. } => errors += count,
                _ => unreachable!(),
            }
            metrics.record(&origin, event);
        }
        let text = metrics.encode().unwrap();
        prop_assert!(!text.contains("otel_metric_overflow"), "{}", text);
        let by_status = sums(&text, "mcp_tool_calls_total", "");
        prop_assert_eq!(&by_status, &sums(&text, "mcp_request_duration_seconds_count", ""));
        prop_assert_eq!(by_status.values().sum::<f64>(), f64::from(calls));
        prop_assert_eq!(
            &sums(&text, "mcp_tool_calls_total", "status=\"timeout\""),
            &sums(&text, "mcp_timeouts_total", "")
        );
        let written = sums(&text, "mcp_errors_total", "");
        for (pair, failed) in sums(&text, "mcp_tool_calls_total", "status=\"error\"") {
            prop_assert!(written.get(&pair).copied().unwrap_or(0.0) >= failed, "{:?}", pair);
        }
        prop_assert_eq!(written.values().sum::<f64>(), errors as f64);
        let sized = sums(&text, "mcp_request_size_bytes_count", "");
        for (pair, count) in sized {
            prop_assert!(count <= by_status[&pair], "{:?}", pair);
        }
        // No more names than the budgets admit, `_other` and the pair of `_other`s apart.
        let pairs = by_status.keys().filter(|(_, tool)| tool != "_other").count();
        prop_assert!(pairs <= 14, "{} pairs", pairs);
    }
}
