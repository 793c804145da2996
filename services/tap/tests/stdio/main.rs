//! The real `mcp-tap` in front of real processes.

#![expect(clippy::unwrap_used, reason = "all of this is a test")]

mod bytes;
mod ending;
mod page;
mod reporting;
mod usage;
mod wrap;

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use mcpmon_testkit::http_script::{Answer, HttpScript};

/// An address that refuses connections: a port that was free a moment ago.
fn nobody() -> String {
    HttpScript::start(|_| Answer::Close).url()
}

/// A tap in front of `sh -c SCRIPT`, reporting to `exporter`.
fn tap(exporter: &str, script: &str) -> Command {
    let mut command = bare();
    command.args(["--server", "test", "--exporter", exporter, "--", "sh", "-c", script]);
    command
}

/// `mcp-tap` with all streams piped, and an environment of its own.
fn bare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-tap"));
    for key in [
        "MCP_EXPORTER_URL",
        "MCP_EXPORTER_TOKEN",
        "MCP_EXPORTER_TOKEN_FILE",
        "MCP_TAP_LOG",
        "MCP_TAP_CONFIG",
    ] {
        command.env_remove(key);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Feeds `input` while reading the output, as a client with two hands does.
fn converse(mut command: Command, input: Vec<u8>) -> Output {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The server may leave before it has read everything.
    let feeding = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    output
}

fn run(command: Command) -> Output {
    converse(command, Vec::new())
}

/// Reads up to and with the next newline.
fn line(from: &mut impl Read) -> String {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while from.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

/// A tap whose server said `ready`; its input is open.
fn ready(mut command: Command) -> (Child, ChildStdin) {
    let mut child = command.spawn().unwrap();
    assert_eq!(line(child.stdout.as_mut().unwrap()), "ready");
    let stdin = child.stdin.take().unwrap();
    (child, stdin)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
