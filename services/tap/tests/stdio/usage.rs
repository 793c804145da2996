//! Wrong usage and servers that do not start: the code and the words.

use super::*;

fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = bare();
    command.args(arguments);
    let output = run(command);
    assert_eq!(output.stdout, b"");
    (output.status.code(), text(&output.stderr))
}

#[test]
fn wrong_usage_ends_with_64() {
    let cases: [(&[&str], &str); 6] = [
        (&[], "<COMMAND>"),
        (&["--nope", "--", "cat"], "--nope"),
        (&["--exporter", "ftp://x", "--", "cat"], "ftp://x"),
        (&["--server", "a\nb", "--", "cat"], "control character"),
        (&["--config", "/nonexistent/tap.toml", "--", "cat"], "/nonexistent/tap.toml"),
        (&["--token-file", "/nonexistent/token", "--", "cat"], "/nonexistent/token"),
    ];
    for (arguments, words) in cases {
        let (code, said) = refused(arguments);
        assert_eq!(code, Some(64), "{arguments:?}: {said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for (flag, words) in [("--help", "MCP_EXPORTER_URL"), ("--version", "mcp-tap")] {
        let mut command = bare();
        command.arg(flag);
        let output = run(command);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains(words));
    }
}

#[test]
fn a_command_that_is_not_there_ends_with_127() {
    let (code, said) = refused(&["--", "no-such-mcp-server"]);
    assert_eq!(code, Some(127));
    assert!(said.contains("cannot run `no-such-mcp-server`: no such program"), "{said}");
}

#[test]
fn a_command_that_cannot_be_executed_ends_with_126() {
    let (code, said) = refused(&["--", "/dev/null"]);
    assert_eq!(code, Some(126));
    assert!(said.contains("cannot run `/dev/null`: it cannot be executed"), "{said}");
}
