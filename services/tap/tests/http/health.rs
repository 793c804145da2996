//! `--health`: a tap that serves says so, however the server behind it is.

use std::process::Output;

use super::*;

fn ask(address: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-tap"));
    command.args(["--health", "--listen", address]).output().unwrap()
}

#[track_caller]
fn assert_unwell(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(70), "{said}");
    assert!(said.contains(words), "{said}");
}

#[test]
fn a_tap_that_serves_is_well_and_nobody_notices_the_question() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let output = ask(&tap.address);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.stdout, output.stderr), (vec![], vec![]));

    // The server's first request is the client's.
    let mut client = tap.connect();
    client.send(call(1));
    let mut server = origin.accept();
    assert!(server.message().0.starts_with("POST /mcp "));
    server.send(reply(OK));
    client.message();
    let events = tap.told(&exporter);
    assert_eq!(endings(&events), ["a success"]);
    let operations = events.iter().filter(|event| event["type"] == "operation");
    assert_eq!(operations.count(), 0, "{events:?}");
}

#[test]
fn a_server_that_is_away_does_not_make_its_tap_unwell() {
    let exporter = exporter();
    let tap = Tap::start(&exporter, &["--upstream", "test=http://127.0.0.1:1/mcp"]);
    assert!(ask(&tap.address).status.success());
}

#[test]
fn who_is_no_tap_or_not_there_is_told() {
    let origin = Origin::start();
    let address = origin.authority();
    let asked = std::thread::spawn(move || ask(&address));
    let mut server = origin.accept();
    server.head();
    server.send("HTTP/1.0 200 OK\r\n\r\nhello");
    drop(server);
    assert_unwell(&asked.join().unwrap(), "is no tap; expected one there, see --listen");

    let gone = origin.authority();
    drop(origin);
    assert_unwell(&ask(&gone), &format!("no answer from http://{gone}; expected a tap there"));
}

#[test]
fn a_question_is_not_put_together_with_a_task() {
    for task in [&["--upstream", "http://localhost:1"][..], &["--", "cat"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-tap"));
        let output = command.arg("--health").args(task).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{task:?}");
    }
}
