//! The program as a process of its own, and its configuration.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use mcpmon_testkit::http_script::{Answer, HttpScript};
use mcpmon_testkit::program::{Program, Reply};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mcp-remediation");

/// A configuration in a folder of its own, with a port that is free.
pub(crate) struct Setup {
    folder: TempDir,
    pub(crate) port: u16,
    /// The monitor, which finds everything broken.
    monitor: HttpScript,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) said: String,
    pub(crate) error: String,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let monitor = HttpScript::start(|_| {
            Answer::status(200, r#"{"outcome":{"fail":"timeout"},"error":"gone"}"#)
        });
        let setup = Self { folder: tempfile::tempdir().unwrap(), port, monitor };
        setup.write("approve");
        setup
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("remediation.toml")
    }

    /// Writes the configuration, whose one rule has this mode.
    pub(crate) fn write(&self, mode: &str) {
        let (port, monitor) = (self.port, self.monitor.url());
        let folder = self.folder.path().display();
        let text = format!(
            r#"
            [coordination]
            backend = "memory"
            state_dir = "{folder}/state"
            [remediation]
            port = {port}
            lease_seconds = 0.3
            read_token = "reader-0123456789abcdef"
            operate_token = "operator-0123456789abcdef"
            webhook_token = "alerter-0123456789abcdef"
            monitor.url = "{monitor}"
            [remediation.targets.shop]
            kind = "docker"
            container = "shop-api-1"
            [remediation.rules.shop]
            component = "shop"
            failures = ["timeout"]
            ladder = ["shop"]
            mode = "{mode}"
            "#
        );
        fs::write(self.file(), text).unwrap();
    }

    /// Runs it to its end with these arguments behind `--config FILE`.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Done {
        let file = self.file();
        let config = ["--config", file.to_str().unwrap()];
        self.bare(&[&config[..], arguments].concat(), input)
    }

    /// Runs it to its end, with nothing in its environment.
    pub(crate) fn bare(&self, arguments: &[&str], input: &str) -> Done {
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .env_clear()
            .env("XDG_STATE_HOME", self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // One that needs no input may have ended.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let tidy = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace(self.folder.path().to_str().unwrap(), "FOLDER")
                .replace(&self.port.to_string(), "PORT")
        };
        Done {
            code: output.status.code().unwrap(),
            said: tidy(output.stdout),
            error: tidy(output.stderr),
        }
    }

    pub(crate) fn start(&self) -> Program {
        let mut command = Command::new(PROGRAM);
        command.arg("--config").arg(self.file()).env_clear();
        Program::start(&mut command, &self.folder.path().join("log"))
    }
}

/// Asks the service over HTTP.
pub(crate) fn ask(service: &Program, method: &str, path: &str, token: &str, body: &str) -> Reply {
    service.ask(method, path, &format!("{token}-0123456789abcdef"), body).unwrap()
}

pub(crate) fn metrics(service: &Program) -> String {
    let reply = ask(service, "GET", "/metrics", "reader", "");
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body
}
