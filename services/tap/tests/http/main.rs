//! The real `mcp-tap` between raw sockets: a client that writes what it likes and a server that
//! sees what came and answers what it likes.

#![expect(clippy::unwrap_used, reason = "all of this is a test")]

mod bytes;
#[path = "../corpus/strategy.rs"]
mod corpus;
mod faults;
mod fuzz;
mod health;
mod large;
mod page;
mod reporting;
mod routes;
mod rules;
mod tls;
mod wire;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use mcpmon_testkit::http_script::{Answer, HttpScript, Request};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use self::wire::{Origin, Wire};

/// A running tap. When it goes, so does its process.
struct Tap {
    child: Child,
    address: String,
    said: BufReader<ChildStdout>,
}

impl Tap {
    /// A tap in front of `origin`, reporting to `exporter` as the server `test`.
    fn before(origin: &Origin, exporter: &HttpScript) -> Self {
        let upstream = format!("test={}/mcp", origin.url());
        Self::start(exporter, &["--upstream", &upstream])
    }

    fn start(exporter: &HttpScript, arguments: &[&str]) -> Self {
        let mut command = listener();
        command.args(["--exporter", &exporter.url()]).args(arguments);
        Self::spawn(&mut command)
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let address = line(&mut said).strip_prefix("listening on http://").unwrap().to_owned();
        Self { child, address, said }
    }

    fn connect(&self) -> Wire {
        Wire::connect(&self.address)
    }

    /// Ends the tap and gives everything that it told about `test`.
    fn told(mut self, exporter: &HttpScript) -> Vec<Value> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        posted(&exporter.requests(), "test")
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// `mcp-tap` that takes any free port, in an environment of its own.
fn listener() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-tap"));
    for key in
        ["MCP_EXPORTER_URL", "MCP_EXPORTER_TOKEN", "MCP_EXPORTER_TOKEN_FILE", "MCP_TAP_CONFIG"]
    {
        command.env_remove(key);
    }
    command.args(["--listen", "127.0.0.1:0"]);
    command
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn exporter() -> HttpScript {
    HttpScript::start(|_| Answer::status(202, r#"{"accepted":1,"rejected":[]}"#))
}

/// The events about a server.
fn posted(requests: &[Request], server: &str) -> Vec<Value> {
    let body = |request: &Request| serde_json::from_slice::<Value>(&request.body).unwrap();
    let batches = requests.iter().map(body).filter(|batch| batch["server"] == server);
    batches.flat_map(|batch| batch["events"].as_array().unwrap().clone()).collect()
}

/// How the tool calls ended.
fn endings(events: &[Value]) -> Vec<String> {
    let calls = events.iter().filter(|event| event["type"] == "tool_call");
    let word = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let words =
        |event: &Value| ["tool", "status", "error_type", "reason"].map(|key| word(event, key));
    calls.map(|call| words(call).join(" ").trim_end().to_owned()).collect()
}

/// Makes an exchange over connections of its own: what the client sends, what the server answers.
fn exchange(tap: &Tap, origin: &Origin, request: &str, response: &str) -> (Wire, Wire) {
    let mut client = tap.connect();
    client.send(request);
    let mut server = origin.accept();
    server.message();
    server.send(response);
    (client, server)
}

fn with_session(request: &str) -> String {
    request.replacen("Host:", "Mcp-Session-Id: s\r\nHost:", 1)
}

/// The last reading of a gauge: `connections` of a transport, `inflight` of a tool.
fn gauge(events: &[Value], kind: &str, of: &str) -> Option<u64> {
    let is_it = |e: &&Value| e["type"] == kind && (e["transport"] == of || e["tool"] == of);
    events.iter().rev().find(is_it)?["value"].as_u64()
}

/// The gauges whose last reading was not 0.
fn open_gauges(events: &[Value]) -> BTreeMap<String, u64> {
    let mut open = BTreeMap::new();
    for event in events.iter().filter(|e| e["type"] == "inflight" || e["type"] == "connections") {
        let of = event["tool"].as_str().or(event["transport"].as_str()).unwrap();
        open.insert(format!("{} {of}", event["type"]), event["value"].as_u64().unwrap());
    }
    open.retain(|_, value| *value > 0);
    open
}

/// Waits until the tap, which goes on, has told that calls ended so and that nothing is open.
fn settled(exporter: &HttpScript, ends: &[&str]) {
    exporter.wait_for(|requests| {
        let events = posted(requests, "test");
        endings(&events) == ends && open_gauges(&events).is_empty()
    });
}

/// A POST of a call of the tool `a`.
fn call(id: u64) -> String {
    post(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"a"}}}}"#))
}

fn post(body: &str) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A whole JSON response.
fn reply(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

const OK: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

/// The head of an event stream.
const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Transfer-Encoding: chunked\r\n\r\n";

/// A chunk as hyper writes it; how a body is framed is each connection's own.
fn chunk(text: &str) -> String {
    format!("{:X}\r\n{text}\r\n", text.len())
}
