//! The program as a process of its own, and its configuration.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use mcpmon_testkit::http_script::{Answer, HttpScript};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::Instant;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mcp-remediation");
const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration in a folder of its own, with a port that is free.
pub(crate) struct Setup {
    folder: TempDir,
    pub(crate) port: u16,
    /// The monitor, which finds everything broken.
    monitor: HttpScript,
}

/// A running service. It is killed when it is dropped.
pub(crate) struct Service {
    child: Child,
    log: PathBuf,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) said: String,
    pub(crate) error: String,
}

/// Asks until there is an answer; nothing tells when another process has changed.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(25));
    }
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

    pub(crate) fn start(&self) -> Service {
        let log = self.folder.path().join("log");
        let mut child = Command::new(PROGRAM)
            .arg("--config")
            .arg(self.file())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log_text = || fs::read_to_string(&log).unwrap();
        assert!(line.starts_with("listening on http://127.0.0.1:"), "{line}{}", log_text());
        Service { child, log }
    }

    /// Asks the service over HTTP, and gives status and body.
    pub(crate) fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
        use std::io::Read as _;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             authorization: Bearer {token}-0123456789abcdef\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    pub(crate) fn metrics(&self) -> String {
        let (status, text) = self.ask("GET", "/metrics", "reader", "");
        assert_eq!(status, 200, "{text}");
        text
    }
}

impl Service {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Asks it to stop, and waits until it has.
    #[track_caller]
    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        until("its end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
