//! Exchanges that belong together: by session, or by the stream of HTTP+SSE.

use super::*;

#[test]
fn a_session_begins_with_its_first_success_and_ends_with_its_deletion() {
    let mut talk = Talk::new();
    let refused = talk.post(None, INITIALIZE);
    talk.head(refused, 400, Some("dead"), JSON).end(refused, Fate::Whole);
    assert_eq!(talk.gauges(), [""; 0]);
    talk.session("s");
    assert_eq!(talk.gauges(), ["http 1"]);
    let id = talk.begin(Asked { form: NONE, ..talk.asked(Verb::Delete, Some("s")) }, "");
    talk.reply(id, 200, NONE, "");
    assert_eq!(talk.gauges(), ["http 0"]);
}

#[test]
fn a_server_that_knows_the_session_no_more_ends_it() {
    let mut talk = Talk::new();
    talk.session("s");
    let id = talk.post(Some("s"), &call("1", "a"));
    let body = r#"{"id":"server-error","error":{"code":-32600,"message":"Session not found"}}"#;
    talk.reply(id, 404, JSON, body);
    assert_eq!(talk.endings(), ["a error rpc_error invalid_request"]);
    assert_eq!(talk.gauges(), ["http 0"]);
}

#[test]
fn an_idle_session_is_not_active_and_comes_back() {
    let mut talk = Talk::new();
    talk.session("s").tick(301);
    assert_eq!(talk.gauges(), ["http 0"]);
    let id = talk.post(Some("s"), &call("1", "a"));
    talk.reply(id, 200, JSON, &ok("1"));
    assert_eq!(talk.gauges().last().unwrap(), "http 1");
    let stream = talk.get(Some("s"));
    talk.tick(4_000);
    assert_eq!(talk.gauges().last().unwrap(), "http 1", "its stream is open");
    talk.end(stream, Fate::ClientLeft).tick(301);
    assert_eq!(talk.gauges().last().unwrap(), "http 0");
}

#[test]
fn a_server_asks_within_a_stream_and_is_answered_by_a_post() {
    let mut talk = Talk::new();
    talk.session("s");
    let id = talk.post(Some("s"), &call("1", "a"));
    let ask = r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}"#;
    talk.head(id, 200, None, SSE).body(id, event(ask));
    let answer = talk.post(Some("s"), &ok("1"));
    talk.reply(answer, 202, NONE, "");
    talk.body(id, event(&ok("1"))).end(id, Fate::Whole);
    assert_eq!(talk.endings(), ["sampling/createMessage", "a success"]);
}

#[test]
fn a_reply_may_come_on_a_resumed_stream() {
    let mut talk = Talk::new();
    talk.session("s");
    for fate in [Fate::Whole, Fate::ClientLeft, Fate::Broken(Ending::Reset)] {
        let id = talk.post(Some("s"), &call("1", "a"));
        talk.head(id, 200, None, SSE).body(id, "id: 1\ndata:\n\n").end(id, fate);
        let stream = talk.get(Some("s"));
        talk.tick(70).body(stream, event_with_id(&ok("1"))).end(stream, Fate::Whole);
    }
    assert_eq!(talk.endings(), ["a success"; 3]);
}

#[test]
fn a_stream_that_is_not_resumed_fails_its_call() {
    let mut talk = Talk::new();
    talk.session("s");
    let id = talk.post(Some("s"), &call("1", "a"));
    talk.head(id, 200, None, SSE).body(id, "id: 1\ndata:\n\n");
    talk.end(id, Fate::Broken(Ending::Reset)).tick(29);
    assert_eq!(talk.endings(), [""; 0]);
    talk.tick(2);
    assert_eq!(talk.endings(), ["a error transport_error reset"]);
    assert_eq!(talk.gauges(), ["a 0", "http 1"]);
}

#[test]
fn a_response_without_the_reply_fails_the_call() {
    let mut talk = Talk::new();
    talk.session("s");
    for (fate, form, body) in [
        (Fate::Whole, SSE, ": nothing\n\n"),
        (Fate::Whole, JSON, "garbage"),
        (Fate::Broken(Ending::Reset), SSE, "data: {\"id\":1,\"resu"),
        (Fate::Broken(Ending::Eof), JSON, "{\"id\":1,\"resu"),
        (Fate::ClientLeft, SSE, ""),
    ] {
        let id = talk.post(Some("s"), &call("1", "a"));
        talk.head(id, 200, None, form).body(id, body).end(id, fate);
    }
    let id = talk.modern(&call("1", "b"));
    talk.end(id, Fate::ClientLeft);
    let id = talk.modern(&call("1", "b"));
    talk.end(id, Fate::Broken(Ending::Refused)).tick(1);
    assert_eq!(
        talk.endings(),
        [
            "a error transport_error eof",
            "a error transport_error eof",
            "a error transport_error reset",
            "a error transport_error eof",
            "a cancelled",
            "b cancelled",
            "b error transport_error refused",
        ]
    );
    assert_eq!(talk.observer.observer.pending.values_mut().count(), 0);
}

#[test]
fn a_cancelled_call_ends_once() {
    let mut talk = Talk::new();
    talk.session("s");
    let id = talk.post(Some("s"), &call("1", "a"));
    let cancel = r#"{"method":"notifications/cancelled","params":{"requestId":1}}"#;
    let notified = talk.post(Some("s"), cancel);
    talk.reply(notified, 202, NONE, "");
    talk.head(id, 200, None, SSE).end(id, Fate::Whole);
    assert_eq!(talk.endings(), ["a cancelled"]);
}

#[test]
fn a_batch_is_answered_by_several_events() {
    let mut talk = Talk::new();
    talk.session("s");
    let id = talk.post(Some("s"), &format!("[{},{}]", call("2", "a"), call("\"2\"", "b")));
    talk.head(id, 200, None, SSE).body(id, event(&ok("\"2\""))).body(id, event(&ok("2")));
    talk.end(id, Fate::Whole);
    assert_eq!(talk.endings(), ["b success", "a success"]);
}

#[test]
fn over_http_and_sse_replies_come_on_the_stream() {
    let mut talk = Talk::new();
    let stream = talk.get(None);
    talk.body(stream, "event: endpoint\ndata: /message?sessionId=x\n\n");
    let place = talk.marks.mark("sessionId=x");
    let post = |talk: &mut Talk, body: &str| {
        let id = talk.begin(Asked { place, ..talk.asked(Verb::Post, None) }, body);
        talk.reply(id, 202, NONE, "Accepted");
    };
    post(&mut talk, &call("1", "a"));
    post(&mut talk, &call("2", "b"));
    assert_eq!(talk.gauges(), ["a 1", "b 1", "sse 1"]);
    talk.body(stream, event(&ok("1")));
    talk.end(stream, Fate::Broken(Ending::Reset)).tick(1);
    assert_eq!(talk.endings(), ["a success", "b error transport_error eof"]);
    assert_eq!(talk.gauges(), ["a 0", "b 0", "sse 0"]);
    let transport = serde_json::to_value(&talk.events.0.borrow()[0]).unwrap();
    assert!(talk.observer.observer.connections.is_empty(), "{transport}");
}
