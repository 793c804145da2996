//! Batches from outside: what is taken, and what each wrong one is told.

#![allow(clippy::unwrap_used, reason = "a broken assumption fails the test")]

use mcpmon_metrics::label::{ErrorType, Observer, Reason};
use mcpmon_metrics::wire::{BatchError, MAX_EVENTS, parse_batch, parse_line};
use mcpmon_metrics::{Event, Outcome};
use proptest::prelude::*;

fn batch(events: &str) -> String {
    format!(r#"{{"server":"s","source":"s-1","observer":"api","events":[{events}]}}"#)
}

fn error(event: &str) -> String {
    let body = batch(event);
    let mut batch = parse_batch(body.as_bytes()).unwrap();
    batch.events.remove(0).unwrap_err()
}

#[test]
fn the_documented_batch_is_taken() {
    let body = br#"{"server":"boutique","source":"boutique-7f3a","observer":"api","events":[
        {"type":"tool_call","tool":"search_catalogue","status":"success","duration_seconds":0.042,"request_bytes":180,"response_bytes":5120},
        {"type":"tool_call","tool":"generate_3d","status":"error","error_type":"api_error","reason":"upstream_5xx","duration_seconds":2.1},
        {"type":"llm_tokens","provider":"anthropic","model":"claude-sonnet","input":1000,"output":500}]}"#;
    let batch = parse_batch(body).unwrap();
    assert_eq!(batch.origin.server.as_str(), "boutique");
    assert_eq!(batch.origin.observer, Observer::Api);
    let events: Vec<_> = batch.events.into_iter().map(Result::unwrap).collect();
    let Event::ToolCall(call) = &events[1] else { panic!("{events:?}") };
    assert_eq!(call.outcome, Outcome::Error(ErrorType::ApiError, Reason::Upstream5xx));
    assert_eq!(events[2].kind(), "llm_tokens");
}

