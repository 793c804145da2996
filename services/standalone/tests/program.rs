//! The program `mcpmon`: what it says when it cannot run, and that it ends when it is told to.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a broken assumption fails the test")]

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use mcpmon_testkit::program::until;

/// Beside the exporter's.
const FREE_PORTS: [(&str, &str); 2] =
    [("MCPMON__HEALTH_MONITOR__PORT", "0"), ("MCPMON__REMEDIATION__PORT", "0")];

fn mcpmon(arguments: &[&str], port: u16) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mcpmon"))
        .args(arguments)
        .env_clear()
        .envs(FREE_PORTS)
        .env("METRICS_PORT", port.to_string())
        .output()
        .unwrap()
}

#[track_caller]
fn assert_failed(output: &Output, code: i32, message: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains(message), "{error}");
    assert_eq!(output.status.code(), Some(code), "{error}");
}

#[test]
fn wrong_usage_is_64_and_names_the_value() {
    assert_failed(&mcpmon(&["run", "--for", "soon"], 0), 64, "invalid value 'soon'");
    assert_failed(&mcpmon(&["run", "--demo", "--pace", "0"], 0), 64, "expected a number from 0.01");
    assert_failed(&mcpmon(&["run", "--seed", "7"], 0), 64, "--demo");
    assert_failed(&mcpmon(&["walk"], 0), 64, "walk");
}

#[test]
fn a_configuration_that_is_not_there_is_64_and_named() {
    let output = mcpmon(&["run", "--config", "/nonexistent/mcpmon.toml"], 0);
    assert_failed(&output, 64, "/nonexistent/mcpmon.toml");
}

#[test]
fn a_port_in_use_is_70_and_comes_with_its_remedy() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    assert_failed(&mcpmon(&["run"], port), 70, &format!("ss -ltnp 'sport = :{port}'"));
}

#[test]
fn it_says_where_everything_is_and_ends_in_time() {
    let output = mcpmon(&["run", "--for", "100ms"], 0);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("/metrics\n") && text.contains("0 calls"), "{text}");
    assert!(!text.contains("Demo server"), "{text}");
}

/// A part of the demo as a process, ended with the test.
struct Part {
    process: Child,
    /// Host and port of the URL in its first line.
    address: String,
}

impl Part {
    fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_mcpmon"))
            .args(arguments)
            .env_clear()
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split('/').nth(2).unwrap().to_owned();
        Self { process, address }
    }

    fn health(&self) -> Output {
        mcpmon(&["demo-health", &self.address], 0)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn the_demo_s_parts_say_whether_they_are_well() {
    let server = Part::start(&["demo-server", "--listen", "127.0.0.1:0", "--pace", "0.1"]);
    assert!(server.health().status.success());

    let url = format!("http://{}/mcp", server.address);
    let health = ["--health", "127.0.0.1:0", "--pace", "0.1"];
    let client = Part::start(&[&["demo-client", "--url", &url], &health[..]].concat());
    // It is well once the first call has come to an end; nextest limits how long that may take.
    while !client.health().status.success() {}

    let atelier = Part::start(&["demo-atelier", "--listen", "127.0.0.1:0", "--pace", "0.1"]);
    assert!(atelier.health().status.success());
    let second = format!("http://{}/mcp", atelier.address);
    let both = ["demo-client", "--url", &url, "--atelier", &second];
    let client = Part::start(&[&both[..], &health[..]].concat());
    while !client.health().status.success() {}

    // One of the two is enough for it not to be well.
    let nowhere = "http://127.0.0.1:1/mcp";
    let half = ["demo-client", "--url", &url, "--atelier", nowhere];
    let half = Part::start(&[&half[..], &health[..]].concat());
    // Before the boutique's first call has come to an end, it is the boutique that is named.
    let output = until("the boutique answers", || {
        Some(half.health()).filter(|it| String::from_utf8_lossy(&it.stderr).contains(nowhere))
    });
    assert_failed(&output, 70, &format!("not ready: no call comes to an end at {nowhere}"));
    let gone = server.address.clone();
    drop(server);
    assert_failed(&mcpmon(&["demo-health", &gone], 0), 70, "no answer from http://127.0.0.1:");
}

/// The process that `parent` started as the demo's server.
fn demo_server_of(parent: u32) -> Option<i32> {
    let processes = std::fs::read_dir("/proc").unwrap();
    processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).find(|id: &i32| {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{id}/{file}"));
        let is_child = |status: String| status.contains(&format!("PPid:\t{parent}\n"));
        read("status").is_ok_and(is_child)
            && read("cmdline").is_ok_and(|it| it.contains("demo-server"))
    })
}

#[test]
fn the_demo_s_server_is_repaired_when_it_is_killed() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_mcpmon"))
        .args(["run", "--demo"])
        .env_clear()
        .envs(FREE_PORTS)
        .env("METRICS_PORT", "0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut messages = BufReader::new(process.stderr.take().unwrap()).lines();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    // Nextest limits how long each line may take.
    let mut seen = Vec::new();
    let mut wait_for = |words: &str| {
        while !seen.last().is_some_and(|line: &String| line.contains(words)) {
            let line = lines.next();
            seen.push(line.unwrap_or_else(|| panic!("no line has {words}: {seen:#?}")).unwrap());
        }
    };
    wait_for("boutique is healthy");
    let first = demo_server_of(process.id()).unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(first).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    wait_for("demo server ended by itself: signal: 9");
    wait_for("boutique: repairing: call POST http://127.0.0.1:");
    wait_for("boutique: repair: success after");
    wait_for("boutique is healthy");
    assert_ne!(demo_server_of(process.id()), Some(first));
    // What people would be told comes a moment later.
    let told = messages.find(|line| line.as_ref().unwrap().contains("boutique was repaired"));
    assert!(told.is_some(), "the messages ended without it");
    let id = rustix::process::Pid::from_child(&process);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(process.wait().unwrap().success());
}
