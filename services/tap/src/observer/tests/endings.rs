//! What becomes of open calls when a side leaves or bytes pass unobserved; and the gauges.

use super::*;
use crate::observer::{EXPIRY, MAX_LINE};

#[test]
fn a_server_that_goes_away_fails_its_open_calls() {
    let mut talk = Talk::new();
    talk.call("1", "a").close(Direction::ToClient).close(Direction::ToServer);
    assert_eq!(talk.endings(), ["a error transport_error eof"]);
}

#[test]
fn a_client_that_goes_away_gives_its_open_calls_up_but_a_reply_still_counts() {
    let mut talk = Talk::new();
    talk.call("1", "a").call("2", "b").close(Direction::ToServer).ok("1");
    assert_eq!(talk.endings(), ["a success"]);
    talk.close(Direction::ToClient);
    assert_eq!(talk.endings(), ["a success", "b cancelled"]);
}

#[test]
fn a_call_to_a_server_that_has_left_fails() {
    let mut talk = Talk::new();
    talk.close(Direction::ToClient).call("1", "late").close(Direction::ToServer);
    assert_eq!(talk.endings(), ["late error transport_error eof"]);
}

#[test]
fn a_server_that_leaves_cancels_what_it_asked() {
    let mut talk = Talk::new();
    talk.server(r#"{"id":1,"method":"roots/list"}"#);
    talk.close(Direction::ToClient).close(Direction::ToServer);
    assert_eq!(talk.endings(), ["roots/list cancelled"]);
}

#[test]
fn a_direction_closes_once() {
    let mut talk = Talk::new();
    talk.call("1", "a").close(Direction::ToServer).close(Direction::ToServer).ok("1");
    assert_eq!(talk.endings(), ["a success"]);
}

#[test]
fn a_last_line_without_its_newline_counts() {
    let mut talk = Talk::new();
    talk.call("1", "a");
    let at = talk.now;
    talk.observer.bytes(ID, Direction::ToClient, at, br#"{"id":1,"result":{}}"#);
    talk.close(Direction::ToClient);
    assert_eq!(talk.endings(), ["a success"]);
}

#[test]
fn a_call_whose_reply_may_have_passed_unobserved_is_not_called_abandoned() {
    let mut talk = Talk::new();
    talk.call("1", "a").call("2", "b");
    talk.observer.gap(ID, Direction::ToClient);
    talk.server("the rest of a lost line").ok("2");
    talk.wait(EXPIRY.as_secs()).tick();
    assert_eq!(talk.endings(), ["b success"]);
    assert_eq!(talk.stats().uncertain, 1);
}

/// A text that makes every message that holds it too long.
fn huge() -> String {
    "x".repeat(MAX_LINE)
}

#[test]
fn a_reply_that_is_too_long_is_counted_with_its_size() {
    let mut talk = Talk::new();
    let mut sizes = Vec::new();
    let huge = huge();
    for reply in [
        format!(r#"{{"id":1,"result":{{"content":[{{"text":"{huge}"}}],"isError":true}}}}"#),
        format!(r#"{{"result":{{"content":[{{"text":"{huge}"}}]}},"jsonrpc":"2.0","id":1}}"#),
    ] {
        talk.call("1", "a").tick().server(&reply).tick();
        sizes.push(json!(reply.len()));
    }
    assert_eq!(talk.endings(), ["a error tool_error is_error", "a success"]);
    let told: Vec<_> = talk.events().iter().map(|e| e["response_bytes"].clone()).collect();
    assert_eq!(told, sizes);
    assert_eq!(talk.inflight().last(), Some(&("a".to_owned(), 0)));
    assert_eq!((talk.stats().oversized, talk.stats().uncertain), (2, 0));
}

#[test]
fn a_request_that_is_too_long_is_counted_with_its_size() {
    let mut talk = Talk::new();
    let huge = huge();
    let request = format!(
        r#"{{"method":"tools/call","params":{{"name":"a","arguments":{{"x":"{huge}"}}}},"id":1}}"#
    );
    talk.client(&request).ok("1");
    assert_eq!(talk.endings(), ["a success"]);
    assert_eq!(talk.only_event()["request_bytes"], json!(request.len()));
}

#[test]
fn the_tools_of_a_listing_that_is_too_long_are_not_told() {
    let mut talk = Talk::new();
    let huge = huge();
    talk.client(r#"{"id":1,"method":"tools/list"}"#);
    talk.server(&format!(r#"{{"id":1,"result":{{"tools":[{{"name":"a","x":"{huge}"}}]}}}}"#));
    assert_eq!(talk.endings(), ["tools/list"]);
}

#[test]
fn a_call_that_may_have_been_answered_is_not_in_flight() {
    let mut talk = Talk::new();
    talk.call("1", "a").call("2", "a").tick();
    talk.server(&" ".repeat(MAX_LINE + 1)).call("3", "a").tick();
    assert_eq!(talk.inflight(), [("a".to_owned(), 2), ("a".to_owned(), 1)]);
    talk.ok("1").ok("3").tick();
    assert_eq!(talk.inflight().last(), Some(&("a".to_owned(), 0)));
    assert_eq!(talk.endings(), ["a success", "a success"]);
}

#[test]
fn a_message_that_is_too_long_and_says_nothing_is_counted_as_such() {
    let mut talk = Talk::new();
    talk.call("1", "a");
    let long = " ".repeat(MAX_LINE + 1);
    talk.server(&long).call("2", "b").ok("2").close(Direction::ToClient);
    assert_eq!(talk.endings(), ["b success"]);
    let stats = talk.stats();
    assert_eq!((stats.oversized, stats.oversized_bytes), (1, MAX_LINE as u64 + 1));
    assert_eq!(stats.uncertain, 1, "the long message may have been the reply");
}

#[test]
fn calls_in_flight_are_told_when_they_change() {
    let mut talk = Talk::new();
    talk.call("1", "a").call("2", "a").tick();
    assert_eq!(talk.inflight(), [("a".to_owned(), 2)]);
    talk.tick();
    assert_eq!(talk.inflight().len(), 1, "nothing changed");
    talk.ok("1").ok("2").tick();
    assert_eq!(talk.inflight().last(), Some(&("a".to_owned(), 0)));
    assert_eq!(talk.observer.patience(), None, "nothing is left to do");
}

#[test]
fn a_reading_that_stays_is_repeated() {
    let mut talk = Talk::new();
    talk.call("1", "a").tick();
    talk.wait(20).tick();
    assert_eq!(talk.inflight(), [("a".to_owned(), 1), ("a".to_owned(), 1)]);
}

#[test]
fn no_gauge_outlives_its_connection() {
    let mut talk = Talk::new();
    talk.call("1", "a").tick();
    talk.close(Direction::ToClient).close(Direction::ToServer);
    assert_eq!(talk.inflight().last(), Some(&("a".to_owned(), 0)));
}
