//! The echo over Streamable HTTP: a thread for each connection, and no work but that of a server.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::echo;

/// How many sessions were begun: each client counts its calls from nought, so each needs its own.
static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// Serves until it is killed.
pub(crate) fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    writeln!(io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    for stream in listener.incoming() {
        let stream = stream?;
        // A client that leaves is no failure.
        thread::spawn(move || _ = converse(stream));
    }
    Ok(())
}

fn converse(stream: TcpStream) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream);
    loop {
        let mut line = String::new();
        ensure!(input.read_line(&mut line)? > 0, "the client left");
        let is_post = line.starts_with("POST ");
        let mut length = 0;
        line.clear();
        while input.read_line(&mut line)? > 2 {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().context("Content-Length is no number")?;
            }
            line.clear();
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        let reply = if is_post { answer(&body)? } else { head("405 Method Not Allowed", "", 0) };
        input.get_mut().write_all(reply.as_bytes())?;
    }
}

fn answer(body: &[u8]) -> anyhow::Result<String> {
    let request: Value = serde_json::from_slice(body)?;
    let Some(id) = request.get("id") else { return Ok(head("202 Accepted", "", 0)) };
    let method = request["method"].as_str().unwrap_or_default();
    let result = echo::answer(method, request["params"].clone());
    let reply = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}");
    let mut more = String::from("content-type: application/json\r\n");
    if method == "initialize" {
        let session = SESSIONS.fetch_add(1, Ordering::Relaxed);
        more.push_str(&format!("mcp-session-id: bench-{session}\r\n"));
    }
    Ok(head("200 OK", &more, reply.len()) + &reply)
}

fn head(status: &str, more: &str, length: usize) -> String {
    format!("HTTP/1.1 {status}\r\n{more}content-length: {length}\r\n\r\n")
}
