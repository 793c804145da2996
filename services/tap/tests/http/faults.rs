//! Sides that leave, break, hang and talk nonsense: the other side sees it, and the numbers tell.

use super::*;

/// A call that has reached the server.
fn under_way(tap: &Tap, origin: &Origin) -> (Wire, Wire) {
    let mut client = tap.connect();
    client.send(call(1));
    let mut server = origin.accept();
    server.message();
    (client, server)
}

fn check(fault: impl FnOnce(Wire, Wire), ending: &str) {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let (client, server) = under_way(&tap, &origin);
    fault(client, server);
    let events = tap.told(&exporter);
    assert_eq!(endings(&events), [ending]);
    assert_ne!(gauge(&events, "inflight", "a").unwrap_or(0), 1, "{events:?}");
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
fn a_server_that_hangs_is_in_flight_until_the_client_gives_up() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let (client, mut server) = under_way(&tap, &origin);
    let in_flight = |value: u64| {
        exporter
            .wait_for(|requests| gauge(&posted(requests, "test"), "inflight", "a") == Some(value));
    };
    in_flight(1);
    drop(client);
    assert_eq!(server.rest(), "");
    in_flight(0);
    assert_eq!(endings(&tap.told(&exporter)), ["a cancelled"]);
}
