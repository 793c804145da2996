//! The observer against conversations: the traps of real servers and clients, one test each.

mod chunks;
mod endings;
mod logical_calls;
mod pairing;
mod traps;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use mcpmon_metrics::Event;
use mcpmon_metrics::label::Transport;
use serde_json::{Value, json};

use super::{ConnectionId, Direction, Observer, Stats};
use crate::sink::EventSink;

const ID: ConnectionId = ConnectionId(0);

#[derive(Debug, Default, Clone)]
struct Events(Rc<RefCell<Vec<Event<'static>>>>);

impl EventSink for Events {
    fn record(&self, event: Event<'static>) {
        self.0.borrow_mut().push(event);
    }
}

/// A conversation over one connection, a second between two lines.
#[derive(Debug)]
struct Talk {
    observer: Observer<Events>,
    events: Events,
    now: Duration,
}

impl Talk {
    fn new() -> Self {
        let events = Events::default();
        let mut observer = Observer::new(events.clone());
        observer.open(ID, Transport::Stdio);
        Self { observer, events, now: Duration::ZERO }
    }

    fn line(&mut self, direction: Direction, line: &str) -> &mut Self {
        self.observer.bytes(ID, direction, self.now, format!("{line}\n").as_bytes());
        self.wait(1)
    }

    fn client(&mut self, line: &str) -> &mut Self {
        self.line(Direction::ToServer, line)
    }

    fn server(&mut self, line: &str) -> &mut Self {
        self.line(Direction::ToClient, line)
    }

    /// A `tools/call` without arguments.
    fn call(&mut self, id: &str, tool: &str) -> &mut Self {
        self.client(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}"}}}}"#
        ))
    }

    /// A result without anything in it.
    fn ok(&mut self, id: &str) -> &mut Self {
        self.server(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#))
    }

    fn wait(&mut self, seconds: u64) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        self
    }

    fn tick(&mut self) -> &mut Self {
        self.observer.tick(self.now);
        self
    }

    fn close(&mut self, direction: Direction) -> &mut Self {
        self.observer.closed(ID, direction, self.now);
        self
    }

    fn stats(&self) -> Stats {
        self.observer.stats()
    }

    /// Everything that was recorded, as it goes over the wire, without gauges.
    fn events(&self) -> Vec<Value> {
        let events = self.events.0.borrow();
        let events = events.iter().filter(|event| !matches!(event, Event::Inflight { .. }));
        events.map(|event| serde_json::to_value(event).unwrap()).collect()
    }

    /// `type` and how it ended, in few words.
    fn endings(&self) -> Vec<String> {
        let word = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let short = |event: &Value| match event["type"].as_str().unwrap() {
            "tool_call" => {
                let words = ["tool", "status", "error_type", "reason"].map(|key| word(event, key));
                words.join(" ").trim_end().to_owned()
            }
            "operation" => {
                format!("{} {}", word(event, "method"), word(event, "error_type")).trim_end().into()
            }
            other => other.to_owned(),
        };
        self.events().iter().map(short).collect()
    }

    fn only_event(&self) -> Value {
        let events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events.into_iter().next().unwrap()
    }

    fn inflight(&self) -> Vec<(String, u64)> {
        let events = self.events.0.borrow();
        let reading = |event: &Event<'_>| match event {
            Event::Inflight { tool, value } => Some((tool.as_str().to_owned(), *value)),
            _ => None,
        };
        events.iter().filter_map(reading).collect()
    }
}

#[test]
fn a_call_is_told_with_everything_that_was_seen() {
    let mut talk = Talk::new();
    let request = r#"{"method":"tools/call","params":{"name":"echo","arguments":{"x":"secret"},"_meta":{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","io.modelcontextprotocol/protocolVersion":"2026-07-28"}},"jsonrpc":"2.0","id":7}"#;
    let reply = r#"{"result":{"content":[]},"jsonrpc":"2.0","id":7}"#;
    talk.client(request).server(reply);
    assert_eq!(
        talk.only_event(),
        json!({
            "type": "tool_call", "tool": "echo", "status": "success", "duration_seconds": 1.0,
            "request_bytes": request.len(), "response_bytes": reply.len(),
            "trace_id": "0af7651916cd43dd8448eb211c80319c", "transport": "stdio",
            "protocol_version": "2026-07-28",
        })
    );
}
