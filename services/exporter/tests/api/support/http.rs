//! A client that sends what it is told, byte by byte, and waits for no longer than [`PATIENCE`].

use std::io::Write as _;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::poll;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a test waits for something that should happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A request to be sent, with its `Content-Length`.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A reply as it came in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// Sends requests to one address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
}

/// One connection, for requests in pieces and for several on one connection.
pub(crate) struct Connection(BufReader<TcpStream>);

/// A `GET`.
pub(crate) fn get(path: &str) -> Request {
    Request { method: "GET", path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
}

/// A `POST` of JSON.
#[expect(clippy::needless_pass_by_value, reason = "a literal and a value are written alike")]
pub(crate) fn post(path: &str, body: impl ToString) -> Request {
    let request = Request { method: "POST", ..get(path) };
    request.body(body.to_string()).header("content-type", "application/json")
}

/// The bytes, compressed.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

impl Request {
    pub(crate) fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    /// Sets a header, in place of one with this name.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// The bytes on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Self { method, path, headers, body } = self;
        let mut bytes = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
        let given = |name| headers.iter().any(|(known, _)| known == name);
        let host = (!given("host")).then(|| ("host".into(), "localhost".into()));
        let framed = body.is_empty() || given("transfer-encoding");
        let length = (!framed).then(|| ("content-length".into(), body.len().to_string()));
        for (name, value) in headers.iter().chain(&host).chain(&length) {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(body);
        bytes
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What a problem says, after a look at its form.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status, "{self:?}");
        json["detail"].as_str().expect("a problem has a detail").to_owned()
    }

    /// Whether the server says that this was the connection's last reply.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    pub(crate) async fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Connection(BufReader::new(stream))
    }

    /// Sends a request on a connection of its own.
    pub(crate) async fn send(&self, request: Request) -> Reply {
        let mut connection = self.connect().await;
        connection.send(&request).await
    }

    /// Posts JSON to `/v1/events`.
    pub(crate) async fn post(&self, batch: impl ToString) -> Reply {
        self.send(post("/v1/events", batch)).await
    }

    /// The text of `/metrics`.
    pub(crate) async fn scrape(&self) -> String {
        let reply = self.send(get("/metrics")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }

    /// The JSON at a path.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let reply = self.send(get(path)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    /// Scrapes until the text is as wanted.
    pub(crate) async fn scrape_until(&self, wanted: impl Fn(&str) -> bool) -> String {
        let asking = async {
            loop {
                let text = self.scrape().await;
                if wanted(&text) {
                    return text;
                }
                // Nothing tells when a reading expires; asking is the only way to see it.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, asking).await.expect("the metrics are never as wanted")
    }
}

impl Connection {
    /// Sends a whole request and gives its reply.
    pub(crate) async fn send(&mut self, request: &Request) -> Reply {
        self.write(&request.bytes()).await;
        self.reply().await
    }

    /// Sends all but the last byte of a request's body, which it gives, once the exporter has
    /// begun to handle the request.
    pub(crate) async fn begin(&mut self, request: Request) -> u8 {
        let mut bytes = request.clone().header("expect", "100-continue").bytes();
        let last = bytes.pop().unwrap();
        let (head, body) = bytes.split_at(bytes.len() + 1 - request.body.len());
        self.write(head).await;
        assert_eq!(self.reply().await.status, 100);
        self.write(body).await;
        last
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Writes until all is written or the server has heard enough.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// Whether a reply has begun to arrive.
    pub(crate) async fn has_reply(&mut self) -> bool {
        matches!(poll!(pin!(self.0.fill_buf())), Poll::Ready(Ok(bytes)) if !bytes.is_empty())
    }

    /// The next reply.
    pub(crate) async fn reply(&mut self) -> Reply {
        timeout(PATIENCE, self.read_reply(true)).await.expect("no reply").expect("a reply")
    }

    /// The next whole reply, unless the connection ends before.
    pub(crate) async fn try_reply(&mut self) -> Option<Reply> {
        timeout(PATIENCE, self.read_reply(true)).await.expect("neither a reply nor an end")
    }

    /// The next reply to a `HEAD`.
    pub(crate) async fn reply_without_body(&mut self) -> Reply {
        timeout(PATIENCE, self.read_reply(false)).await.expect("no reply").expect("a reply")
    }

    /// Whether the server closes the connection, and says nothing more.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        let end = timeout(PATIENCE, self.0.read_to_end(&mut rest)).await;
        // A reset says so as well.
        end.is_ok() && rest.is_empty()
    }

    async fn read_reply(&mut self, has_body: bool) -> Option<Reply> {
        let status = self.line().await?;
        let status = status.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        while let Some((name, value)) = self.line().await?.split_once(": ") {
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut reply = Reply { status, headers, body: String::new() };
        let length = reply.header("content-length").and_then(|length| length.parse().ok());
        let mut body = vec![0; length.filter(|_| has_body).unwrap_or(0)];
        self.0.read_exact(&mut body).await.ok()?;
        reply.body = String::from_utf8(body).ok()?;
        Some(reply)
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).await.ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    }
}
