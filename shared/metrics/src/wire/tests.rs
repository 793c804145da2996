//! The fast way and serde_json's have to agree on every body: what is taken, as which values, and
//! what is said about the rest.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// What a program may send, taken the fast way only.
fn read(event: &str) -> Option<WireEvent<'_>> {
    let mut reader = Reader::new(event);
    reader.event().filter(|_| reader.is_at_end())
}

/// Every key of an event, as serde lists them.
fn keys() -> Vec<String> {
    let error = parse_event(r#"{"?":0}"#).unwrap_err();
    let (_, expected) = error.split_once("expected one of").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[track_caller]
fn agree(body: &[u8]) {
    // Unlike a comparison, Debug tells 0.0 from -0.0.
    let (fast, slow) = (parse_batch(body), parse_batch_with_serde(body));
    assert_eq!(format!("{fast:?}"), format!("{slow:?}"), "{}", String::from_utf8_lossy(body));
}

#[track_caller]
fn agree_on_event(event: &str) {
    agree(format!(r#"{{"server":"s","source":"s-1","events":[{event}]}}"#).as_bytes());
    let fast = read(event).map(Event::try_from);
    let slow = parse_event(event).map(Event::try_from);
    if let Some(fast) = fast {
        assert_eq!(format!("{:?}", Ok::<_, String>(fast)), format!("{slow:?}"), "{event}");
    }
}

#[test]
fn every_key_is_read_the_fast_way() {
    let keys = keys();
    assert!(keys.len() > 30, "{keys:?}");
    for key in keys {
        let values = ["\"x\"", "1", "true", "[\"x\"]"];
        let mut events = values.map(|value| format!("{{\"{key}\":{value}}}")).into_iter();
        assert!(events.any(|event| read(&event).is_some()), "{key}");
    }
}

#[test]
fn what_programs_send_is_read_the_fast_way() {
    for event in [
        "{}",
        r#" { "type" : "tool_call" , "tool" : "tool with spaces" ,
            "duration_seconds" : 0.042 , "request_bytes" : 18446744073709551615 } "#,
        r#"{"type":"error","message":"it said \"no\"\nand \u00e9"}"#,
        r#"{"type":"tool_call","tool":"größe_値","duration_seconds":1.5e-3}"#,
        r#"{"type":"tools_listed","tools":["a","b\n"],"schema_hash":"","complete":true}"#,
    ] {
        assert!(read(event).is_some(), "{event}");
        agree_on_event(event);
    }
}

#[test]
fn both_ways_agree_where_json_has_its_corners() {
    for value in [
        "0",
        "-0",
        "00",
        "01",
        "1.",
        ".1",
        "1.0",
        "0.0",
        "-1",
        "+1",
        "1e",
        "1e+",
        "1e400",
        "1E5",
        "18446744073709551615",
        "18446744073709551616",
        "9999999999999999999",
        "10000000000000000000.5",
        "0.00000000000000000000001",
        "0.1234567890123456789012345",
        "1.7976931348623157e308",
        "NaN",
        "Infinity",
        "nul",
        "null",
        "nulls",
        "true",
        "truer",
        "\"1\"",
        "\"",
        "\"\\\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\u{7f}\u{80}\"",
        "\"a\tb\"",
        "\"a\t\"",
        "\"a\r\n\"",
        "\"\0\"",
        "[]",
        "[1]",
        "[\"a\",]",
        "{}",
        "{\"a\":1,}",
        "1 2",
        "1\"a\"",
        "",
        "1/**/",
    ] {
        for key in ["duration_seconds", "request_bytes", "tool", "tools", "complete", "nonsense"] {
            agree_on_event(&format!("{{\"type\":\"tool_call\",\"{key}\":{value}}}"));
            agree_on_event(&format!("{{\"{key}\":{value},\"{key}\":{value}}}"));
        }
        agree_on_event(value);
        agree(value.as_bytes());
        agree(format!(r#"{{"server":{value},"source":"s","events":[]}}"#).as_bytes());
        agree(format!(r#"{{"server":"s","source":"s","events":{value}}}"#).as_bytes());
        agree(format!(r#"{{"server":"s","source":"s","events":[]}}{value}"#).as_bytes());
    }
    agree(b"{\"server\":\"\xff\",\"source\":\"s\",\"events\":[]}");
    agree(b"{\"server\":\"s\",\"server\":\"s\",\"source\":\"s\",\"events\":[]}");
    let deep = "[".repeat(100_000);
    agree_on_event(&deep);
    agree_on_event(&format!("{{\"tools\":{deep}"));
    agree_on_event(&format!("{{\"type\":{deep}{}}}", "]".repeat(100_000)));
    for number in [MAX_EVENTS, MAX_EVENTS + 1] {
        let events = vec!["{}"; number].join(",");
        agree(format!(r#"{{"server":"s","source":"s","events":[{events}]}}"#).as_bytes());
        agree(format!(r#"{{"server":"s","source":"s","events":[{events}!"#).as_bytes());
    }
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..10_u32).prop_map(|n| n.to_string()),
        4 => (0.0..1e3).prop_map(|n: f64| n.to_string()),
        2 => any::<u64>().prop_map(|n| n.to_string()),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => any::<f64>().prop_map(|n| format!("{n:e}")),
        2 => "-?[0-9]{1,25}(\\.[0-9]{0,30})?([eE][+-]?[0-9]{1,3})?",
    ]
}

fn text() -> impl Strategy<Value = String> {
    let words = [
        "tool_call",
        "operation",
        "error",
        "connections",
        "tools_listed",
        "llm_tokens",
        "success",
        "timeout",
        "tool_error",
        "eof",
        "stdio",
        "http",
        "api",
        "search_catalogue",
        "2025-11-25",
        "0af7651916cd43dd8448eb211c80319c",
        "tools/call",
        "per_second",
        "failed",
        "",
    ];
    prop_oneof![
        6 => select(words.to_vec()).prop_map(|word| format!("\"{word}\"")),
        2 => any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        1 => "\"(\\\\(u[0-9a-fA-F]{4}|[bfnrt\"/\\\\x])|[ -~]){0,20}\"",
        1 => "\"\\PC{0,40}\"",
        1 => "\"[a-z]{0,9}[\\x00-\\x20]{1,3}\"",
    ]
}

fn value() -> impl Strategy<Value = String> {
    let others = ["null", "true", "false", "[]", "{}", "[\"a\",\"b\"]", "[[{}],1]", "x", ""];
    prop_oneof![4 => text(), 3 => number(), 1 => select(others.to_vec()).prop_map(str::to_owned)]
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just(String::new()), 1 => "[ \\n\\t\\r\u{a0}]{0,3}"]
}

fn entries(keys: Vec<String>, most: usize) -> impl Strategy<Value = String> {
    let entry = (space(), select(keys), space(), space(), value(), space()).prop_map(
        |(before, key, after, then, value, last)| {
            format!("{before}\"{key}\"{after}:{then}{value}{last}")
        },
    );
    prop::collection::vec(entry, 0..most).prop_map(|entries| entries.join(","))
}

/// An event of which much or everything is right.
fn event() -> impl Strategy<Value = String> {
    let starts = [
        r#""type":"tool_call","tool":"t","status":"success","duration_seconds":0.25"#,
        r#""type":"operation","method":"ping","duration_seconds":1,"transport":"http""#,
        r#""type":"error","error_type":"api_error","reason":"dns""#,
        r#""type":"llm_tokens","provider":"p","model":"m","input":7"#,
        r#""type":"tools_listed","tools":["a","b"],"schema_hash":"h","complete":true"#,
        r#""type":"server_started","uptime_seconds":1e3"#,
        r#""type":"inflight","tool":"t","value":3"#,
    ];
    let mut keys = keys();
    keys.extend(["unknown".into(), "t\\u0079pe".into(), "tool\t".into(), "type\n".into()]);
    let start = prop_oneof![4 => select(starts.to_vec()), 1 => Just("")];
    (start, entries(keys, 6)).prop_map(|(start, rest)| {
        let comma = if start.is_empty() || rest.is_empty() { "" } else { "," };
        format!("{{{start}{comma}{rest}}}")
    })
}

fn body() -> impl Strategy<Value = String> {
    let names = ["server", "source", "observer", "events", "extra"].map(str::to_owned).to_vec();
    let extra = prop_oneof![4 => Just(String::new()), 1 => entries(names, 3)];
    (prop::collection::vec(prop_oneof![9 => event(), 1 => value()], 0..6), extra, space()).prop_map(
        |(events, extra, space)| {
            let comma = if extra.is_empty() { "" } else { "," };
            let events = events.join(&format!("{space},"));
            format!(r#"{{"server":"s","source":"s-1","events":[{events}]{comma}{extra}}}{space}"#)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn both_ways_agree_on_events(event in event()) {
        agree_on_event(&event);
    }

    #[test]
    fn both_ways_agree_on_numbers(number in number()) {
        agree_on_event(&format!("{{\"type\":\"server_started\",\"uptime_seconds\":{number}}}"));
        agree_on_event(&format!("{{\"type\":\"connections\",\"transport\":\"sse\",\"value\":{number}}}"));
    }

    #[test]
    fn both_ways_agree_on_bodies(body in body()) {
        agree(body.as_bytes());
    }

    #[test]
    fn both_ways_agree_on_damaged_bodies(
        body in body(),
        cut in any::<Index>(),
        length in 0..4_usize,
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), select(b"{}[]\",:\\0 e.".as_slice())], 0..3),
    ) {
        let mut body = body.into_bytes();
        let from = cut.index(body.len());
        body.splice(from..(from + length).min(body.len()), bytes);
        agree(&body);
        body.truncate(from);
        agree(&body);
    }
}
