//! What goes in comes out, byte for byte, and each end is seen on the other side.

use std::io::{Read, Write};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// Bytes that look like nothing, from a small generator with a fixed seed.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn a_megabyte_of_noise_passes_unchanged() {
    let input = noise(1_000_003);
    let output = converse(tap(&nobody(), "exec cat"), input.clone());
    assert!(output.stdout == input);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_message_of_32_mib_passes_unchanged() {
    let mut input = vec![b'x'; 32 * 1024 * 1024];
    *input.last_mut().unwrap() = b'\n';
    let output = converse(tap(&nobody(), "exec cat"), input.clone());
    assert!(output.stdout == input);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_chunks_of_any_bytes_pass_unchanged(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3_000), 0..30),
    ) {
        let mut child = tap(&nobody(), "exec cat").spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        for chunk in &chunks {
            stdin.write_all(chunk).unwrap();
        }
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        prop_assert_eq!(output.stdout, chunks.concat());
    }
}

#[test]
fn each_message_passes_at_once() {
    let mut child = tap(&nobody(), "exec cat").spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    for message in ["{\"id\":1}", "no newline is needed: \u{1}"] {
        stdin.write_all(message.as_bytes()).unwrap();
        let mut echo = vec![0; message.len()];
        stdout.read_exact(&mut echo).unwrap();
        assert_eq!(echo, message.as_bytes());
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn standard_error_is_the_servers_own() {
    let mut command = tap(&nobody(), "printf 'oops\\0\\377' >&2");
    command.env("MCP_TAP_LOG", "off");
    let output = run(command);
    assert_eq!(output.stderr, b"oops\0\xff");
}

#[test]
fn the_log_goes_to_standard_error_and_never_to_the_client() {
    let mut command = tap(&nobody(), "printf out");
    command.env("MCP_TAP_LOG", "trace");
    let output = run(command);
    assert_eq!(output.stdout, b"out");
    assert!(text(&output.stderr).contains("DEBUG"));
}

#[test]
fn the_end_of_the_clients_input_is_the_end_of_the_servers() {
    let (child, stdin) = ready(tap(&nobody(), "echo ready; cat >/dev/null; exit 3"));
    drop(stdin);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(3));
}

#[test]
fn the_end_of_the_servers_output_is_seen_while_the_server_lives() {
    let script = "echo ready; exec >&-; cat >/dev/null; exit 3";
    let (mut child, stdin) = ready(tap(&nobody(), script));
    let mut rest = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
    assert!(child.try_wait().unwrap().is_none());
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn a_server_that_stops_reading_is_still_heard() {
    let script = "exec <&-; printf said; echo ready; read x </dev/null; sleep 0.2; echo after";
    let mut child = tap(&nobody(), script).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The client's writes fail in the end, as they would without the tap.
    while stdin.write_all(&[b'x'; 4096]).is_ok() {}
    assert_eq!(child.wait_with_output().unwrap().stdout, b"saidready\nafter\n");
}

#[test]
fn a_server_whose_client_stops_listening_is_told_by_its_pipe() {
    use std::os::unix::process::ExitStatusExt;
    let mut child = tap(&nobody(), "exec yes").spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    drop(child.stdout.take().unwrap());
    assert_eq!(child.wait().unwrap().signal(), Some(13), "SIGPIPE, as without the tap");
    drop(stdin);
}

#[test]
fn what_was_written_before_the_exit_is_delivered_to_a_slow_reader() {
    let mut child = tap(&nobody(), "head -c 150000 /dev/zero; exit 5").spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut first = [1; 10];
    stdout.read_exact(&mut first).unwrap();
    // Longer than an exited server's silent output is waited for.
    std::thread::sleep(Duration::from_millis(1_500));
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    assert_eq!(first.len() + rest.len(), 150_000);
    assert_eq!(child.wait().unwrap().code(), Some(5));
}
