//! The remote sink against an exporter that fails in every way it can.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mcpmon_metrics::wire;
use mcpmon_sdk::label::{ErrorType, Observer, Reason, Transport};
use mcpmon_sdk::{Event, Flushed, Name, Outcome, SecretString};
use mcpmon_testkit::http_script::{Answer, Gate, HttpScript, Request};
use tokio::time::Instant;

use crate::support::{
    LONG, SHORT, accepted, batches, events, exporter, flush, key, monitor, numbers, record,
};

/// Answers the first `failures` batches with `answer`, and accepts the rest.
fn failing(failures: usize, answer: Answer) -> HttpScript {
    let asked = AtomicUsize::new(0);
    exporter(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        number if number < failures => answer.clone(),
        _ => accepted(),
    })
}

/// One batch was posted that often, each time with the same bytes and the same key.
fn assert_same_batch(requests: &[Request], times: usize) {
    assert_eq!(requests.len(), times);
    for request in requests {
        assert_eq!(key(request), key(&requests[0]));
        assert_eq!(request.body, requests[0].body);
    }
}

#[test]
fn a_batch_is_what_the_exporter_parses() {
    let script = exporter(|_| accepted());
    let monitor = monitor(&script.url()).observer(Observer::Api).build().unwrap();
    let mut call = monitor.call("search");
    call.request_bytes(180).response_bytes(5_120).transport(Transport::Http);
    call.success();
    monitor.llm_tokens("anthropic", "claude-sonnet", 1_000, 500);
    monitor.declare_tools(&["search"]);
    flush(&monitor);

    let requests = batches(&script);
    assert_eq!((requests.len(), requests[0].path.as_str()), (1, "/v1/events"));
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
    assert_eq!(requests[0].header("authorization"), None);
    let batch = wire::parse_batch(&requests[0].body).unwrap();
    assert_eq!(batch.origin.server.as_str(), "shop");
    assert_eq!(batch.origin.source.as_str(), "shop-1");
    assert_eq!(batch.origin.observer, Observer::Api);
    let parsed: Vec<_> = batch.events.into_iter().map(Result::unwrap).collect();
    let Event::ToolCall(call) = &parsed[0] else { panic!("{parsed:?}") };
    assert_eq!(call.outcome, Outcome::Success);
    assert_eq!((call.request_bytes, call.response_bytes), (Some(180), Some(5_120)));
    assert_eq!(
        parsed.iter().map(Event::kind).collect::<Vec<_>>(),
        ["tool_call", "llm_tokens", "tools_listed"]
    );
}

#[test]
fn messages_leave_the_tool_redacted() {
    let script = exporter(|_| accepted());
    let monitor = monitor(&script.url()).build().unwrap();
    let mut call = monitor.call("search");
    call.message("login with password=hunter2 failed");
    call.error(ErrorType::ApiError, Reason::Unauthorized);
    monitor.error("StripeError", Some("search"), "Bearer hunter2 was refused");
    flush(&monitor);
    let all: Vec<_> = batches(&script).iter().flat_map(events).collect();
    assert_eq!(all[0]["message"], "login with password=[redacted] failed");
    assert_eq!(all[1]["message"], "StripeError: Bearer [redacted] was refused");
    assert_eq!(
        (&all[1]["error_type"], &all[1]["reason"]),
        (&"internal_error".into(), &"other".into())
    );
}

#[test]
fn every_batch_has_its_own_key_and_all_use_one_connection() {
    let script = exporter(|_| accepted());
    let monitor = monitor(&script.url()).batch_size(10).build().unwrap();
    record(&monitor, 0..35);
    flush(&monitor);
    let requests = batches(&script);
    assert_eq!(numbers(&requests), (0..35).collect::<Vec<_>>());
    let mut keys: Vec<_> = requests.iter().map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), requests.len());
    assert!(requests.iter().all(|request| events(request).len() <= 10));
    assert!(script.requests().iter().all(|request| request.connection == 0));
}

