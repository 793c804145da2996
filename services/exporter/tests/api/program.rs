//! The command line: arguments, exit codes, messages.

use std::net::TcpListener;

use crate::support::{Program, get, run};

fn testdata(file: &str) -> String {
    format!("{}/tests/testdata/{file}", env!("CARGO_MANIFEST_DIR"))
}

/// The exit code and what it said on standard error.
fn told(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = run(arguments, environment);
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn asking_for_health_tells_whether_it_is_ready() {
    let program = Program::start(&[]);
    let port = program.address.port().to_string();
    assert_eq!(told(&["--health"], &[("METRICS_PORT", &port)]), (Some(0), String::new()));
    drop(program);
    let (code, error) = told(&["--health"], &[("METRICS_PORT", &port)]);
    assert_eq!(code, Some(70));
    let silent = format!("error: no answer from http://127.0.0.1:{port}/health/ready: ");
    assert!(error.starts_with(&silent), "{error}");
}

#[tokio::test]
async fn metrics_port_sets_the_port() {
    // Port 0 of `Program::start` is set by METRICS_PORT.
    let program = Program::start(&[("exporter.port", "1")]);
    assert_eq!(program.send(get("/health/ready")).await.status, 200);
}

#[test]
fn help_and_version_end_well() {
    for flag in ["--help", "--version"] {
        let output = run(&[flag], &[]);
        assert_eq!(output.status.code(), Some(0));
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn an_unknown_flag_is_bad_usage() {
    let (code, error) = told(&["--prot", "1"], &[]);
    assert_eq!(code, Some(64));
    insta::assert_snapshot!(error, @r#"
error: unexpected argument '--prot' found

Usage: mcp-exporter [OPTIONS]

For more information, try '--help'.
"#);
    assert_eq!(told(&["serve"], &[]).0, Some(64));
}

#[test]
fn checking_a_configuration_starts_nothing() {
    let good = testdata("good.toml");
    assert_eq!(told(&["--check-config", "--config", &good], &[]), (Some(0), String::new()));
    assert_eq!(told(&["--check-config"], &[]), (Some(0), String::new()));
}

#[test]
fn three_errors_are_three_lines() {
    let file = testdata("three_errors.toml");
    let (code, error) = told(&["--config", &file], &[]);
    assert_eq!(code, Some(64));
    insta::assert_snapshot!(error.replace(&file, "FILE"), @r#"
error: the configuration has 3 errors:
  exporter.port = 90900 in FILE: expected a whole number from 0 to 65535 [env: MCPMON__EXPORTER__PORT]
  exporter.keep_error_text = "yes" in FILE: expected true or false [env: MCPMON__EXPORTER__KEEP_ERROR_TEXT]
  exporter.worker in FILE: no such key; did you mean exporter.workers? [env: MCPMON__EXPORTER__WORKERS]
"#);
    assert_eq!(told(&["--check-config", "--config", &file], &[]), (Some(64), error));
}

#[test]
fn a_configuration_that_cannot_be_read_is_told() {
    let (code, error) = told(&["--config", "/nowhere/exporter.toml"], &[]);
    assert_eq!(code, Some(64));
    insta::assert_snapshot!(error, @r#"
error: the configuration has 1 error:
  /nowhere/exporter.toml: the file cannot be read: No such file or directory (os error 2)
"#);
    let folder = tempfile::tempdir().unwrap();
    let (code, error) = told(&["--config", folder.path().to_str().unwrap()], &[]);
    assert_eq!(code, Some(64));
    assert!(error.contains("the file cannot be read: Is a directory"), "{error}");
}

#[test]
fn a_variable_is_named_as_the_user_knows_it() {
    let (code, error) = told(&["--check-config"], &[("METRICS_PORT", "http")]);
    assert_eq!(code, Some(64));
    insta::assert_snapshot!(error, @r#"
error: the configuration has 1 error:
  exporter.port = "http" in METRICS_PORT: expected a whole number from 0 to 65535 [env: MCPMON__EXPORTER__PORT]
"#);
}

#[test]
fn a_port_in_use_is_told_with_the_remedy() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let (code, error) = told(&[], &[("METRICS_PORT", &port)]);
    assert_eq!(code, Some(70));
    insta::assert_snapshot!(error.replace(&port, "PORT"), @"error: cannot listen on 127.0.0.1:PORT: Address already in use (os error 98); `ss -ltnp 'sport = :PORT'` shows who holds the port; exporter.port (MCPMON__EXPORTER__PORT) chooses another");
}

#[test]
fn tokens_are_in_no_message() {
    let (code, error) = told(
        &["--check-config"],
        &[("MCPMON__EXPORTER__READ_TOKEN", "s3cret"), ("MCPMON__EXPORTER__PORT", "x")],
    );
    assert_eq!(code, Some(64));
    assert!(!error.contains("s3cret"), "{error}");
}
