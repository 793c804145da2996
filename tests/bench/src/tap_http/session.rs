//! An MCP client over Streamable HTTP, as the SDKs behave: it initialises, keeps the session, and
//! takes a reply as JSON or as an event stream.

use anyhow::ensure;
use tokio::time::Instant;

use crate::echo;
use crate::http::Connection;

/// Where a client asks, and under which name the echo's tool is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Endpoint<'a> {
    pub(super) address: &'a str,
    pub(super) path: &'static str,
    pub(super) tool: &'static str,
}

/// One client's connection and session.
#[derive(Debug)]
pub(super) struct Session {
    address: String,
    connection: Connection,
    /// What every request begins with.
    head: String,
    tool: &'static str,
}

impl Session {
    pub(super) fn open(endpoint: Endpoint<'_>) -> anyhow::Result<Self> {
        let Endpoint { address, path, tool } = endpoint;
        let connection = Connection::open(address)?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\n"
        );
        let mut session = Self { address: address.to_owned(), connection, head, tool };
        let mut id = None;
        let request = session.post(&echo::initialize());
        session.connection.exchange_and(&request, |name, value| {
            if name.eq_ignore_ascii_case("mcp-session-id") {
                id = Some(value.to_owned());
            }
        })?;
        session.head.push_str(&format!("Mcp-Protocol-Version: {}\r\n", echo::REVISION));
        if let Some(id) = id {
            session.head.push_str(&format!("Mcp-Session-Id: {id}\r\n"));
        }
        for message in [echo::INITIALIZED, echo::LIST] {
            let request = session.post(message);
            session.connection.exchange(&request)?;
        }
        Ok(session)
    }

    /// Makes so many calls over a new connection, for servers close one that rested; gives what each
    /// took, in nanoseconds.
    pub(super) fn calls(&mut self, count: usize) -> anyhow::Result<Vec<u64>> {
        self.connection = Connection::open(&self.address)?;
        let first = self.post(echo::LIST);
        self.connection.exchange(&first)?;
        let mut nanos = Vec::with_capacity(count);
        for id in 0..count {
            let request = self.post(&echo::call_of(self.tool, id));
            let start = Instant::now();
            let reply = self.connection.exchange(&request)?;
            nanos.push(start.elapsed().as_nanos() as u64);
            let quote = echo::TEXT.as_bytes();
            let whole = reply.windows(quote.len()).any(|w| w == quote);
            ensure!(whole, "the reply is {}", String::from_utf8_lossy(&reply));
        }
        Ok(nanos)
    }

    fn post(&self, body: &str) -> Vec<u8> {
        format!("{}Content-Length: {}\r\n\r\n{body}", self.head, body.len()).into_bytes()
    }
}
