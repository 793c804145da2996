//! Exchanges and what they are counted as.

mod sessions;

use std::cell::RefCell;
use std::io::Write as _;
use std::rc::Rc;

use mcpmon_metrics::label::ProtocolVersion;
use serde_json::Value;

use super::*;

#[derive(Debug, Default, Clone)]
struct Events(Rc<RefCell<Vec<Event<'static>>>>);

impl EventSink for Events {
    fn record(&self, event: Event<'static>) {
        self.0.borrow_mut().push(event);
    }
}

/// Exchanges with one server, a second between two steps.
#[derive(Debug)]
struct Talk {
    observer: HttpObserver<Events>,
    marks: Marks,
    events: Events,
    now: Duration,
    next: u64,
}

const JSON: Form = Form { content: Content::Json, coding: Coding::Identity };
const SSE: Form = Form { content: Content::Events, coding: Coding::Identity };
const NONE: Form = Form { content: Content::Other, coding: Coding::Identity };

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#;

fn call(id: &str, tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
}

fn ok(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)
}

fn event(data: &str) -> String {
    format!("event: message\ndata: {data}\n\n")
}

fn event_with_id(data: &str) -> String {
    format!("id: 7\ndata: {data}\n\n")
}

impl Talk {
    fn new() -> Self {
        let (events, marks) = (Events::default(), Marks::default());
        let observer = HttpObserver::new(events.clone(), marks.clone());
        Self { observer, marks, events, now: Duration::ZERO, next: 0 }
    }

    fn wait(&mut self, seconds: u64) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        self
    }

    fn asked(&self, verb: Verb, session: Option<&str>) -> Asked {
        Asked {
            verb,
            session: session.map(|session| self.marks.mark(session)),
            place: self.marks.mark("/mcp"),
            version: None,
            authorized: false,
            form: JSON,
        }
    }

    /// Begins an exchange whose request is whole; gives its number.
    fn begin(&mut self, asked: Asked, body: &str) -> u64 {
        self.next += 1;
        let (id, at) = (self.next, self.now);
        self.observer.asked(id, at, asked);
        self.observer.bytes(id, Direction::ToServer, at, body.as_bytes());
        self.observer.whole(id, Direction::ToServer, at);
        self.wait(1);
        id
    }

    fn post(&mut self, session: Option<&str>, body: &str) -> u64 {
        self.begin(self.asked(Verb::Post, session), body)
    }

    fn modern(&mut self, body: &str) -> u64 {
        let asked = self.asked(Verb::Post, None);
        self.begin(Asked { version: Some(ProtocolVersion::V2026_07_28), ..asked }, body)
    }

    fn head(&mut self, id: u64, status: u16, session: Option<&str>, form: Form) -> &mut Self {
        let session = session.map(|session| self.marks.mark(session));
        self.observer.answered(id, self.now, Answered { status, session, form });
        self
    }

    fn body(&mut self, id: u64, body: impl AsRef<[u8]>) -> &mut Self {
        self.observer.bytes(id, Direction::ToClient, self.now, body.as_ref());
        self.wait(1)
    }

    fn end(&mut self, id: u64, fate: Fate) -> &mut Self {
        self.observer.ended(id, self.now, fate);
        let now = self.now;
        self.observer.tick(now);
        self
    }

    /// A whole response.
    fn reply(&mut self, id: u64, status: u16, form: Form, body: &str) -> &mut Self {
        self.head(id, status, None, form).body(id, body).end(id, Fate::Whole)
    }

    fn session(&mut self, name: &str) -> &mut Self {
        let id = self.post(None, INITIALIZE);
        let reply = r#"{"id":0,"result":{"protocolVersion":"2025-11-25"}}"#;
        self.head(id, 200, Some(name), JSON).body(id, reply).end(id, Fate::Whole)
    }

    fn get(&mut self, session: Option<&str>) -> u64 {
        let asked = Asked { form: NONE, ..self.asked(Verb::Get, session) };
        let id = self.begin(asked, "");
        self.head(id, 200, None, SSE);
        id
    }

    fn tick(&mut self, seconds: u64) -> &mut Self {
        self.wait(seconds);
        let now = self.now;
        self.observer.tick(now);
        self
    }

    /// How everything but the handshake ended, in few words.
    fn endings(&self) -> Vec<String> {
        let words = |event: &Event<'_>| {
            let event = serde_json::to_value(event).unwrap();
            let word = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            let keys: &[&str] = match event["type"].as_str().unwrap() {
                "tool_call" => &["tool", "status", "error_type", "reason"],
                "operation" if event["method"] != "initialize" => &["method", "error_type"],
                "auth_failure" => &["type", "reason"],
                "rate_limit" => &["type", "limit_type"],
                "error" => &["type", "error_type", "reason"],
                _ => return None,
            };
            Some(keys.iter().map(|key| word(key)).collect::<Vec<_>>().join(" ").trim_end().into())
        };
        self.events.0.borrow().iter().filter_map(words).collect()
    }

    /// The last reading of each gauge that was told.
    fn gauges(&self) -> Vec<String> {
        let mut readings = std::collections::BTreeMap::new();
        for event in self.events.0.borrow().iter() {
            let event: Value = serde_json::to_value(event).unwrap();
            let of = if event["type"] == "inflight" { &event["tool"] } else { &event["transport"] };
            if event["type"] == "inflight" || event["type"] == "connections" {
                readings.insert(of.as_str().unwrap().to_owned(), event["value"].clone());
            }
        }
        readings.iter().map(|(of, value)| format!("{of} {value}")).collect()
    }
}