#[test]
fn a_full_batch_does_not_wait_for_the_interval() {
    let script = exporter(|_| accepted());
    let monitor = monitor(&script.url())
        .batch_size(10)
        .flush_interval(Duration::from_secs(3_600))
        .build()
        .unwrap();
    record(&monitor, 0..10);
    let requests = script.wait_for(|requests| numbers(requests).len() == 10);
    assert_eq!(batches(&script).len(), 1, "{requests:?}");
}

#[test]
fn a_lone_event_goes_out_by_itself() {
    let script = exporter(|_| accepted());
    let monitor = monitor(&script.url()).flush_interval(SHORT).build().unwrap();
    record(&monitor, 0..1);
    script.wait_for(|requests| numbers(requests) == [0]);
}

#[test]
fn an_exporter_that_is_down_gets_everything_when_it_comes() {
    // A port that was free a moment ago and where nobody listens.
    let addr = HttpScript::start(|_| Answer::Close).addr();
    let monitor = monitor(&format!("http://{addr}")).build().unwrap();
    monitor.declare_tools(&["search"]);
    record(&monitor, 0..250);
    assert!(matches!(monitor.flush(SHORT), Flushed::Partly { unsent: 251 }));

    let script = HttpScript::start_on(addr, |_| accepted());
    flush(&monitor);
    let kinds = |kind: &str| {
        let all = script.requests();
        all.iter().flat_map(events).filter(|event| event["type"] == kind).count()
    };
    assert_eq!((kinds("agent_usage"), kinds("tools_listed")), (250, 1));
    assert_eq!(monitor.dropped_events(), 0);
}

#[test]
fn a_server_error_is_tried_again_under_the_same_key() {
    for status in [500, 503, 408] {
        let script = failing(2, Answer::status(status, "broken"));
        let monitor = monitor(&script.url()).build().unwrap();
        record(&monitor, 0..3);
        flush(&monitor);
        assert_same_batch(&batches(&script), 3);
        assert_eq!(monitor.dropped_events(), 0);
    }
}

#[test]
fn a_broken_connection_is_tried_again_under_the_same_key() {
    let script = failing(2, Answer::Close);
    let monitor = monitor(&script.url()).build().unwrap();
    record(&monitor, 0..3);
    flush(&monitor);
    assert_same_batch(&batches(&script), 3);
}

#[test]
fn a_slow_exporter_is_given_up_and_tried_again_under_the_same_key() {
    let gate = Gate::default();
    let script = failing(1, accepted().after(&gate));
    let monitor = monitor(&script.url()).request_timeout(SHORT).build().unwrap();
    record(&monitor, 0..3);
    flush(&monitor);
    assert_same_batch(&batches(&script), 2);
    gate.open();
}

#[test]
fn retry_after_is_waited_for_even_by_a_flush() {
    let limited = Answer::status(429, "").with_header("retry-after", "1");
    let script = failing(1, limited);
    let monitor = monitor(&script.url()).build().unwrap();
    record(&monitor, 0..3);
    let start = Instant::now();
    assert_eq!(monitor.flush(SHORT), Flushed::Partly { unsent: 3 });
    flush(&monitor);
    assert!(start.elapsed() >= Duration::from_secs(1), "after {:?}", start.elapsed());
    assert_same_batch(&batches(&script), 2);
}

#[test]
fn a_batch_that_is_too_large_is_halved_until_it_fits() {
    let script = exporter(|request| match events(request).len() {
        0..=3 => accepted(),
        _ => Answer::status(413, ""),
    });
    let monitor = monitor(&script.url()).batch_size(10).build().unwrap();
    record(&monitor, 0..10);
    flush(&monitor);
    let requests = batches(&script);
    let taken = requests.iter().filter(|request| events(request).len() <= 3);
    assert_eq!(numbers(taken), (0..10).collect::<Vec<_>>(), "in order, each once");
    let keys: std::collections::HashSet<_> = requests.iter().map(key).collect();
    assert_eq!(keys.len(), requests.len(), "another content has another key");
    assert_eq!(monitor.dropped_events(), 0);
}

