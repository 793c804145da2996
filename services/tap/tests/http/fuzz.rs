//! Whatever a body is and however it is cut, the other side gets the same bytes.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::corpus::{body, pieces};
use super::*;

fn head(first: &str, content_type: &str, length: usize) -> String {
    format!("{first}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn fuzz_bodies_pass_byte_for_byte() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let content =
        prop_oneof![Just("application/json"), Just("text/event-stream"), Just("text/plain")];
    let sizes = prop::collection::vec(1_usize..200, 1..6);
    let case = (body("requests"), body("responses"), content, sizes);
    let config = Config { failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&case, |(request, response, content, sizes)| {
            let mut client = tap.connect();
            client.send(head(
                "POST /mcp HTTP/1.1\r\nHost: localhost",
                "application/json",
                request.len(),
            ));
            for piece in pieces(&request, &sizes) {
                client.send(piece);
            }
            let mut server = origin.accept();
            server.head();
            prop_assert_eq!(server.exactly(request.len()), request);
            server.send(head("HTTP/1.1 200 OK", content, response.len()));
            for piece in pieces(&response, &sizes) {
                server.send(piece);
            }
            client.head();
            prop_assert_eq!(client.exactly(response.len()), response);
            Ok(())
        })
        .unwrap();

    // The observer is none the worse for it.
    let mut client = tap.connect();
    client
        .send(post(r#"{"jsonrpc":"2.0","id":77,"method":"tools/call","params":{"name":"last"}}"#));
    let mut server = origin.accept();
    server.message();
    server.send(reply(r#"{"jsonrpc":"2.0","id":77,"result":{}}"#));
    client.message();
    drop(client);
    let told = endings(&tap.told(&exporter));
    // Whether a listing came among the bodies is chance.
    let names = ["last success", "_other success"];
    assert!(told.last().is_some_and(|last| names.contains(&last.as_str())), "{told:?}");
}