#[test]
fn a_wrong_event_is_told_its_key_its_value_and_what_would_be_right() {
    let call = |rest: &str| error(&format!(r#"{{"type":"tool_call","tool":"t",{rest}}}"#));
    let cases = [
        (
            call(r#""status":"success","duration_seconds":-1"#),
            "duration_seconds: -1.0 is no duration; expected seconds from 0 to 1000000000",
        ),
        (call(r#""status":"success""#), "duration_seconds is missing; this type of event needs it"),
        (
            call(r#""status":"ok","duration_seconds":1"#),
            "status: `ok` is no status; expected one of success, error, timeout, cancelled",
        ),
        (
            call(r#""status":"success","duration_seconds":"1""#),
            "duration_seconds: invalid type: string \"1\", expected f64",
        ),
        (
            call(r#""status":"success","duration_seconds":1e999"#),
            "duration_seconds: number out of range",
        ),
        (
            call(r#""status":"success","duration_seconds":1,"request_bytes":-5"#),
            "request_bytes: invalid value: integer `-5`, expected u64",
        ),
        (
            call(r#""status":"success","duration_seconds":1,"request_bytes":9007199254740993"#),
            "request_bytes: 9007199254740993 is too large; expected at most 9007199254740992",
        ),
        (
            call(r#""status":"success","duration_seconds":1,"reason":"eof""#),
            "reason: eof stands beside status success; only an error has one",
        ),
        (
            call(r#""status":"success","duration_seconds":1,"trace_id":"xyz""#),
            "trace_id is not a trace id; expected 32 hexadecimal digits, not all zero",
        ),
        (
            call(r#""status":"success","duration_seconds":1,"count":3"#),
            "count: a tool_call is one call; expected one event for each",
        ),
        (
            error(
                r#"{"type":"tool_call","tool":"a\u0007b","status":"success","duration_seconds":1}"#,
            ),
            "tool holds the control character '\\u{7}'; expected printable text",
        ),
        (
            error(r#"{"type":"tool_call","tool":"","status":"success","duration_seconds":1}"#),
            "tool is empty; expected a name of 1 to 128 bytes",
        ),
        (
            error(
                r#"{"type":"operation","method":"tools/call","duration_seconds":1,"transport":"stdio"}"#,
            ),
            "method: tools/call is counted by tool_call events",
        ),
        (error(r#"{"tool":"t"}"#), "type is missing; expected tool_call or another type of event"),
        (error("7"), "invalid type: integer `7`, expected an event"),
    ];
    for (error, expected) in cases {
        assert_eq!(error, expected);
    }
    let unknown = error(r#"{"type":"timeout"}"#);
    assert!(
        unknown.starts_with("type: `timeout` is no type of event; expected one of tool_call, ")
    );
    let field = error(r#"{"type":"connections","transport":"stdio","valeu":1}"#);
    assert!(field.starts_with("valeu: unknown field `valeu`, expected one of"), "{field}");
}

#[test]
fn a_bad_event_costs_only_itself() {
    let good = r#"{"type":"generation_3d","status":"success"}"#;
    let body = batch(&format!(r#"{good},{{"type":"generation_3d","count":"x"}},{good}"#));
    let events = parse_batch(body.as_bytes()).unwrap().events;
    assert_eq!(events.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn a_body_that_is_no_batch_is_refused_whole() {
    let malformed = |body: &str| match parse_batch(body.as_bytes()) {
        Err(BatchError::Malformed(text) | BatchError::Envelope(text)) => text,
        other => panic!("{other:?}"),
    };
    assert!(malformed("{").starts_with("EOF while parsing an object"));
    assert!(malformed(&batch(r#"{"duration_seconds":NaN}"#)).starts_with("expected value"));
    assert!(malformed(r#"{"source":"s","events":[]}"#).starts_with("missing field `server`"));
    assert!(
        malformed(r#"{"server":"s","source":"s","extra":1,"events":[]}"#)
            .starts_with("unknown field `extra`")
    );
    assert_eq!(
        malformed(r#"{"server":"","source":"s","events":[]}"#),
        "server is empty; expected a name of 1 to 128 bytes"
    );
    assert_eq!(
        malformed(r#"{"server":"s","source":"s","observer":"me","events":[]}"#),
        "observer: `me` is no observer; expected one of sdk, tap, api"
    );
}

#[test]
fn events_are_bounded_in_number() {
    let many = vec!["{}"; MAX_EVENTS + 1].join(",");
    assert_eq!(parse_batch(batch(&many).as_bytes()).unwrap_err(), BatchError::TooMany);
    let full = vec!["{}"; MAX_EVENTS].join(",");
    assert_eq!(parse_batch(batch(&full).as_bytes()).unwrap().events.len(), MAX_EVENTS);
}

#[test]
fn a_line_names_its_own_origin() {
    let line = r#"{"type":"generation_3d","status":"failed","server":"s","source":"s-1"}"#;
    let (origin, event) = parse_line(line).unwrap();
    assert_eq!((origin.server.as_str(), origin.observer), ("s", Observer::Api));
    assert_eq!(event.kind(), "generation_3d");
    assert_eq!(
        parse_line(r#"{"type":"generation_3d","status":"failed","source":"s-1"}"#).unwrap_err(),
        "server is missing; every line names its own"
    );
    assert_eq!(
        parse_line(&format!("{line}{line}")).unwrap_err(),
        "one line holds more than one value; expected one event"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_batch(&body);
        let _ = parse_line(&String::from_utf8_lossy(&body));
    }

    #[test]
    fn an_event_survives_the_wire(tool in "[^\\p{Cc}]{1,30}", seconds in (0..1_u32 << 14).prop_map(|n| f64::from(n) / 1024.0), bytes in 0..1_u64 << 53, text in ".{0,40}") {
        use mcpmon_metrics::{Name, Seconds, ToolCall};
        let mut call = ToolCall::new(
            Name::new(tool).unwrap(),
            Outcome::Error(ErrorType::TransportError, Reason::Eof),
            Seconds::new(seconds).unwrap(),
        );
        call.request_bytes = Some(bytes);
        call.message = Some(text.into());
        call.trace_id = Some("0af7651916cd43dd8448eb211c80319c".parse().unwrap());
        let event = Event::ToolCall(call);
        let body = batch(&serde_json::to_string(&event).unwrap());
        let parsed = parse_batch(body.as_bytes()).unwrap().events.remove(0);
        prop_assert_eq!(parsed, Ok(event));
    }
}