#[test]
fn an_event_that_is_too_large_alone_is_dropped_alone() {
    let script = exporter(|request| match numbers([request]).contains(&2) {
        true => Answer::status(413, ""),
        false => accepted(),
    });
    let monitor = monitor(&script.url()).build().unwrap();
    record(&monitor, 0..5);
    flush(&monitor);
    let requests = batches(&script);
    let taken = requests.iter().filter(|request| !numbers([*request]).contains(&2));
    assert_eq!(numbers(taken), [0, 1, 3, 4]);
    assert_eq!(monitor.dropped_events(), 1);
}

#[test]
fn a_refused_batch_is_dropped_and_counted() {
    for status in [400, 403, 404, 301] {
        let script = failing(1, Answer::status(status, "no"));
        let monitor = monitor(&script.url()).build().unwrap();
        record(&monitor, 0..3);
        flush(&monitor);
        assert_eq!(monitor.dropped_events(), 3, "HTTP {status}");
        record(&monitor, 3..5);
        flush(&monitor);
        assert_eq!(numbers(&batches(&script)[1..]), [3, 4], "the next batch is not held up");
    }
}

#[test]
fn rejected_events_are_counted_and_not_sent_again() {
    let reply = r#"{"accepted":2,"rejected":[{"index":1,"error":"agent is empty"}]}"#;
    let script = exporter(move |_| Answer::status(202, reply));
    let monitor = monitor(&script.url()).build().unwrap();
    record(&monitor, 0..3);
    flush(&monitor);
    assert_same_batch(&batches(&script), 1);
    assert_eq!(monitor.dropped_events(), 1);
}

#[test]
fn a_rejection_of_every_event_of_the_largest_batch_is_read() {
    let rejected: Vec<_> = (0..1_000)
        .map(|index| serde_json::json!({ "index": index, "error": "x".repeat(1_024) }))
        .collect();
    let reply = serde_json::json!({ "accepted": 0, "rejected": rejected }).to_string();
    let script = exporter(move |_| Answer::status(202, reply.clone()));
    let monitor = monitor(&script.url()).batch_size(1_000).build().unwrap();
    record(&monitor, 0..1_000);
    flush(&monitor);
    assert_eq!(monitor.dropped_events(), 1_000);
}

#[test]
fn an_acknowledged_batch_is_not_sent_again_whatever_the_reply_says() {
    let script = exporter(|_| Answer::status(202, "{ this is no JSON"));
    let monitor = monitor(&script.url()).build().unwrap();
    record(&monitor, 0..3);
    flush(&monitor);
    assert_same_batch(&batches(&script), 1);
    assert_eq!(monitor.dropped_events(), 0);
}

#[test]
fn a_refused_token_drops_the_batch() {
    let script = exporter(|_| Answer::status(401, ""));
    let monitor = monitor(&script.url()).token(SecretString::from("wrong")).build().unwrap();
    assert!(!format!("{monitor:?}").contains("wrong"));
    record(&monitor, 0..3);
    flush(&monitor);
    assert_same_batch(&batches(&script), 1);
    assert_eq!(batches(&script)[0].header("authorization"), Some("Bearer wrong"));
    assert_eq!(monitor.dropped_events(), 3);
}

#[test]
fn a_rotated_token_is_read_again_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, "old\n").unwrap();
    let script = exporter(|request| match request.header("authorization") {
        Some("Bearer new") => accepted(),
        _ => Answer::status(401, ""),
    });
    let monitor = monitor(&script.url()).token_file(&path).build().unwrap();
    fs::write(&path, "new\n").unwrap();
    record(&monitor, 0..3);
    flush(&monitor);
    assert_same_batch(&batches(&script), 2);
    assert_eq!(monitor.dropped_events(), 0);
}

#[test]
fn a_full_queue_drops_and_counts_and_keeps_the_oldest() {
    let gate = Gate::default();
    let script = exporter({
        let gate = gate.clone();
        move |_| accepted().after(&gate)
    });
    let monitor = monitor(&script.url()).queue_capacity(20).batch_size(10).build().unwrap();
    record(&monitor, 0..1_000);
    let dropped = monitor.dropped_events() as usize;
    assert!((970..=980).contains(&dropped), "the queue and one batch are kept: {dropped}");
    gate.open();
    flush(&monitor);
    let taken = numbers(&batches(&script));
    assert_eq!(taken.len() + dropped, 1_000);
    assert_eq!(taken[..20], (0..20).collect::<Vec<_>>());
}

