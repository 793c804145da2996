//! Sides that leave, break, hang and talk nonsense: the other side sees it, and the numbers tell,
//! while the tap goes on: how the call ended, and that nothing is open any more.

use std::time::Duration;

use tokio::time::Instant;

use super::*;

/// A call that has reached the server, and the exporter as one in flight.
fn under_way(tap: &Tap, origin: &Origin, exporter: &HttpScript) -> (Wire, Wire) {
    let mut client = tap.connect();
    client.send(call(1));
    let mut server = origin.accept();
    server.message();
    in_flight(exporter, 1);
    (client, server)
}

fn in_flight(exporter: &HttpScript, value: u64) {
    exporter.wait_for(|requests| gauge(&posted(requests, "test"), "inflight", "a") == Some(value));
}

fn check(fault: impl FnOnce(Wire, Wire), ending: &str) {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let (client, server) = under_way(&tap, &origin, &exporter);
    fault(client, server);
    settled(&exporter, &[ending]);
    assert_eq!(endings(&tap.told(&exporter)), [ending], "nothing is counted again at the end");
}

#[test]
fn a_client_that_leaves_before_the_response_is_seen_by_the_server() {
    check(
        |client, mut server| {
            drop(client);
            assert_eq!(server.rest(), "");
        },
        "a cancelled",
    );
}

#[test]
fn a_client_that_leaves_a_stream_is_seen_by_the_server() {
    check(
        |mut client, mut server| {
            server.send(STREAM);
            server.send(chunk(": hello\n\n"));
            client.until("hello");
            drop(client);
            assert_eq!(server.rest(), "");
        },
        "a cancelled",
    );
}

#[test]
fn a_client_that_leaves_while_it_asks_is_seen_by_the_server() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let mut client = tap.connect();
    client.send("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{\"id\":1,");
    let mut server = origin.accept();
    server.until("{\"id\":1,");
    drop(client);
    assert_eq!(server.rest(), "");
}

#[test]
fn a_server_that_closes_a_stream_in_the_middle_is_seen_by_the_client() {
    check(
        |mut client, mut server| {
            server.send(STREAM);
            server.send(chunk("data: {\"id\":1,\"res"));
            client.until("res\r\n");
            drop(server);
            assert_eq!(client.rest(), "", "no end of the body, but the end of the connection");
        },
        "a error transport_error eof",
    );
}

#[test]
fn a_server_that_resets_a_stream_is_seen_by_the_client() {
    check(
        |mut client, mut server| {
            server.send(STREAM);
            client.head();
            server.reset();
            assert_eq!(client.rest(), "");
        },
        "a error transport_error reset",
    );
}

#[test]
fn a_server_that_half_closes_a_short_body_is_seen_by_the_client() {
    check(
        |mut client, mut server| {
            server.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{\"id\"");
            server.half_close();
            assert!(client.rest().ends_with("{\"id\""));
        },
        "a error transport_error eof",
    );
}

#[test]
fn a_server_that_closes_without_a_word_is_a_bad_gateway() {
    check(
        |mut client, server| {
            drop(server);
            let (head, body) = client.message();
            assert!(head.starts_with("HTTP/1.1 502"), "{head}");
            assert!(body.starts_with("mcp-tap: no response from 127.0.0.1:"), "{body}");
        },
        "a error transport_error eof",
    );
}

#[test]
fn a_server_that_talks_nonsense_is_a_bad_gateway() {
    check(
        |mut client, mut server| {
            server.send("SSH-2.0-OpenSSH_9.2\r\n\r\n");
            assert!(client.message().0.starts_with("HTTP/1.1 502"));
        },
        "a error transport_error upstream_5xx",
    );
}

#[test]
fn a_server_whose_body_is_nonsense_passes_and_fails_the_call() {
    check(
        |mut client, mut server| {
            server.send(reply("nonsense"));
            assert_eq!(client.message().1, "nonsense");
        },
        "a error transport_error eof",
    );
}

#[test]
fn a_server_that_is_not_there_is_a_bad_gateway() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    drop(origin);
    let mut client = tap.connect();
    client.send(call(1));
    assert!(client.message().0.starts_with("HTTP/1.1 502"));
    assert_eq!(endings(&tap.told(&exporter)), ["a error transport_error refused"]);
}

#[test]
fn a_server_whose_name_has_no_address_is_a_bad_gateway() {
    let exporter = exporter();
    let tap = Tap::start(&exporter, &["--upstream", "test=http://name.invalid:1/mcp"]);
    let mut client = tap.connect();
    client.send(call(1));
    assert!(client.message().0.starts_with("HTTP/1.1 502"));
    assert_eq!(endings(&tap.told(&exporter)), ["a error transport_error dns"]);
}

#[test]
fn a_server_that_breaks_the_framing_of_a_stream_is_seen_by_the_client() {
    check(
        |mut client, mut server| {
            server.send(STREAM);
            client.head();
            server.send("no length\r\n");
            assert_eq!(client.rest(), "");
        },
        "a error transport_error reset",
    );
}

#[test]
fn a_stream_of_nonsense_passes_and_fails_the_call() {
    check(
        |mut client, mut server| {
            server.send(STREAM);
            server.send(chunk("data: nonsense\n\n\u{0}{}[]") + "0\r\n\r\n");
            client.until("0\r\n\r\n");
        },
        "a error transport_error eof",
    );
}

