//! What passes, byte for byte and at once.

use super::*;

/// Requests as clients send them, and what a server must see of each; then the same backwards.
/// `HOST` is each side's own.
const EXCHANGES: [(&str, &str); 5] = [
    (
        "POST /mcp HTTP/1.1\r\nHost: HOST\r\nAccept: application/json, text/event-stream\r\n\
         Content-Type: application/json\r\nMCP-Protocol-Version: 2026-07-28\r\n\
         Mcp-Method: tools/call\r\nMcp-Name: =?base64?ZWNobw==?=\r\nMcp-Param-X: 1\r\n\
         Authorization: Bearer t\r\nOrigin: http://localhost:6274\r\nX-Twice: 1\r\nX-Twice: 2\r\n\
         Content-Length: 38\r\n\r\n{ \"z\":1.50 , \"id\":1e2,\n \"method\":\"x\" }",
        "HTTP/1.1 200 OK\r\ndate: now\r\nserver: uvicorn\r\nCache-Control: no-store\r\n\
         Mcp-Session-Id: abc\r\nSet-Cookie: a\r\nSet-Cookie: b\r\ncontent-type: application/json\r\n\
         Content-Length: 22\r\n\r\n{\"result\":{},  \"id\":1}",
    ),
    (
        "GET /mcp?a=%2F&b HTTP/1.1\r\nhost: HOST\r\nLast-Event-ID: 7\r\nmcp-session-id: abc\r\n\r\n",
        "HTTP/1.1 405 Method Not Allowed\r\nAllow: POST\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "DELETE /mcp HTTP/1.1\r\nHost: HOST\r\nmcp-session-id: abc\r\n\r\n",
        "HTTP/1.1 204 Gone Fishing\r\nX: y\r\n\r\n",
    ),
    (
        "GET /.well-known/oauth-protected-resource/mcp HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer resource_metadata=\"http://x/y\"\r\n\
         Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nno",
    ),
    (
        "POST /mcp HTTP/1.1\r\nHost: HOST\r\ncontent-type: text/plain\r\nContent-Length: 9\r\n\r\nnot JSON!",
        "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
    ),
];

#[test]
fn exchanges_pass_unchanged_but_for_the_host() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let mut client = tap.connect();
    let mut server = None;
    for (request, response) in EXCHANGES {
        client.send(request.replace("HOST", &tap.address));
        let server = server.get_or_insert_with(|| origin.accept());
        let (head, body) = server.message();
        assert_eq!(head + &body, request.replace("HOST", &origin.authority()));
        server.send(response);
        let (head, body) = client.message();
        assert_eq!(head + &body, response);
    }
}

#[test]
fn what_belongs_to_one_connection_stays_there() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let mut client = tap.connect();
    client.send(
        "GET /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\
         Keep-Alive: timeout=5\r\nTE: trailers\r\nUpgrade: h2c\r\nAccept: a\r\n\r\n",
    );
    let mut server = origin.accept();
    let expected =
        format!("GET /mcp HTTP/1.1\r\nHost: {}\r\nAccept: a\r\n\r\n", origin.authority());
    assert_eq!(server.head(), expected);
    server.send("HTTP/1.1 200 OK\r\nConnection: close\r\nKeep-Alive: timeout=5\r\nA: b\r\nContent-Length: 2\r\n\r\nok");
    let (head, body) = client.message();
    assert_eq!(
        (head.as_str(), body.as_str()),
        ("HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\n", "ok")
    );
}

#[test]
fn each_event_arrives_before_the_next_is_sent() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let mut client = tap.connect();
    client.send(call(1));
    let mut server = origin.accept();
    server.message();
    server.send(STREAM);
    assert!(client.head().starts_with("HTTP/1.1 200 OK"), "the head alone passes");
    for event in
        [": ping\n\n", "id: 1\ndata:\n\n", "data: {\"method\":\"x\"}\n\n", "d", "ata: 1\n\n"]
    {
        server.send(chunk(event));
        assert_eq!(client.until(&chunk(event)), chunk(event));
    }
    server.send("0\r\n\r\n");
    client.until("0\r\n\r\n");
}

#[test]
fn a_request_passes_while_it_is_written() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let mut client = tap.connect();
    client.send(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
    );
    let mut server = origin.accept();
    server.head();
    for part in ["{\"id\":", "1}"] {
        client.send(chunk(part));
        assert_eq!(server.until(&chunk(part)), chunk(part));
    }
    client.send("0\r\n\r\n");
    server.until("0\r\n\r\n");
}

#[test]
fn a_body_may_come_in_part_with_its_head() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let mut client = tap.connect();
    let request = call(1);
    let (with_head, rest) = request.split_at(request.len() - 10);
    client.send(with_head);
    let mut server = origin.accept();
    server.head();
    let begun = with_head.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(server.exactly(begun.len()), begun.as_bytes());
    client.send(rest);
    assert_eq!(server.exactly(rest.len()), rest.as_bytes());
    server.send(reply(OK));
    assert_eq!(client.message().1, OK);
    assert_eq!(endings(&tap.told(&exporter)), ["a success"]);
}

#[test]
fn a_body_may_end_with_trailers_or_be_empty() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let mut client = tap.connect();
    let asked = call(1);
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    let chunked = |head: &str| format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let start = head.split_once("Content-Length").unwrap().0;
    let mut server = None;
    for body in [chunk(body), String::new()] {
        client.send(chunked(start) + &body + "0\r\nX-Trailer: 1\r\n\r\n");
        let server = server.get_or_insert_with(|| origin.accept());
        server.until(&format!("{body}0\r\n\r\n"));
        server.send(chunked("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"));
        client.head();
        server.send(chunk(OK) + "0\r\nX-Trailer: 1\r\n\r\n");
        client.until(&(chunk(OK) + "0\r\n\r\n"));
    }
    assert_eq!(endings(&tap.told(&exporter)), ["a success"]);
}

#[test]
fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let mut client = tap.connect();
    let request = call(1).replacen("\r\n", "\r\nExpect: 100-continue\r\n", 1);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    client.send(format!("{head}\r\n\r\n"));
    client.until("HTTP/1.1 100 Continue\r\n\r\n");
    client.send(body);
    let mut server = origin.accept();
    assert_eq!(server.message().1, body);
    server.send(reply(OK));
    assert_eq!(client.message().1, OK);
    assert_eq!(endings(&tap.told(&exporter)), ["a success"]);
}

#[test]
fn a_server_that_closed_an_idle_connection_is_asked_over_a_new_one() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let mut client = tap.connect();
    for _ in 0..3 {
        client.send(call(1));
        let mut server = origin.accept();
        server.message();
        server.send(reply(OK));
        assert_eq!(client.message().1, OK);
        drop(server);
    }
    assert_eq!(endings(&tap.told(&exporter)), ["a success"; 3]);
}

#[test]
fn strangers_names_are_refused() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    for (headers, status) in [
        ("Host: evil.example\r\n", "403"),
        ("Host: localhost\r\nOrigin: http://evil.example\r\n", "403"),
        ("", "400"),
    ] {
        let mut client = tap.connect();
        client.send(format!("GET /mcp HTTP/1.1\r\n{headers}\r\n"));
        let (head, _) = client.message();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
    }
}
