//! The smallest MCP server over stdio: it answers at once, so that a round trip is all transport.

use std::io::{self, BufRead, Write};

use anyhow::Context;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::process::Running;

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

/// Opens a session as a client does: initialises, and lists the tools.
pub(crate) fn open_session(server: &mut Running) -> anyhow::Result<()> {
    let client = json!({"name": "bench", "version": "0"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    let initialize = json!({"jsonrpc": "2.0", "id": "i", "method": "initialize", "params": params});
    server.write_line(&initialize.to_string())?;
    server.read_line()?;
    server.write_line(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)?;
    server.write_line(r#"{"jsonrpc":"2.0","id":"l","method":"tools/list"}"#)?;
    server.read_line()?;
    Ok(())
}

/// One tool call as a line, some 200 bytes long.
pub(crate) fn call(id: usize) -> String {
    let text = "the quick brown fox jumps over the lazy dog, again and again and again";
    let params = json!({"name": "echo", "arguments": {"text": text}});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string()
}
