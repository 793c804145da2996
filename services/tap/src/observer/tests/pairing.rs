//! Which reply belongs to which request.

use super::*;
use crate::observer::{EXPIRY, MAX_PENDING};

#[test]
fn ids_are_typed_so_two_and_the_text_two_are_different_calls() {
    let mut talk = Talk::new();
    talk.call("2", "number").call("\"2\"", "text").ok("\"2\"").ok("2");
    assert_eq!(talk.endings(), ["text success", "number success"]);
}

#[test]
fn the_reply_may_begin_with_its_result_and_end_with_its_id() {
    let mut talk = Talk::new();
    talk.call("1", "a").server(r#"{"result":{"id":99,"isError":true},"jsonrpc":"2.0","id":1}"#);
    assert_eq!(talk.endings(), ["a error tool_error is_error"]);
}

#[test]
fn both_directions_ask_with_the_same_id() {
    let mut talk = Talk::new();
    talk.call("1", "a");
    talk.server(r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}"#);
    talk.client(r#"{"jsonrpc":"2.0","id":1,"result":{"role":"assistant"}}"#);
    talk.ok("1");
    assert_eq!(talk.endings(), ["sampling/createMessage", "a success"]);
}

#[test]
fn a_tool_call_of_a_server_is_no_tool_call() {
    let mut talk = Talk::new();
    talk.server(r#"{"id":1,"method":"tools/call","params":{"name":"x"}}"#);
    talk.client(r#"{"id":1,"error":{"code":-32601,"message":"no"}}"#);
    assert_eq!(talk.endings(), ["_other rpc_error"]);
}

#[test]
fn batches_go_in_and_come_out_in_any_order() {
    let mut talk = Talk::new();
    talk.client(
        r#"[{"id":1,"method":"tools/call","params":{"name":"a"}},{"method":"notifications/x"},{"id":2,"method":"ping"}]"#,
    );
    talk.server(r#"[{"id":2,"result":{}},{"id":1,"result":{"isError":true}}]"#);
    assert_eq!(talk.endings(), ["ping", "a error tool_error is_error"]);
}

#[test]
fn a_batch_may_be_answered_message_by_message() {
    let mut talk = Talk::new();
    talk.client(r#"[{"id":1,"method":"ping"},{"id":2,"method":"ping"}]"#).ok("2").ok("1");
    assert_eq!(talk.endings(), ["ping", "ping"]);
}

#[test]
fn a_reused_id_abandons_the_former_call() {
    let mut talk = Talk::new();
    talk.call("1", "first").call("1", "second").ok("1");
    assert_eq!(talk.endings(), ["first error abandoned expired", "second success"]);
}

#[test]
fn an_error_without_an_id_is_an_error_and_no_calls() {
    for id in [r#""id":null,"#, "", r#""id":"server-error","#] {
        let mut talk = Talk::new();
        talk.server(&format!(r#"{{{id}"error":{{"code":-32700,"message":"Parse error"}}}}"#));
        let event = talk.only_event();
        assert_eq!(event["type"], "error", "{id}");
        assert_eq!(
            (&event["error_type"], &event["reason"]),
            (&json!("rpc_error"), &json!("parse"))
        );
        assert_eq!(event["message"], "Parse error");
    }
}

#[test]
fn a_request_with_a_null_id_waits_for_nothing() {
    let mut talk = Talk::new();
    talk.client(r#"{"id":null,"method":"tools/call","params":{"name":"a"}}"#);
    talk.wait(9_999).tick();
    assert_eq!(talk.endings(), [""; 0]);
}

#[test]
fn replies_to_nothing_are_ignored() {
    let mut talk = Talk::new();
    talk.ok("5").server(r#"{"id":6,"error":{"code":-1,"message":"?"}}"#);
    assert_eq!(talk.endings(), [""; 0]);
    assert_eq!(talk.stats().unmatched, 2);
}

#[test]
fn a_call_without_a_reply_is_abandoned_after_an_hour() {
    let mut talk = Talk::new();
    talk.call("1", "a");
    talk.wait(EXPIRY.as_secs() - 2).tick();
    assert_eq!(talk.endings(), [""; 0]);
    talk.wait(1).tick().ok("1");
    assert_eq!(talk.endings(), ["a error abandoned expired"]);
}

#[test]
fn the_oldest_of_too_many_calls_is_abandoned() {
    let mut talk = Talk::new();
    for id in 0..=MAX_PENDING {
        talk.call(&id.to_string(), if id == 0 { "oldest" } else { "other" });
    }
    assert_eq!(talk.endings(), ["oldest error abandoned expired"]);
}

#[test]
fn a_repeated_member_counts_as_its_last() {
    let mut talk = Talk::new();
    talk.client(r#"{"id":1,"id":2,"method":"ping","method":"tools/list"}"#).ok("2");
    assert_eq!(talk.endings(), ["tools/list"]);
}
