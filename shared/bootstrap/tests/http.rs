//! The HTTP scaffolding in a real server, asked over a real socket.
#![expect(clippy::unwrap_used, reason = "clippy sees no test in a helper of an integration test")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpServer, web};
use mcpmon_bootstrap::Settings;
use mcpmon_bootstrap::http::readiness::Guard;
use mcpmon_bootstrap::http::{AllowedHosts, Problem, Readiness, body, host};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const LIMIT: usize = 1000;
const DEADLINE: Duration = Duration::from_millis(200);

struct Server {
    address: SocketAddr,
    redis: Guard,
}

async fn length(request: HttpRequest, payload: web::Payload) -> Result<String, Problem> {
    let body = body::read(&request, payload, LIMIT, DEADLINE).await?;
    Ok(body.len().to_string())
}

async fn refuse(payload: web::Payload) -> Result<String, Problem> {
    body::abandon(payload);
    Err(Problem::new(StatusCode::UNAUTHORIZED, "this needs a token"))
}

/// Serves until the test's runtime ends.
fn start() -> Server {
    let readiness = Readiness::default();
    let redis = readiness.guard("redis");
    readiness.guard("rules").ready();
    let hosts = Arc::new(AllowedHosts::from_settings(&mut Settings::empty(), "demo"));
    let server = HttpServer::new(move || {
        App::new()
            .configure(|app| readiness.routes(app))
            .route("/length", web::post().to(length))
            .route("/refuse", web::post().to(refuse))
            .wrap(host::enforce(Arc::clone(&hosts)))
    })
    .workers(1)
    .disable_signals()
    .bind("127.0.0.1:0")
    .unwrap();
    let address = server.addrs()[0];
    actix_web::rt::spawn(server.run());
    Server { address, redis }
}

impl Server {
    /// Sends the bytes and reads until the server closes the connection.
    async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.unwrap();
        String::from_utf8(response).unwrap()
    }

    async fn get(&self, path: &str, host: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
    }

    async fn post(&self, headers: &str, body: &str) -> String {
        self.ask(&format!("POST /length HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n{body}"))
            .await
    }
}

fn status(response: &str) -> &str {
    response.split_ascii_whitespace().nth(1).unwrap_or_default()
}

fn content(response: &str) -> &str {
    response.split_once("\r\n\r\n").unwrap().1
}

#[actix_web::test]
async fn readiness_names_what_is_pending() {
    let server = start();
    assert_eq!(status(&server.get("/health/live", "localhost").await), "200");

    let pending = server.get("/health/ready", "localhost").await;
    assert_eq!(status(&pending), "503");
    assert_eq!(content(&pending), r#"{"pending":["redis"],"status":"pending"}"#);

    server.redis.ready();
    let ready = server.get("/health/ready", "localhost").await;
    assert_eq!((status(&ready), content(&ready)), ("200", r#"{"status":"ready"}"#));

    server.redis.pending();
    let head = "HEAD /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let head = server.ask(head).await;
    assert_eq!((status(&head), content(&head)), ("503", ""));
}

#[actix_web::test]
async fn a_strange_host_gets_health_and_nothing_else() {
    let server = start();
    assert_eq!(status(&server.get("/health/live", "evil.example").await), "200");
    assert_eq!(status(&server.get("/health/ready", "evil.example").await), "503");

    let refused = server.get("/length", "evil.example").await;
    assert_eq!(status(&refused), "403");
    assert!(refused.to_lowercase().contains("content-type: application/problem+json"), "{refused}");
    insta::assert_snapshot!(content(&refused), @r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"the Host \"evil.example\" is not allowed here; demo.allowed_hosts lists the names that are"}"#);
}

#[actix_web::test]
async fn a_body_within_the_limit_is_read_however_it_is_framed() {
    let server = start();
    let whole = server.post("Connection: close\r\nContent-Length: 1000", &"x".repeat(1000)).await;
    assert_eq!((status(&whole), content(&whole)), ("200", "1000"));

    let empty = server.post("Connection: close\r\nContent-Length: 0", "").await;
    assert_eq!((status(&empty), content(&empty)), ("200", "0"));

    let chunks = "3\r\nabc\r\n4\r\ndefg\r\n2\r\nhi\r\n0\r\n\r\n";
    let chunked = server.post("Connection: close\r\nTransfer-Encoding: chunked", chunks).await;
    assert_eq!((status(&chunked), content(&chunked)), ("200", "9"));
}

// In what follows the client never closes and never says `Connection: close`: that reading ends
// shows that the server closed.

#[actix_web::test]
async fn an_announced_length_above_the_limit_is_refused_before_the_body_comes() {
    let refused = start().post("Content-Length: 104857600", "").await;
    assert_eq!(status(&refused), "413");
    insta::assert_snapshot!(content(&refused), @r#"{"type":"about:blank","title":"Payload Too Large","status":413,"detail":"the body is too large; at most 1000 bytes are accepted"}"#);
}

#[actix_web::test]
async fn a_body_that_grows_above_the_limit_is_refused() {
    let chunk = format!("200\r\n{}\r\n", "x".repeat(0x200));
    let refused = start().post("Transfer-Encoding: chunked", &chunk.repeat(2)).await;
    assert_eq!(status(&refused), "413");
}

#[actix_web::test]
async fn a_body_that_trickles_in_meets_the_deadline() {
    let server = start();
    for (framing, piece) in
        [("Content-Length: 10", "abc"), ("Transfer-Encoding: chunked", "3\r\nab")]
    {
        let late = server.post(framing, piece).await;
        assert_eq!(status(&late), "408", "{framing}");
        assert!(content(&late).contains("the body did not arrive within 0.2 s"), "{late}");
    }
}

#[actix_web::test]
async fn a_badly_framed_body_is_refused() {
    let refused = start().post("Transfer-Encoding: chunked", "zz\r\nabc").await;
    assert_eq!(status(&refused), "400");
}

#[actix_web::test]
async fn a_refusal_without_reading_ends_the_connection_too() {
    let head = "POST /refuse HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let refused = start().ask(&format!("{head}3\r\nab")).await;
    assert_eq!(status(&refused), "401");
}
