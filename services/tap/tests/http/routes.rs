//! Several servers behind one listener.

use super::*;

#[test]
fn each_prefix_has_a_server_and_a_name() {
    let (one, two, exporter) = (Origin::start(), Origin::start(), exporter());
    let upstreams = [format!("/one={}/mcp", one.url()), format!("test=/two={}", two.url())];
    let tap = Tap::start(&exporter, &["--upstream", &upstreams[0], "--upstream", &upstreams[1]]);
    let mut client = tap.connect();
    for (path, origin, there) in [
        ("/one", &one, "/mcp"),
        ("/two/mcp?x", &two, "/mcp?x"),
        (
            "/.well-known/oauth-protected-resource/one",
            &one,
            "/.well-known/oauth-protected-resource/mcp",
        ),
    ] {
        // A connection to each server is kept, so the client takes another one each time.
        let mut client = tap.connect();
        client.send(call(1).replacen("/mcp", path, 1));
        let mut server = origin.accept();
        let (head, _) = server.message();
        assert!(head.starts_with(&format!("POST {there} HTTP/1.1\r\n")), "{head}");
        server.send(reply(OK));
        assert_eq!(client.message().1, OK);
    }
    client.send("GET /three HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(client.message().0.starts_with("HTTP/1.1 404"));
    assert_eq!(endings(&tap.told(&exporter)), ["a success"]);
    assert_eq!(endings(&posted(&exporter.requests(), "one")), ["a success"; 2]);
}

#[test]
fn addresses_that_would_lead_past_the_tap_lead_back_to_it() {
    let (origin, exporter) = (Origin::start(), exporter());
    let upstream = format!("test=/a={}", origin.url());
    let tap = Tap::start(&exporter, &["--upstream", &upstream]);
    let mut client = tap.connect();
    client.send("GET /a/sse HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut server = origin.accept();
    server.head();
    server.send(STREAM);
    server.send(chunk("event: endpoint\r\ndata: /message?s=1\r\n\r\n"));
    client.until("event: endpoint\r\ndata: /a/message?s=1\r\n\r\n");

    let mut client = tap.connect();
    client.send("POST /a/mcp/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    let mut server = origin.accept();
    server.head();
    let location = format!("Location: {}/mcp\r\n", origin.url());
    server.send(format!("HTTP/1.1 307 Moved\r\n{location}Content-Length: 0\r\n\r\n"));
    assert!(client.head().contains("Location: /a/mcp\r\n"));
}

#[test]
fn an_address_that_is_taken_is_told() {
    let taken = Origin::start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-tap"));
    command.args(["--listen", &taken.authority(), "--upstream", "http://localhost:1"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(70));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot listen on 127.0.0.1:") && said.contains("--listen"), "{said}");
}
