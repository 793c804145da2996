//! `mcp-tap wrap` on files as clients have them, up to a client that starts what it wrote.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;

const CLAUDE: &str = r#"{
  "mcpServers": {
    "shell": {
      "command": "sh",
      "args": [
        "-c",
        "read -r line; echo \"$KEPT $line\""
      ],
      "env": {"KEPT": "yes"}
    },
    "remote": {"url": "https://mcp.example/mcp"}
  },
  "globalShortcut": "Ctrl+Space"
}"#;

const VSCODE: &str = "{\n\t// mine\n\t\"servers\": {\n\t\t\"cat\": {\"type\": \"stdio\", \"command\": \"cat\"},\n\t},\n}\n";

/// `mcp-tap wrap` in a home of its own.
fn wrap(home: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = bare();
    command.arg("wrap").args(arguments).env("HOME", home).env_remove("XDG_CONFIG_HOME");
    let output = run(command);
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

fn put(home: &Path, file: &str, text: &str) -> std::path::PathBuf {
    let file = home.join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, text).unwrap();
    file
}

/// Where Claude Desktop and VS Code keep their settings.
const SETTINGS: &str =
    if cfg!(target_os = "macos") { "Library/Application Support" } else { ".config" };

#[test]
fn a_client_starts_the_tap_in_front_of_its_server_and_undoing_gives_every_byte_back() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let claude = put(home, &format!("{SETTINGS}/Claude/claude_desktop_config.json"), CLAUDE);
    let code = put(home, &format!("{SETTINGS}/Code/User/mcp.json"), VSCODE);
    let read = |file: &Path| fs::read_to_string(file).unwrap();

    let (exit, said) = wrap(home, &["--dry-run", "--exporter", &nobody()]);
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("+        \"--server=shell\",") && said.contains("--dry-run"), "{said}");
    assert_eq!((read(&claude), read(&code)), (CLAUDE.into(), VSCODE.into()));

    let exporter = nobody();
    let (exit, said) = wrap(home, &["--exporter", &exporter]);
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("shell: behind the tap"), "{said}");
    let advice = format!(
        "Run `mcp-tap --server remote --exporter {exporter} --listen 127.0.0.1:8080 \
         --upstream https://mcp.example/mcp`"
    );
    assert!(said.contains(&advice), "{said}");
    assert!(!said.contains("KEPT\": "), "what is not changed is not shown: {said}");
    let wrapped: Value = serde_json::from_str(&read(&claude)).unwrap();
    let server = &wrapped["mcpServers"]["shell"];
    assert_eq!(server["command"], env!("CARGO_BIN_EXE_mcp-tap"));
    assert!(read(&code).contains("// mine"));

    // As a client would.
    let mut client = bare();
    client.env("KEPT", server["env"]["KEPT"].as_str().unwrap());
    client.args(server["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()));
    assert_eq!(text(&converse(client, b"hello\n".into()).stdout), "yes hello\n");

    let (before, (exit, said)) = (read(&claude), wrap(home, &[]));
    assert_eq!((exit, read(&claude)), (Some(0), before), "{said}");
    assert!(said.contains("shell: has the tap already"), "{said}");

    let (exit, said) = wrap(home, &["--undo"]);
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!((read(&claude), read(&code)), (CLAUDE.into(), VSCODE.into()));
    assert_eq!(fs::read_dir(claude.parent().unwrap()).unwrap().count(), 1, "no backup is left");
}

#[test]
fn what_was_changed_since_stays() {
    let home = tempfile::tempdir().unwrap();
    let file = put(home.path(), ".cursor/mcp.json", CLAUDE);
    assert_eq!(wrap(home.path(), &["--client", "cursor"]).0, Some(0));
    let edited = fs::read_to_string(&file).unwrap().replace("Ctrl+Space", "F12");
    fs::write(&file, edited).unwrap();
    let (exit, said) = wrap(home.path(), &["--client", "cursor", "--undo"]);
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), CLAUDE.replace("Ctrl+Space", "F12"));
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 2, "the backup stays");
}

#[test]
fn a_link_stays_a_link() {
    let home = tempfile::tempdir().unwrap();
    let real = put(home.path(), "dotfiles/mcp.json", VSCODE);
    let link = home.path().join("mcp.json");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let (exit, said) = wrap(home.path(), &["--file", link.to_str().unwrap()]);
    assert_eq!(exit, Some(0), "{said}");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&real).unwrap().contains("--server=cat"));
}

#[test]
fn what_is_no_configuration_is_refused_and_left() {
    let home = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str], words: &str| {
        let (exit, said) = wrap(home.path(), arguments);
        assert_eq!(exit, Some(64), "{said}");
        assert!(said.contains(words), "{said}");
    };
    refused(&[], "expected --file FILE");
    refused(&["--client", "emacs"], "claude-code");
    refused(&["--exporter", "ftp://x"], "expected http://");
    refused(&["--undo", "--exporter", "http://x"], "cannot be used with");
    refused(&["--file", "/nonexistent/mcp.json"], "/nonexistent/mcp.json was not changed");
    let broken = put(home.path(), "mcp.json", "{\n  mcpServers: {}\n}");
    refused(&["--file", broken.to_str().unwrap()], "line 2, column 3: expected a key in quotes");
    assert_eq!(fs::read_to_string(&broken).unwrap(), "{\n  mcpServers: {}\n}");
}