#[test]
fn a_stuck_exporter_does_not_hold_up_the_tool() {
    let gate = Gate::default();
    let script = exporter({
        let gate = gate.clone();
        move |_| accepted().after(&gate)
    });
    let monitor = monitor(&script.url()).queue_capacity(1_000).build().unwrap();
    record(&monitor, 0..100);
    script.wait_for(|requests| requests.iter().any(|request| !events(request).is_empty()));
    // The exporter holds the first batch; it answers only after all of these have returned.
    for _ in 0..50_000 {
        monitor.call("search").success();
    }
    assert_eq!(batches(&script).len(), 1, "the exporter is still stuck");
    assert!(monitor.dropped_events() >= 48_000);
    gate.open();
    assert_eq!(monitor.shutdown(LONG), Ok(()));
}

#[test]
fn concurrent_tools_lose_nothing_and_send_nothing_twice() {
    let failures = Arc::new(AtomicUsize::new(0));
    let script = exporter(move |_| match failures.fetch_add(1, Ordering::Relaxed) % 3 {
        0 => Answer::status(503, ""),
        1 => Answer::Close,
        _ => accepted(),
    });
    let monitor = monitor(&script.url()).build().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let monitor = &monitor;
            scope.spawn(move || record(monitor, thread * 250..(thread + 1) * 250));
        }
    });
    flush(&monitor);
    // The exporter counts a key once, so here the last attempt of each.
    let requests = batches(&script);
    let by_key: std::collections::HashMap<_, _> = requests.iter().map(|r| (key(r), r)).collect();
    let mut taken = numbers(by_key.into_values());
    taken.sort_unstable();
    assert_eq!(taken, (0..1_000).collect::<Vec<_>>());
    assert_eq!(monitor.dropped_events(), 0);
}

#[test]
fn the_heartbeat_tells_what_is_open_even_when_nothing_happens() {
    let script = exporter(|_| accepted());
    let monitor = monitor(&script.url()).heartbeat(SHORT).build().unwrap();
    monitor.server_info("Shop", "1.2", None);
    monitor.set_connections(Transport::Http, 4);
    let told = |requests: &[Request], wanted: &Event<'_>| {
        let parsed = |r: &Request| {
            wire::parse_batch(&r.body).unwrap().events.iter().flatten().any(|e| e == wanted)
        };
        requests.iter().any(parsed)
    };
    let inflight = |value| Event::Inflight { tool: Name::new("search").unwrap(), value };
    let queued = |value| Event::QueueDepth { tool: Name::new("search").unwrap(), value };

    let waiting = monitor.queued("search");
    script.wait_for(|requests| told(requests, &queued(1)));
    let call = waiting.start();
    script.wait_for(|requests| told(requests, &inflight(1)) && told(requests, &queued(0)));
    call.success();
    let requests = script.wait_for(|requests| told(requests, &inflight(0)));
    assert!(told(&requests, &Event::Connections { transport: Transport::Http, value: 4 }));
    let last = wire::parse_batch(&requests.last().unwrap().body).unwrap();
    let Ok(Event::ServerStarted { name, uptime, .. }) = &last.events[0] else { panic!("{last:?}") };
    assert_eq!(name.as_ref().map(Name::as_str), Some("Shop"));
    assert!(uptime.get() > 0.0);
}

#[test]
fn a_zero_is_told_until_the_exporter_has_taken_it() {
    let at_rest = |request: &Request| {
        let zero = Event::QueueDepth { tool: Name::new("search").unwrap(), value: 0 };
        wire::parse_batch(&request.body).unwrap().events.contains(&Ok(zero))
    };
    let refused = AtomicUsize::new(0);
    let script = HttpScript::start(move |request| {
        match at_rest(request) && refused.fetch_add(1, Ordering::Relaxed) < 2 {
            true => Answer::status(503, ""),
            false => accepted(),
        }
    });
    let monitor = monitor(&script.url()).heartbeat(SHORT).build().unwrap();
    drop(monitor.queued("search"));
    let told = |requests: &[Request]| requests.iter().filter(|request| at_rest(request)).count();
    script.wait_for(|requests| told(requests) == 3);
    let beats = script.requests().len();
    script.wait_for(|requests| requests.len() >= beats + 2);
    assert_eq!(told(&script.requests()), 3, "once it was taken it is not repeated");
}