#[test]
fn a_client_that_resets_is_seen_by_the_server() {
    check(
        |client, mut server| {
            client.reset();
            assert_eq!(server.rest(), "");
        },
        "a cancelled",
    );
}

#[test]
fn a_client_that_closes_its_half_has_left() {
    check(
        |client, mut server| {
            client.half_close();
            assert_eq!(server.rest(), "");
        },
        "a cancelled",
    );
}

#[test]
fn a_server_that_hangs_is_in_flight_until_the_client_gives_up() {
    check(
        |client, mut server| {
            drop(client);
            assert_eq!(server.rest(), "");
        },
        "a cancelled",
    );
}

/// A session that was opened over connections of its own.
fn session(tap: &Tap, origin: &Origin) {
    let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#;
    let welcome = reply(r#"{"id":0,"result":{"protocolVersion":"2025-11-25"}}"#);
    let welcome = welcome.replacen("\r\n", "\r\nmcp-session-id: s\r\n", 1);
    exchange(tap, origin, &post(hello), &welcome).0.message();
}

#[test]
fn a_server_that_hangs_is_a_timeout_when_the_client_says_so() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    session(&tap, &origin);
    let (mut client, mut server) = exchange(&tap, &origin, &with_session(&call(1)), STREAM);
    client.head();
    in_flight(&exporter, 1);
    let withdrawn = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"Request timed out"}}"#;
    let accepted = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
    exchange(&tap, &origin, &with_session(&post(withdrawn)), accepted).0.message();
    in_flight(&exporter, 0);
    // The end of the stream is no second end of the call.
    drop(client);
    assert_eq!(server.rest(), "");
    let bye = "DELETE /mcp HTTP/1.1\r\nMcp-Session-Id: s\r\nHost: localhost\r\n\r\n";
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    exchange(&tap, &origin, bye, response).0.message();
    settled(&exporter, &["a timeout"]);
    assert_eq!(endings(&tap.told(&exporter)), ["a timeout"]);
}

#[test]
fn a_session_ends_with_the_first_word_of_its_server_s_successor() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    session(&tap, &origin);
    let (mut client, mut server) = exchange(&tap, &origin, &with_session(&call(1)), STREAM);
    client.head();
    in_flight(&exporter, 1);
    server.send(chunk("data: {\"id\":1,"));
    client.until("1,\r\n");
    drop(server);
    assert_eq!(client.rest(), "");
    in_flight(&exporter, 0);
    let unknown = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    exchange(&tap, &origin, &with_session(&call(2)), unknown).0.message();
    settled(&exporter, &["a error transport_error eof", "a error rpc_error upstream_4xx"]);
}

/// The two ends of an event stream of HTTP+SSE in which a call waits for its reply.
fn over_sse(tap: &Tap, origin: &Origin, exporter: &HttpScript) -> (Wire, Wire) {
    let get = "GET /sse HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    let (mut listening, mut stream) = exchange(tap, origin, get, STREAM);
    stream.send(chunk("event: endpoint\ndata: /message?sessionId=x\n\n"));
    listening.until("sessionId=x");
    let request = call(1).replacen("/mcp", "/message?sessionId=x", 1);
    let accepted = "HTTP/1.1 202 Accepted\r\nContent-Length: 8\r\n\r\nAccepted";
    exchange(tap, origin, &request, accepted).0.message();
    in_flight(exporter, 1);
    (listening, stream)
}

#[test]
fn over_http_and_sse_a_server_that_goes_fails_the_call_and_ends_the_connection() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let (mut listening, stream) = over_sse(&tap, &origin, &exporter);
    drop(stream);
    listening.rest();
    settled(&exporter, &["a error transport_error eof"]);
}

#[test]
fn over_http_and_sse_a_client_that_goes_cancels_the_call_and_ends_the_connection() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let (listening, mut stream) = over_sse(&tap, &origin, &exporter);
    drop(listening);
    assert_eq!(stream.rest(), "");
    settled(&exporter, &["a cancelled"]);
}

#[test]
fn a_subscription_s_stream_is_a_connection_until_either_side_goes() {
    for server_goes in [true, false] {
        let (origin, exporter) = (Origin::start(), exporter());
        let tap = Tap::before(&origin, &exporter);
        let listen = post(r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen"}"#);
        let listen = listen.replacen("Host:", "MCP-Protocol-Version: 2026-07-28\r\nHost:", 1);
        let (mut client, mut server) = exchange(&tap, &origin, &listen, STREAM);
        client.head();
        exporter.wait_for(|requests| {
            gauge(&posted(requests, "test"), "connections", "http") == Some(1)
        });
        if server_goes {
            drop(server);
            client.rest();
        } else {
            drop(client);
            server.rest();
        }
        settled(&exporter, &[]);
    }
}

#[test]
fn an_exporter_that_is_away_for_the_whole_run_costs_the_client_nothing() {
    let (origin, exporter) = (Origin::start(), exporter());
    let mut tap = Tap::before(&origin, &exporter);
    drop(exporter);
    for _ in 0..3 {
        assert_eq!(exchange(&tap, &origin, &call(1), &reply(OK)).0.message().1, OK);
    }
    // Nor does a server that goes away meanwhile.
    let (mut client, server) = exchange(&tap, &origin, &call(1), STREAM);
    client.head();
    drop(server);
    assert_eq!(client.rest(), "");
    let begun = Instant::now();
    kill_process(Pid::from_child(&tap.child), Signal::TERM).unwrap();
    assert!(tap.child.wait().unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(10), "it waits for nobody who refuses it");
}