#[test]
fn clients_without_sessions_may_use_the_same_ids() {
    let mut talk = Talk::new();
    let (one, two) = (talk.modern(&call("1", "a")), talk.modern(&call("1", "b")));
    talk.reply(two, 200, JSON, &ok("1"));
    talk.reply(one, 200, SSE, &event(r#"{"id":1,"result":{"isError":true}}"#));
    assert_eq!(talk.endings(), ["b success", "a error tool_error is_error"]);
    assert!(talk.observer.observer.connections.is_empty(), "nothing is left of them");
    assert_eq!(talk.observer.patience(), None);
}

#[test]
fn a_status_ends_a_call_where_it_says_more_than_the_body() {
    let mut talk = Talk::new();
    let refusal = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no"}}"#;
    for status in [401, 403, 429, 500, 503] {
        let id = talk.post(None, &call("1", "a"));
        talk.reply(id, status, JSON, refusal);
    }
    assert_eq!(
        talk.endings(),
        [
            "a error auth_error unauthorized",
            "a error auth_error forbidden",
            "a error rate_limited rate_limit",
            "a error transport_error upstream_5xx",
            "a error transport_error upstream_5xx",
        ]
    );
}

#[test]
fn the_body_of_an_ordinary_refusal_is_read() {
    let mut talk = Talk::new();
    for (status, id, code) in
        [(404, "1", -32601), (400, "null", -32602), (400, "\"server-error\"", -32600)]
    {
        let exchange = talk.post(None, &call("1", "a"));
        let body = format!(r#"{{"id":{id},"error":{{"code":{code},"message":"no"}}}}"#);
        talk.reply(exchange, status, JSON, &body);
    }
    let page = talk.post(None, &call("1", "a"));
    talk.reply(page, 404, NONE, "<html>");
    assert_eq!(
        talk.endings(),
        [
            "a error rpc_error method_not_found",
            "a error validation_error invalid_params",
            "a error rpc_error invalid_request",
            "a error rpc_error upstream_4xx",
        ]
    );
}

#[test]
fn a_refusal_of_no_call_is_counted_as_such() {
    let mut talk = Talk::new();
    for (status, authorized) in [(401, false), (401, true), (403, true), (429, true), (405, true)] {
        let id = talk.begin(Asked { authorized, ..talk.asked(Verb::Get, None) }, "");
        talk.reply(id, status, NONE, "");
    }
    assert_eq!(
        talk.endings(),
        [
            "auth_failure missing_token",
            "auth_failure invalid_token",
            "auth_failure insufficient_scope",
            "rate_limit upstream",
        ]
    );
}

#[test]
fn a_redirected_call_counts_where_it_arrives() {
    let mut talk = Talk::new();
    let id = talk.post(None, &call("1", "a"));
    talk.reply(id, 307, NONE, "");
    let id = talk.post(None, &call("1", "a"));
    talk.reply(id, 200, JSON, &ok("1"));
    assert_eq!(talk.endings(), ["a success"]);
}

#[test]
fn open_streams_are_counted_since_2026_07_28() {
    let mut talk = Talk::new();
    let listen = r#"{"id":1,"method":"subscriptions/listen"}"#;
    let id = talk.modern(listen);
    talk.head(id, 200, None, SSE).tick(1);
    assert_eq!(talk.gauges(), ["http 1"]);
    talk.end(id, Fate::ClientLeft);
    assert_eq!(talk.gauges(), ["http 0"]);
    assert_eq!(talk.endings(), [""; 0], "its length is no latency");
}

#[test]
fn a_call_goes_on_over_rounds_and_exchanges() {
    let mut talk = Talk::new();
    let id = talk.modern(&call("1", "a"));
    let ask = r#"{"id":1,"result":{"resultType":"input_required","requestState":"x"}}"#;
    talk.reply(id, 200, JSON, ask);
    let again = r#"{"id":2,"method":"tools/call","params":{"name":"a","requestState":"x","inputResponses":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    let first = again.replace(r#""requestState":"x","inputResponses":{},"#, "");
    let id = talk.modern(&first);
    talk.reply(id, 200, JSON, &ask.replace("\"id\":1", "\"id\":2"));
    let id = talk.modern(again);
    talk.reply(id, 200, JSON, &ok("2"));
    // The first one named no revision, so nothing links it to a later round.
    assert_eq!(talk.endings(), ["a success"]);
}

#[test]
fn compressed_replies_are_read_and_unreadable_ones_are_no_failures() {
    let mut talk = Talk::new();
    let gzip = |text: &str| {
        let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        coder.write_all(text.as_bytes()).unwrap();
        coder.finish().unwrap()
    };
    let id = talk.modern(&call("1", "a"));
    talk.head(id, 200, None, Form { coding: Coding::Gzip, ..JSON });
    talk.body(id, gzip(&ok("1"))).end(id, Fate::Whole);
    let id = talk.modern(&call("1", "a"));
    talk.head(id, 200, None, Form { coding: Coding::Gzip, ..SSE });
    talk.body(id, gzip(&event(&ok("1")))).end(id, Fate::Whole);
    let id = talk.modern(&call("1", "a"));
    talk.head(id, 200, None, Form { coding: Coding::Unknown, ..JSON });
    talk.body(id, "brotli").end(id, Fate::Whole).tick(1);
    assert_eq!(talk.endings(), ["a success"; 2]);
    assert_eq!(talk.observer.stats().uncertain, 1);
    assert!(!talk.gauges().contains(&"a 1".to_owned()));
}

#[test]
fn what_was_lost_is_no_failure_either() {
    let mut talk = Talk::new();
    let id = talk.modern(&call("1", "a"));
    talk.head(id, 200, None, JSON);
    talk.observer.gap(Direction::ToClient);
    talk.body(id, "the rest").end(id, Fate::Whole);
    let id = talk.modern(&call("1", "b"));
    talk.tick(1);
    talk.observer.lose(id);
    talk.end(id, Fate::Whole).tick(1);
    assert_eq!(talk.endings(), [""; 0]);
    assert_eq!(talk.gauges(), ["b 0"]);
}

#[test]
fn a_listing_is_told_once_whoever_asks() {
    let mut talk = Talk::new();
    for _ in 0..2 {
        let id = talk.modern(r#"{"id":1,"method":"tools/list"}"#);
        talk.reply(id, 200, JSON, r#"{"id":1,"result":{"tools":[{"name":"a"}]}}"#);
    }
    let events = talk.events.0.borrow();
    assert_eq!(events.iter().filter(|e| matches!(e, Event::ToolsListed { .. })).count(), 1);
}

#[test]
fn an_endpoint_is_known_by_its_query_or_else_by_its_path() {
    for (target, place) in [
        ("/message?sessionId=x", "sessionId=x"),
        ("http://h:1/messages/?session_id=x#f", "session_id=x"),
        ("message?a", "a"),
        ("/a/b", "/a/b"),
        ("http://h:1/a?", "/a"),
        ("http://h:1", "/"),
    ] {
        assert_eq!(place_of(target), place);
    }
}
