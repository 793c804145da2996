//! What the tests of the remote sink share: an exporter whose answers are scripted, and the
//! events that it was sent.

use std::time::Duration;

use mcpmon_sdk::{Flushed, Monitor, MonitorBuilder};
use mcpmon_testkit::http_script::{Answer, HttpScript, Request};
use serde_json::Value;

/// Long enough for anything that should happen at all.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A deadline for what should not happen.
pub(crate) const SHORT: Duration = Duration::from_millis(50);

/// An exporter that answers heartbeats by itself, and batches of events as the script says.
pub(crate) fn exporter(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> HttpScript {
    HttpScript::start(move |request| answer(request, &script))
}

/// As the exporter answers: heartbeats are accepted, the rest is scripted.
pub(crate) fn answer(request: &Request, script: impl Fn(&Request) -> Answer) -> Answer {
    if events(request).is_empty() { accepted() } else { script(request) }
}

/// 202 without a rejection.
pub(crate) fn accepted() -> Answer {
    Answer::status(202, r#"{"accepted":1,"rejected":[]}"#)
}

/// A monitor of the server `shop` that sends to `url`.
pub(crate) fn monitor(url: &str) -> MonitorBuilder {
    Monitor::builder("shop").exporter(url).source("shop-1")
}

/// The events of a request; none when it is a heartbeat.
pub(crate) fn events(request: &Request) -> Vec<Value> {
    let body: Value = serde_json::from_slice(&request.body).expect("the body is JSON");
    let events = body["events"].as_array().expect("a batch has events");
    if events[0]["type"] == "server_started" { Vec::new() } else { events.clone() }
}

/// The requests that carry events.
pub(crate) fn batches(script: &HttpScript) -> Vec<Request> {
    script.requests().into_iter().filter(|request| !events(request).is_empty()).collect()
}

/// A batch's idempotency key.
pub(crate) fn key(request: &Request) -> &str {
    request.header("idempotency-key").expect("every batch has a key")
}

/// Counts as many agent uses, numbered from 0.
pub(crate) fn record(monitor: &Monitor, numbers: std::ops::Range<usize>) {
    for number in numbers {
        monitor.agent_usage(&number.to_string(), "test");
    }
}

/// The numbers that [`record`] gave to the events.
pub(crate) fn numbers<'a>(requests: impl IntoIterator<Item = &'a Request>) -> Vec<usize> {
    let all = requests.into_iter().flat_map(events);
    all.map(|event| event["agent"].as_str().unwrap().parse().unwrap()).collect()
}

/// Waits until everything is settled.
pub(crate) fn flush(monitor: &Monitor) {
    assert_eq!(monitor.flush(LONG), Flushed::Everything);
}
