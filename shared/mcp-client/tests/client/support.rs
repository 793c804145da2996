//! Servers for the tests: a scripted one that speaks a little MCP, and raw sockets.

use std::collections::BTreeMap;
use std::io::{Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use mcpmon_mcp_client::{Command, Connector, Fault, Listing, Session, Target, Url};
use mcpmon_testkit::http_script::{Answer, HttpScript, Request};
use serde_json::{Value, json};

/// For what must not run out.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn to_url(url: &str) -> Connector {
    Connector::new(Target::Url(Url { url: url.to_owned(), token: None })).unwrap()
}

pub(crate) fn to_program(words: &[&str]) -> Connector {
    Connector::new(Target::Command(command(words))).unwrap()
}

pub(crate) fn command(words: &[&str]) -> Command {
    Command {
        program: words[0].to_owned(),
        arguments: words[1..].iter().map(|&word| word.to_owned()).collect(),
        env: BTreeMap::new(),
        cwd: None,
    }
}

pub(crate) async fn fault_of(connector: &Connector) -> Fault {
    match connector.open(PATIENCE).await {
        Ok(session) => panic!("it opens: {:?}", session.server()),
        Err(fault) => fault,
    }
}

/// One whole check.
pub(crate) async fn check(connector: &Connector) -> (Session, Listing) {
    let mut session = connector.open(PATIENCE).await.unwrap();
    session.ping(PATIENCE).await.unwrap();
    let listing = session.list_tools(PATIENCE).await.unwrap();
    (session, listing)
}

/// The JSON-RPC message that was posted.
pub(crate) fn message(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_default()
}

pub(crate) fn methods(requests: &[Request]) -> Vec<String> {
    let method = |request: &Request| match message(request)["method"].as_str() {
        Some(method) => method.to_owned(),
        None => request.method.clone(),
    };
    requests.iter().map(method).collect()
}

pub(crate) fn json(value: &Value) -> Answer {
    Answer::status(200, value.to_string()).with_header("content-type", "application/json")
}

pub(crate) fn result(request: &Request, result: &Value) -> Answer {
    json(&json!({"jsonrpc": "2.0", "id": message(request)["id"], "result": result}))
}

pub(crate) fn error(request: &Request, code: i32, text: &str) -> Answer {
    let error = json!({"code": code, "message": text});
    json(&json!({"jsonrpc": "2.0", "id": message(request)["id"], "error": error}))
}

pub(crate) fn tool(name: &str) -> Value {
    json!({"name": name, "inputSchema": {"type": "object"}})
}

/// A server of an older revision, whose answers to all but the handshake a test writes.
pub(crate) fn legacy(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> HttpScript {
    HttpScript::start(move |request| match message(request)["method"].as_str() {
        Some("server/discover") => Answer::status(400, "what is that?"),
        Some("initialize") => result(
            request,
            &json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "scripted", "version": "1"},
            }),
        ),
        Some("notifications/initialized") => Answer::status(202, ""),
        Some("ping") => result(request, &json!({})),
        _ => answer(request),
    })
}

/// A server of the modern revision.
pub(crate) fn modern(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> HttpScript {
    HttpScript::start(move |request| match message(request)["method"].as_str() {
        Some("server/discover") => result(
            request,
            &json!({
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}},
                "ttlMs": 600_000,
                "cacheScope": "public",
            }),
        ),
        _ => answer(request),
    })
}

/// Serves every connection by hand, once its request has come; a client that leaves ends it.
pub(crate) fn raw(
    serve: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let serve = std::sync::Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, serve) = (stream.unwrap(), serve.clone());
            thread::spawn(move || {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let _ = serve(&mut stream);
            });
        }
    });
    url
}

/// The head of an answer whose body has no known length.
pub(crate) fn head(stream: &mut TcpStream, content_type: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n")
}
