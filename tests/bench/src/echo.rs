//! The smallest MCP server over stdio: it answers at once, so that a round trip is all transport.

use std::io::{self, BufRead, Write};

use anyhow::Context;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::process::Running;

/// The protocol's revision that all of them speak.
pub(crate) const REVISION: &str = "2025-11-25";
/// What follows the reply to [`initialize`].
pub(crate) const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
pub(crate) const LIST: &str = r#"{"jsonrpc":"2.0","id":"l","method":"tools/list"}"#;
/// What is echoed.
pub(crate) const TEXT: &str =
    "the quick brown fox jumps over the lazy dog, again and again and again";

/// What the client asks.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: &'a str,
    params: Option<Value>,
}

/// Serves until stdin ends.
pub(crate) fn serve() -> anyhow::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let request: Request<'_> = serde_json::from_str(&line).context("no JSON-RPC message")?;
        if let Some(id) = request.id {
            let result = answer(request.method, request.params.unwrap_or_default());
            let reply = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n");
            output.write_all(reply.as_bytes())?;
            output.flush()?;
        }
        line.clear();
    }
    Ok(())
}

/// What a method gives.
pub(crate) fn answer(method: &str, mut params: Value) -> Value {
    match method {
        "initialize" => json!({
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "echo", "version": "0"},
        }),
        "tools/list" => json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}),
        _ => json!({
            "content": [{"type": "text", "text": params["arguments"]["text"].take()}],
            "isError": false,
        }),
    }
}

/// The request that begins a session.
pub(crate) fn initialize() -> String {
    let client = json!({"name": "bench", "version": "0"});
    let params = json!({"protocolVersion": REVISION, "capabilities": {}, "clientInfo": client});
    json!({"jsonrpc": "2.0", "id": "i", "method": "initialize", "params": params}).to_string()
}

/// Opens a session as a client does: initialises, and lists the tools.
pub(crate) fn open_session(server: &mut Running) -> anyhow::Result<()> {
    server.write_line(&initialize())?;
    server.read_line()?;
    server.write_line(INITIALIZED)?;
    server.write_line(LIST)?;
    server.read_line()?;
    Ok(())
}

/// One tool call as a line, some 200 bytes long.
pub(crate) fn call(id: usize) -> String {
    call_of("echo", id)
}

/// The same where the tool has another name.
pub(crate) fn call_of(tool: &str, id: usize) -> String {
    let params = json!({"name": tool, "arguments": {"text": TEXT}});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string()
}
