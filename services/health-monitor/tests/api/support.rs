//! What the tests start and how they speak to it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use mcp_health_monitor::{Application, Config, SECTIONS};
use mcpmon_bootstrap::settings::environment_name;
use mcpmon_bootstrap::{Settings, Sources};
use mcpmon_testkit::http_script::{Answer, HttpScript};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long a test waits for something that should happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The tokens of both scopes.
pub(crate) const TOKENS: [(&str, &str); 2] =
    [("health_monitor.read_token", "reader"), ("health_monitor.operate_token", "operator")];

/// A running monitor inside of the test, of two components: `api`, which answers well, and `dead`.
pub(crate) struct Monitor {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<io::Result<()>>,
    _reloads: mpsc::Sender<()>,
    _api: HttpScript,
    _dead: HttpScript,
    _state: TempDir,
}

/// A request to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// A reply as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

pub(crate) fn get(path: &str) -> Request {
    Request { method: "GET", path: path.to_owned(), headers: Vec::new(), body: String::new() }
}

/// A `POST` of JSON.
#[expect(clippy::needless_pass_by_value, reason = "a literal and a value are written alike")]
pub(crate) fn post(path: &str, body: impl ToString) -> Request {
    let request = Request { method: "POST", body: body.to_string(), ..get(path) };
    request.header("content-type", "application/json")
}

impl Request {
    pub(crate) fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What a problem says, after a look at its form.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status, "{self:?}");
        json["detail"].as_str().expect("a problem has a detail").to_owned()
    }
}

impl Monitor {
    /// Starts one on a free port; `config` holds keys and their texts.
    pub(crate) async fn start(config: &[(&str, &str)]) -> Self {
        let state = tempfile::tempdir().unwrap();
        let api = HttpScript::start(|_| Answer::status(200, "ready"));
        let dead = HttpScript::start(|_| Answer::status(503, "gone"));
        let folder = state.path().to_str().unwrap();
        let (api_url, dead_url) = (api.url(), dead.url());
        let own = [
            ("health_monitor.port", "0"),
            ("coordination.state_dir", folder),
            ("health_monitor.components.api.kind", "http"),
            ("health_monitor.components.api.url", &api_url),
            ("health_monitor.components.dead.kind", "http"),
            ("health_monitor.components.dead.url", &dead_url),
        ];
        let given = own.iter().chain(config);
        let environment = given.map(|(key, value)| (environment_name(key), (*value).to_owned()));
        let sources = Sources {
            environment: environment.collect(),
            sections: SECTIONS,
            ..Sources::default()
        };
        let application = Application::build(read(sources).unwrap()).unwrap();
        let address = application.address();
        let (stop, stopped) = oneshot::channel();
        let (reloads, reload) = mpsc::channel(1);
        let never = Box::new(|| panic!("nobody asks for a reload"));
        let running = tokio::spawn(application.run(never, reload, async { _ = stopped.await }));
        let monitor = Self {
            address,
            stop,
            running,
            _reloads: reloads,
            _api: api,
            _dead: dead,
            _state: state,
        };
        assert_eq!(monitor.send(get("/health/ready")).await.status, 200);
        monitor
    }

    /// Sends a request on a connection of its own.
    pub(crate) async fn send(&self, request: Request) -> Reply {
        timeout(PATIENCE, self.exchange(request)).await.expect("no reply")
    }

    async fn exchange(&self, request: Request) -> Reply {
        let Request { method, path, headers, body } = request;
        let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            text.push_str("host: localhost\r\n");
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that has heard enough answers before it has read all.
        let _ = stream.write_all(text.as_bytes()).await;
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply).await;
        let reply = String::from_utf8(reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").expect("a reply has a head");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// Asks until the report is as wanted, and gives it.
    pub(crate) async fn report_until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                let report = self.send(get("/api/v1/components").bearer("reader")).await.json();
                if wanted(&report) {
                    return report;
                }
                // Nothing tells when a check is over; asking is the only way to see it.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, asking).await.expect("the report is never as wanted")
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.running).await.expect("it never stops").unwrap().unwrap();
    }
}

/// The configuration as the program reads it.
pub(crate) fn read(sources: Sources) -> Result<Config, String> {
    let mut settings = Settings::load(sources).map_err(|errors| errors.to_string())?;
    let config = Config::read(&mut settings);
    mcpmon_bootstrap::logging::Logging::from_settings(&mut settings, "info");
    settings.finish().map_err(|errors| errors.to_string())?;
    Ok(config)
}

/// The configuration in that file.
pub(crate) fn read_file(file: &Path) -> Result<Config, String> {
    read(Sources { file: Some(file.to_owned()), sections: SECTIONS, ..Sources::default() })
}