/// The numbers of connections that the exporter was told outside of heartbeats.
fn connections(script: &HttpScript) -> Vec<u64> {
    let all: Vec<_> = batches(script).iter().flat_map(events).collect();
    let told = all.iter().filter(|event| event["type"] == "connections");
    told.map(|event| event["value"].as_u64().unwrap()).collect()
}

#[test]
fn connections_that_come_and_go_take_no_room_in_the_queue() {
    let script = exporter(|_| accepted());
    let monitor = monitor(&script.url()).queue_capacity(10).build().unwrap();
    for open in 0..10_000 {
        monitor.set_connections(Transport::Http, open % 2);
        monitor.set_connections(Transport::Stdio, open);
    }
    record(&monitor, 0..10);
    flush(&monitor);
    assert_eq!(monitor.dropped_events(), 0);
    assert!(connections(&script).len() < 10, "{:?}", connections(&script));
    assert!(connections(&script).contains(&9_999), "the last number is told");
}

#[test]
fn a_connection_is_told_long_before_the_next_heartbeat() {
    let script = exporter(|_| accepted());
    let hour = Duration::from_secs(3_600);
    let monitor = monitor(&script.url()).flush_interval(hour).heartbeat(hour).build().unwrap();
    script.wait_for(|requests| !requests.is_empty());
    monitor.set_connections(Transport::Http, 7);
    script.wait_for(|requests| requests.iter().any(|request| !events(request).is_empty()));
    assert_eq!(connections(&script), [7]);
}

#[test]
fn the_last_number_of_connections_is_told_at_the_end() {
    let script = exporter(|_| accepted());
    let monitor = monitor(&script.url()).build().unwrap();
    monitor.set_connections(Transport::Stdio, 1);
    flush(&monitor);
    monitor.set_connections(Transport::Stdio, 0);
    assert_eq!(monitor.shutdown(LONG), Ok(()));
    assert_eq!(connections(&script), [1, 0]);
}

#[test]
fn the_same_listing_is_queued_once() {
    let script = exporter(|_| accepted());
    let monitor = monitor(&script.url()).build().unwrap();
    for tools in [&["search"][..], &["search"], &["search", "buy"], &["search"]] {
        monitor.declare_tools(tools);
    }
    flush(&monitor);
    let all: Vec<_> = batches(&script).iter().flat_map(events).collect();
    let listed: Vec<_> = all.iter().map(|event| event["tools"].as_array().unwrap().len()).collect();
    assert_eq!(listed, [1, 2, 1]);
}

#[test]
fn a_restarted_exporter_is_told_the_tools_again() {
    let first = HttpScript::start(|_| accepted());
    let monitor = monitor(&first.url()).heartbeat(SHORT).build().unwrap();
    monitor.declare_tools(&["search", "buy"]);
    flush(&monitor);
    let addr = first.addr();
    drop(first);
    let second = HttpScript::start_on(addr, |_| accepted());
    let listed = |request: &Request| {
        let parsed = wire::parse_batch(&request.body).unwrap();
        let tools = |event: &Event<'_>| matches!(event, Event::ToolsListed { tools, .. } if tools.len() == 2);
        parsed.events.iter().flatten().any(tools)
    };
    second.wait_for(|requests| requests.iter().any(listed));
}

#[cfg(feature = "tls")]
#[test]
fn https_to_a_server_that_speaks_plain_http_fails_softly() {
    let script = exporter(|_| accepted());
    let url = script.url().replace("http:", "https:");
    let monitor = monitor(&url).build().unwrap();
    record(&monitor, 0..3);
    assert_eq!(monitor.flush(Duration::from_millis(300)), Flushed::Partly { unsent: 3 });
    assert_eq!(monitor.dropped_events(), 0);
}
