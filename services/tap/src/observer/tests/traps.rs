//! What servers and clients were seen to do.

use super::*;

#[test]
fn an_absent_is_error_is_a_success_and_so_is_false() {
    let mut talk = Talk::new();
    talk.call("1", "ts").ok("1").call("2", "py");
    talk.server(r#"{"id":2,"result":{"isError":false}}"#);
    assert_eq!(talk.endings(), ["ts success", "py success"]);
}

#[test]
fn only_true_is_an_error_and_not_what_is_merely_truthy() {
    let mut talk = Talk::new();
    talk.call("1", "a").server(r#"{"id":1,"result":{"isError":"true"}}"#);
    assert_eq!(talk.endings(), ["a success"]);
}

#[test]
fn an_unknown_tool_is_an_rpc_error_or_a_tool_error() {
    let mut talk = Talk::new();
    talk.call("1", "nope").call("2", "nope");
    talk.server(r#"{"id":1,"error":{"code":-32602,"message":"Unknown tool: nope"}}"#);
    talk.server(r#"{"id":2,"result":{"isError":true,"content":[{"type":"text","text":"Tool nope not found"}]}}"#);
    assert_eq!(
        talk.endings(),
        ["nope error validation_error invalid_params", "nope error tool_error is_error"]
    );
    let messages: Vec<_> = talk.events().iter().map(|e| e["message"].clone()).collect();
    assert_eq!(messages, ["Unknown tool: nope", "Tool nope not found"]);
}

#[test]
fn a_rate_limit_in_the_implementations_range_is_a_rate_limit() {
    let mut talk = Talk::new();
    talk.call("1", "a");
    talk.server(r#"{"id":1,"error":{"code":-32000,"message":"Rate limit exceeded for client"}}"#);
    assert_eq!(talk.endings(), ["a error rate_limited rate_limit"]);
}

#[test]
fn a_cancelled_call_that_is_never_answered_is_over_at_once() {
    let mut talk = Talk::new();
    talk.call("1", "slow");
    talk.client(r#"{"method":"notifications/cancelled","params":{"requestId":1,"reason":"x"}}"#);
    assert_eq!(talk.endings(), ["slow cancelled"]);
    assert!(talk.observer.pending.is_empty());
}

#[test]
fn a_client_whose_own_deadline_is_over_gives_that_as_its_reason() {
    for (reason, ending) in [
        // PyPI's mcp 2.x, npm's SDK 1.x and 2.x, rmcp.
        ("timed out after 0.5s", "echo timeout"),
        ("McpError: MCP error -32001: Request timed out", "echo timeout"),
        ("request timeout", "echo timeout"),
        ("maximum total timeout exceeded", "echo timeout"),
        ("caller cancelled", "echo cancelled"),
        ("AbortError: This operation was aborted", "echo cancelled"),
    ] {
        let mut talk = Talk::new();
        talk.call("1", "echo").client(&format!(
            r#"{{"method":"notifications/cancelled","params":{{"requestId":1,"reason":"{reason}"}}}}"#
        ));
        assert_eq!(talk.endings(), [ending], "{reason}");
    }
}

#[test]
fn a_cancelled_call_that_is_answered_all_the_same_counts_once() {
    let mut talk = Talk::new();
    talk.call("1", "slow");
    talk.client(r#"{"method":"notifications/cancelled","params":{"requestId":1}}"#);
    talk.server(r#"{"id":1,"error":{"code":0,"message":"Request cancelled"}}"#);
    assert_eq!(talk.endings(), ["slow cancelled"]);
}

#[test]
fn a_side_cancels_its_own_requests_only() {
    let mut talk = Talk::new();
    talk.call("1", "a");
    talk.server(r#"{"method":"notifications/cancelled","params":{"requestId":1}}"#).ok("1");
    assert_eq!(talk.endings(), ["a success"]);
}

#[test]
fn a_cancelled_id_is_typed_too() {
    let mut talk = Talk::new();
    talk.call("1", "a");
    talk.client(r#"{"method":"notifications/cancelled","params":{"requestId":"1"}}"#).ok("1");
    assert_eq!(talk.endings(), ["a success"]);
}

#[test]
fn progress_and_other_notifications_are_ignored() {
    let mut talk = Talk::new();
    talk.server(r#"{"method":"notifications/progress","params":{"progressToken":1,"progress":2}}"#);
    talk.client(r#"{"method":"notifications/initialized"}"#);
    assert_eq!(talk.endings(), [""; 0]);
}

#[test]
fn lines_that_are_no_json_rpc_are_counted_and_skipped() {
    let mut talk = Talk::new();
    talk.call("1", "a");
    for noise in ["Server listening…", "{\"id\":1", "[]x", "42", "{}", "null", "\u{0}\u{1}"] {
        talk.server(noise);
    }
    talk.ok("1");
    assert_eq!(talk.endings(), ["a success"]);
    assert_eq!(talk.stats().unreadable, 7);
}

#[test]
fn blank_lines_carriage_returns_and_a_byte_order_mark_are_no_noise() {
    let mut talk = Talk::new();
    talk.client("\u{feff}{\"id\":1,\"method\":\"ping\"}\r").client("").client("\r").client("  ");
    talk.server("{\"id\":1,\"result\":{}}\r");
    assert_eq!(talk.endings(), ["ping"]);
    assert_eq!(talk.stats().unreadable, 0);
}

#[test]
fn bytes_that_are_no_utf8_spoil_only_their_own_text() {
    let mut talk = Talk::new();
    talk.call("1", "a");
    let at = talk.now;
    talk.observer.bytes(ID, Direction::ToClient, at, b"{\"id\":1,\"result\":{\"x\":\"\xff\"}}\n");
    assert_eq!(talk.endings(), ["a success"]);
}

#[test]
fn a_name_that_is_none_becomes_other() {
    let mut talk = Talk::new();
    let long = "x".repeat(129);
    for name in [r#""""#, "7", "null", r#""a\nb""#, &format!("\"{long}\"")] {
        talk.client(&format!(r#"{{"id":1,"method":"tools/call","params":{{"name":{name}}}}}"#));
        talk.ok("1");
    }
    talk.client(r#"{"id":1,"method":"tools/call"}"#).ok("1");
    assert_eq!(talk.endings(), ["_other success"; 6]);
}

#[test]
fn the_revision_is_each_requests_own_or_the_one_agreed_on() {
    let mut talk = Talk::new();
    talk.client(r#"{"id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#);
    talk.server(
        r#"{"id":0,"result":{"protocolVersion":"2025-06-18","serverInfo":{"name":"s","version":"1"}}}"#,
    );
    talk.call("1", "a").ok("1");
    talk.client(
        r#"{"id":2,"method":"tools/call","params":{"name":"b","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
    );
    talk.ok("2");
    let events = talk.events();
    let calls = events.iter().filter(|event| event["type"] == "tool_call");
    let versions: Vec<_> = calls.map(|event| event["protocol_version"].clone()).collect();
    assert_eq!(versions, ["2025-06-18", "2026-07-28"]);
}

#[test]
fn the_server_is_met_once_in_either_era() {
    let mut talk = Talk::new();
    talk.client(r#"{"id":0,"method":"initialize"}"#);
    talk.server(
        r#"{"id":0,"result":{"protocolVersion":"2025-11-25","serverInfo":{"name":"git","version":"1.2"}}}"#,
    );
    assert_eq!(
        talk.events()[0],
        json!({"type": "server_started", "name": "git", "version": "1.2",
               "protocol_version": "2025-11-25", "uptime_seconds": 1.0})
    );

    let mut talk = Talk::new();
    for id in ["1", "2"] {
        talk.client(&format!(
            r#"{{"id":{id},"method":"tools/call","params":{{"name":"a","_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}}}}"#
        ));
        talk.server(&format!(
            r#"{{"id":{id},"result":{{"_meta":{{"io.modelcontextprotocol/serverInfo":{{"name":"git","version":"2"}}}}}}}}"#
        ));
    }
    assert_eq!(talk.endings(), ["server_started", "a success", "a success"]);
}

#[test]
fn tools_are_listed_before_they_are_called() {
    let mut talk = Talk::new();
    talk.client(r#"{"id":1,"method":"tools/list"}"#);
    let reply = r#"{"id":1,"result":{"tools":[{"name":"a","inputSchema":{}},{"name":"b"}]}}"#;
    talk.server(reply).call("2", "a").ok("2");
    assert_eq!(talk.endings(), ["tools_listed", "tools/list", "a success"]);
    let listed = &talk.events()[0];
    assert_eq!(listed["tools"], json!(["a", "b"]));
    assert_eq!((&listed["complete"], &listed["bytes"]), (&json!(true), &json!(reply.len())));
}

#[test]
fn pages_of_tools_make_one_listing() {
    let mut talk = Talk::new();
    talk.client(r#"{"id":1,"method":"tools/list"}"#);
    talk.server(r#"{"id":1,"result":{"tools":[{"name":"a"}],"nextCursor":"p2"}}"#);
    talk.client(r#"{"id":2,"method":"tools/list","params":{"cursor":"p2"}}"#);
    talk.server(r#"{"id":2,"result":{"tools":[{"name":"b"}]}}"#);
    let events = talk.events();
    let listed: Vec<_> = events.iter().filter(|e| e["type"] == "tools_listed").collect();
    assert_eq!((&listed[0]["tools"], &listed[0]["complete"]), (&json!(["a"]), &json!(false)));
    assert_eq!((&listed[1]["tools"], &listed[1]["complete"]), (&json!(["a", "b"]), &json!(true)));
}

#[test]
fn a_listing_that_stays_the_same_is_told_once() {
    let mut talk = Talk::new();
    let mut list = |second: &str| {
        talk.client(r#"{"id":1,"method":"tools/list"}"#);
        talk.server(r#"{"id":1,"result":{"tools":[{"name":"a"}],"nextCursor":"p2"}}"#);
        talk.client(r#"{"id":2,"method":"tools/list","params":{"cursor":"p2"}}"#);
        talk.server(&format!(r#"{{"id":2,"result":{{"tools":[{{"name":"{second}"}}]}}}}"#));
        let events = talk.events();
        events.iter().filter(|event| event["type"] == "tools_listed").count()
    };
    assert_eq!((list("b"), list("b")), (2, 2), "nothing changed");
    assert_eq!((list("c"), list("c")), (3, 3), "the second page changed once");
    assert_eq!(list("b"), 4, "and back");
}

#[test]
fn an_endless_subscription_is_no_latency_but_its_refusal_is_an_error() {
    let mut talk = Talk::new();
    talk.client(r#"{"id":1,"method":"subscriptions/listen"}"#).wait(500).ok("1");
    assert_eq!(talk.endings(), [""; 0]);
    talk.client(r#"{"id":2,"method":"subscriptions/listen"}"#);
    talk.server(r#"{"id":2,"error":{"code":-32601,"message":"no"}}"#);
    assert_eq!(talk.endings(), ["subscriptions/listen rpc_error"]);
}

#[test]
fn error_texts_are_short_and_hold_no_secret() {
    let mut talk = Talk::new();
    talk.call("1", "a");
    let text = format!("denied: password=hunter2 {}", "ä ".repeat(5_000));
    talk.server(&format!(r#"{{"id":1,"error":{{"code":-32603,"message":"{text}"}}}}"#));
    let event = talk.only_event();
    let message = event["message"].as_str().unwrap();
    assert!(message.starts_with("denied: password=[redacted] ä"), "{message}");
    assert_eq!(message.chars().count(), 200);
}

#[test]
fn a_trace_that_is_none_is_left_out() {
    let mut talk = Talk::new();
    talk.client(
        r#"{"id":1,"method":"tools/call","params":{"name":"a","_meta":{"traceparent":"00-zz-1-01"}}}"#,
    );
    assert_eq!(talk.ok("1").only_event()["trace_id"], Value::Null);
}
