//! Bodies of any size pass, and memory stays flat.

use std::fs;
use std::thread;

use super::*;

const SIZE: usize = 100 * 1024 * 1024;

/// The most memory that the tap may ever have taken, in KiB: the observer's queue is 16 MiB and
/// what it keeps of a message is another.
const MOST: u64 = 96 * 1024;

fn peak_kib(tap: &Tap) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", tap.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn bodies_of_100_mb_pass_both_ways_in_flat_memory() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let filler = "x".repeat(SIZE);
    let request = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"a","arguments":{{"x":"{filler}"}}}}}}"#
    );
    let response = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"x":"{filler}"}}}}"#);
    let (mut client, sent) = (tap.connect(), post(&request));
    let mut writing = client.again();
    let writer = thread::spawn(move || writing.send(sent));
    let mut server = origin.accept();
    assert!(server.message().1 == request, "the request is another");
    writer.join().unwrap();

    let (mut answering, sent) = (server.again(), reply(&response));
    let writer = thread::spawn(move || answering.send(sent));
    assert!(client.message().1 == response, "the response is another");
    writer.join().unwrap();

    let peak = peak_kib(&tap);
    assert!(peak < MOST, "the tap took {peak} KiB");
    // Counted, or said to be lost: the observer may have been behind.
    let events = tap.told(&exporter);
    let lost = events.iter().any(|event| event["type"] == "observations_dropped");
    assert!(lost || endings(&events) == ["a success"], "{events:?}");
    assert_ne!(gauge(&events, "inflight", "a").unwrap_or(0), 1);
}
