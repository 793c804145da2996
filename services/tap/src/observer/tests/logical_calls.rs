//! Calls that take more than one request: tasks, and rounds of input.

use super::*;
use crate::observer::EXPIRY;

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;

/// A call in the revision that has rounds.
fn modern(talk: &mut Talk, id: u64, more: &str) {
    talk.client(&format!(
        r#"{{"id":{id},"method":"tools/call","params":{{"name":"book","arguments":{{"x":1}},{more}{META}}}}}"#
    ));
}

fn asks_for_input(talk: &mut Talk, id: u64, state: &str) {
    talk.server(&format!(
        r#"{{"id":{id},"result":{{"resultType":"input_required","inputRequests":{{}}{state}}}}}"#
    ));
}

#[test]
fn rounds_of_input_are_one_call_that_spans_them_all() {
    let mut talk = Talk::new();
    modern(&mut talk, 1, "");
    asks_for_input(&mut talk, 1, r#","requestState":"s1""#);
    assert_eq!(talk.endings(), [""; 0], "not finished, so neither a success nor a failure");
    talk.wait(10);
    modern(&mut talk, 2, r#""inputResponses":{},"requestState":"s1","#);
    asks_for_input(&mut talk, 2, r#","requestState":"s2""#);
    modern(&mut talk, 3, r#""inputResponses":{},"requestState":"s2","#);
    talk.ok("3");
    let event = talk.only_event();
    assert_eq!((&event["status"], &event["duration_seconds"]), (&json!("success"), &json!(15.0)));
    assert!(event["request_bytes"].as_u64().unwrap() > 3 * 100, "the sizes of all rounds");
    assert!(talk.observer.rounds.is_empty());
}

#[test]
fn a_round_without_state_is_known_by_its_name_and_arguments() {
    let mut talk = Talk::new();
    modern(&mut talk, 1, "");
    asks_for_input(&mut talk, 1, "");
    modern(&mut talk, 2, r#""inputResponses":{},"#);
    assert_eq!(talk.ok("2").only_event()["duration_seconds"], 3.0);
}

#[test]
fn a_server_may_give_the_same_state_to_different_calls() {
    let mut talk = Talk::new();
    modern(&mut talk, 1, "");
    talk.client(&format!(r#"{{"id":2,"method":"tools/call","params":{{"name":"pay",{META}}}}}"#));
    asks_for_input(&mut talk, 2, r#","requestState":"s""#);
    asks_for_input(&mut talk, 1, r#","requestState":"s""#);
    modern(&mut talk, 3, r#""requestState":"s","#);
    talk.ok("3");
    assert_eq!(talk.endings(), ["book success"]);
    assert_eq!(talk.events()[0]["duration_seconds"], 5.0);
}

#[test]
fn a_call_whose_client_never_comes_back_is_abandoned() {
    let mut talk = Talk::new();
    modern(&mut talk, 1, "");
    asks_for_input(&mut talk, 1, "");
    talk.wait(EXPIRY.as_secs()).tick();
    assert_eq!(talk.endings(), ["book error abandoned expired"]);
}

#[test]
fn a_call_that_waits_for_input_when_the_client_leaves_is_cancelled() {
    let mut talk = Talk::new();
    modern(&mut talk, 1, "");
    asks_for_input(&mut talk, 1, "");
    talk.close(Direction::ToServer).close(Direction::ToClient);
    assert_eq!(talk.endings(), ["book cancelled"]);
}

/// A task as 2025-11-25 has it.
fn accepted(talk: &mut Talk) {
    talk.client(r#"{"id":1,"method":"tools/call","params":{"name":"research","task":{"ttl":1}}}"#);
    talk.server(r#"{"id":1,"result":{"task":{"taskId":"t","status":"working"}}}"#);
}

fn asks(talk: &mut Talk, method: &str, reply: &str) {
    talk.client(&format!(r#"{{"id":9,"method":"tasks/{method}","params":{{"taskId":"t"}}}}"#));
    talk.server(&format!(r#"{{"id":9,{reply}}}"#));
}

#[test]
fn a_task_that_was_accepted_is_no_finished_call() {
    let mut talk = Talk::new();
    accepted(&mut talk);
    asks(&mut talk, "get", r#""result":{"taskId":"t","status":"working"}"#);
    assert_eq!(talk.endings(), ["tasks/get"]);
    talk.wait(10).tick();
    assert_eq!(talk.inflight().last(), Some(&("research".to_owned(), 1)));
}

#[test]
fn a_task_lasts_until_its_status_is_final() {
    for (status, ending) in [
        ("completed", "research success"),
        ("failed", "research error tool_error is_error"),
        ("cancelled", "research cancelled"),
    ] {
        let mut talk = Talk::new();
        accepted(&mut talk);
        let reply = format!(r#""result":{{"taskId":"t","status":"{status}"}}"#);
        asks(talk.wait(4), "get", &reply);
        assert_eq!(talk.endings(), [ending, "tasks/get"]);
        assert_eq!(talk.events()[0]["duration_seconds"], 7.0);
        asks(&mut talk, "result", r#""result":{"isError":true}"#);
        assert_eq!(talk.endings().len(), 3, "the late result is not a second call");
    }
}

#[test]
fn a_task_ends_with_its_result() {
    let mut talk = Talk::new();
    accepted(&mut talk);
    asks(&mut talk, "result", r#""result":{"isError":true,"content":[{"text":"no luck"}]}"#);
    assert_eq!(talk.endings(), ["research error tool_error is_error", "tasks/result"]);
    assert_eq!(talk.events()[0]["message"], "no luck");
    assert_eq!(talk.events()[0]["response_bytes"], 65);
}

#[test]
fn a_task_whose_request_failed_gives_the_requests_error() {
    let mut talk = Talk::new();
    accepted(&mut talk);
    asks(&mut talk, "result", r#""error":{"code":-32603,"message":"boom"}"#);
    assert_eq!(talk.endings()[0], "research error rpc_error internal");
}

#[test]
fn a_task_of_2026_brings_its_result_with_its_status() {
    for (outcome, ending) in [
        (r#""completed","result":{"isError":false}"#, "research success"),
        (r#""completed","result":{"isError":true}"#, "research error tool_error is_error"),
        (
            r#""failed","error":{"code":-32602,"message":"x"}"#,
            "research error validation_error invalid_params",
        ),
    ] {
        let mut talk = Talk::new();
        talk.client(r#"{"id":1,"method":"tools/call","params":{"name":"research"}}"#);
        talk.server(r#"{"id":1,"result":{"resultType":"task","taskId":"t","status":"working"}}"#);
        let reply =
            format!(r#""result":{{"resultType":"complete","taskId":"t","status":{outcome}}}"#);
        asks(&mut talk, "get", &reply);
        assert_eq!(talk.endings()[0], ending);
    }
}

#[test]
fn a_notification_ends_a_task_too() {
    for method in ["notifications/tasks/status", "notifications/tasks"] {
        let mut talk = Talk::new();
        accepted(&mut talk);
        talk.server(&format!(
            r#"{{"method":"{method}","params":{{"taskId":"t","status":"completed"}}}}"#
        ));
        assert_eq!(talk.endings(), ["research success"]);
    }
}

#[test]
fn a_task_that_is_asked_about_does_not_expire() {
    let mut talk = Talk::new();
    accepted(&mut talk);
    for _ in 0..3 {
        talk.wait(EXPIRY.as_secs() - 60).tick();
        asks(&mut talk, "get", r#""result":{"taskId":"t","status":"working"}"#);
    }
    assert!(!talk.endings().iter().any(|ending| ending.contains("abandoned")));
    talk.wait(EXPIRY.as_secs()).tick();
    assert_eq!(talk.endings().last().unwrap(), "research error abandoned expired");
}
