//! The end of a process: what waits is delivered, or its number is told.

use std::time::Duration;

use mcpmon_sdk::{Flushed, Monitor, Unsent};
use mcpmon_testkit::http_script::{Answer, Gate, HttpScript};
use tokio::time::Instant;

use crate::support::{
    LONG, SHORT, accepted, batches, events, exporter, flush, monitor, numbers, record,
};

#[test]
fn a_full_queue_is_delivered_before_the_end() {
    let script = exporter(|_| accepted());
    let monitor =
        monitor(&script.url()).flush_interval(Duration::from_secs(3_600)).build().unwrap();
    record(&monitor, 0..5_000);
    assert_eq!(monitor.shutdown(LONG), Ok(()));
    assert_eq!(numbers(&batches(&script)), (0..5_000).collect::<Vec<_>>());
}

#[test]
fn an_exporter_that_is_down_leaves_all_of_them_unsent() {
    let addr = HttpScript::start(|_| Answer::Close).addr();
    let monitor = monitor(&format!("http://{addr}")).build().unwrap();
    record(&monitor, 0..500);
    let witness = monitor.clone();
    assert_eq!(monitor.shutdown(SHORT), Err(Unsent { events: 500 }));
    assert_eq!(witness.dropped_events(), 500);
}

#[test]
fn delivered_and_unsent_add_up() {
    let gate = Gate::default();
    let script = exporter({
        let gate = gate.clone();
        move |request| match numbers([request]).contains(&250) {
            true => accepted().after(&gate),
            false => accepted(),
        }
    });
    let monitor = monitor(&script.url()).build().unwrap();
    record(&monitor, 0..500);
    script.wait_for(|requests| numbers(requests).contains(&250));
    let Err(Unsent { events: unsent }) = monitor.shutdown(SHORT) else { panic!("all was sent") };
    let requests = batches(&script);
    let acknowledged = requests.iter().filter(|request| !numbers([*request]).contains(&250));
    assert_eq!(numbers(acknowledged).len() as u64 + unsent, 500);
    gate.open();
}

#[test]
fn a_refused_batch_is_among_the_unsent() {
    let script = exporter(|_| Answer::status(400, ""));
    let monitor = monitor(&script.url()).build().unwrap();
    record(&monitor, 0..5);
    assert_eq!(monitor.shutdown(LONG), Err(Unsent { events: 5 }));
}

#[test]
fn after_the_end_nothing_hangs_and_all_is_counted() {
    let script = exporter(|_| accepted());
    let monitor = monitor(&script.url()).build().unwrap();
    let late = monitor.clone();
    let open = late.call("search");
    assert_eq!(monitor.shutdown(LONG), Ok(()));
    open.success();
    record(&late, 0..3);
    assert_eq!(late.dropped_events(), 4);
    assert_eq!(late.flush(LONG), Flushed::Everything);
    assert!(late.start_metrics_server(0).is_err());
    assert_eq!(late.shutdown(LONG), Ok(()));
    assert_eq!(batches(&script).len(), 0);
}

#[test]
fn dropping_the_last_handle_delivers() {
    let script = exporter(|_| accepted());
    let monitor =
        monitor(&script.url()).flush_interval(Duration::from_secs(3_600)).build().unwrap();
    record(&monitor, 0..3);
    drop(monitor);
    assert_eq!(numbers(&batches(&script)), [0, 1, 2]);
}

#[test]
fn the_last_guard_does_not_wait_and_its_call_is_delivered() {
    let gate = Gate::default();
    let script = exporter({
        let gate = gate.clone();
        move |request| match events(request)[0]["type"] == "tool_call" {
            true => accepted().after(&gate),
            false => accepted(),
        }
    });
    let monitor =
        monitor(&script.url()).flush_interval(Duration::from_secs(3_600)).build().unwrap();
    let call = monitor.call("search");
    record(&monitor, 0..3);
    drop(monitor);
    assert_eq!(numbers(&batches(&script)), [0, 1, 2], "the last handle waits, open call or not");
    let start = Instant::now();
    call.success();
    assert!(start.elapsed() < Duration::from_secs(1), "after {:?}", start.elapsed());
    script.wait_for(|requests| requests.iter().flat_map(events).count() == 4);
    gate.open();
}

#[tokio::test]
async fn async_code_flushes_and_shuts_down_without_blocking() {
    let script = exporter(|_| accepted());
    let monitor =
        monitor(&script.url()).flush_interval(Duration::from_secs(3_600)).build().unwrap();
    record(&monitor, 0..3);
    assert_eq!(monitor.flush_async(LONG).await, Flushed::Everything);
    record(&monitor, 3..5);
    assert_eq!(monitor.shutdown_async(LONG).await, Ok(()));
    assert_eq!(numbers(&batches(&script)), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn an_async_shutdown_keeps_its_deadline() {
    let addr = HttpScript::start(|_| Answer::Close).addr();
    let monitor = monitor(&format!("http://{addr}")).build().unwrap();
    record(&monitor, 0..7);
    assert_eq!(monitor.flush_async(SHORT).await, Flushed::Partly { unsent: 7 });
    assert_eq!(monitor.shutdown_async(SHORT).await, Err(Unsent { events: 7 }));
}

/// The blocking variants and the drop work inside a runtime too.
#[tokio::test]
async fn a_monitor_may_end_inside_a_runtime() {
    let script = exporter(|_| accepted());
    let first = monitor(&script.url()).build().unwrap();
    record(&first, 0..1);
    flush(&first);
    drop(first);
    let in_process = Monitor::builder("shop").build().unwrap();
    in_process.start_metrics_server(0).unwrap();
    drop(in_process);
    assert_eq!(numbers(&batches(&script)), [0]);
}
