//! Kind `docker`: restarts a container through its engine.
//!
//! Two requests are all it sends, so that a filter can stand before the engine:
//! `GET /v1.41/containers/NAME/json` and `POST /v1.41/containers/NAME/restart?t=SECONDS`.

mod state;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bollard::errors::Error;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::RestartContainerOptionsBuilder;
use bollard::{ClientVersion, Docker};
use mcpmon_bootstrap::settings::within;
use mcpmon_metrics::redact;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{Action, Keys, Order, Sight, Trouble, own_time};

const DEFAULT_ENGINE: &str = "unix:///var/run/docker.sock";
const EXPECTED_ENGINE: &str = "expected unix:///path/to/docker.sock or tcp://host:port";
/// Understood by every engine from 20.10 to 28; a later one says which it wants.
const API_MINOR: usize = 41;
/// How long a call that nobody answered keeps others from being made, in seconds. The engine may
/// still carry it out.
const LONGEST_CALL: u64 = 600;
/// What a restart takes besides the container's own end.
const START: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct Container {
    name: String,
    engine: Engine,
    stop_seconds: i32,
    act_on_stopped: bool,
    /// The minor version of the API that this engine understands.
    api: AtomicUsize,
    /// Held by the one call in flight, as long as nobody knows how it ended.
    in_flight: Arc<Mutex<()>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Engine {
    Socket(String),
    Address(String),
}

pub(super) fn read(keys: &mut Keys<'_>) -> Option<Box<dyn Action>> {
    let name = keys.required("container", "The container's name.", container_name);
    // The outer error shows the value, which must not happen when it may hold a password.
    let engine = keys.checked(
        "engine",
        DEFAULT_ENGINE.to_owned(),
        "Where its engine listens, such as `tcp://docker-filter:2375`.",
        |text: String| if text.contains('@') { Ok(None) } else { engine(&text).map(Some) },
    );
    if engine.is_none() {
        keys.reject("engine", format!("holds a user or a password; {EXPECTED_ENGINE}"));
    }
    let stop_seconds = keys.checked(
        "stop_seconds",
        10,
        "How long the container may take to end by itself before it is killed, in seconds.",
        within(0..=60),
    );
    let act_on_stopped = super::act_on_stopped(keys);
    Some(Box::new(Container {
        name: name?,
        engine: engine?,
        stop_seconds,
        act_on_stopped,
        api: AtomicUsize::new(API_MINOR),
        in_flight: Arc::default(),
    }))
}

fn container_name(text: String) -> Result<String, &'static str> {
    let mut bytes = text.bytes();
    let starts_well = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if !starts_well || text.len() < 2 || !bytes.all(is_plain) {
        return Err("expected the name of one container, such as devskyy-mcp: letters, digits, \
                    `_`, `.` and `-`");
    }
    if (12..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("looks like an id, which is another's after the container is made anew; \
                    expected the name of one container, such as devskyy-mcp");
    }
    Ok(text)
}

fn engine(text: &str) -> Result<Engine, &'static str> {
    if let Some(path) = text.strip_prefix("unix://") {
        let is_path = path.starts_with('/') && path.len() > 1 && !path.ends_with('/');
        return is_path.then(|| Engine::Socket(path.to_owned())).ok_or(EXPECTED_ENGINE);
    }
    let address = text.strip_prefix("tcp://").or_else(|| text.strip_prefix("http://"));
    let address = address.map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let is_address = |address: &&str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        address.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse().is_ok_and(|port: u16| port > 0)
        }) && address.chars().all(plain)
    };
    address
        .filter(is_address)
        .map(|address| Engine::Address(address.to_owned()))
        .ok_or(EXPECTED_ENGINE)
}

impl Container {
    /// A client for one call: it keeps no connections anyhow.
    fn client(&self, seconds: u64) -> Result<Docker, Error> {
        let minor_version = self.api.load(Ordering::Relaxed);
        let version = ClientVersion { major_version: 1, minor_version };
        let client = match &self.engine {
            Engine::Socket(path) => Docker::connect_with_unix(path, seconds, &version),
            Engine::Address(address) => Docker::connect_with_http(address, seconds, &version),
        }?;
        // bollard 0.21.1 loses the version on its way into the path; a filter wants it there.
        Ok(client.with_request_modifier(move |mut request| {
            let mut parts = request.uri().clone().into_parts();
            let path =
                parts.path_and_query.as_ref().filter(|path| !path.as_str().starts_with("/v"));
            if let Some(path) =
                path.and_then(|path| format!("/v1.{minor_version}{path}").parse().ok())
            {
                parts.path_and_query = Some(path);
                if let Ok(uri) = parts.try_into() {
                    *request.uri_mut() = uri;
                }
            }
            request
        }))
    }

    async fn inspect(&self) -> Result<ContainerInspectResponse, Trouble> {
        let ask = async || self.client(LONGEST_CALL)?.inspect_container(&self.name, None).await;
        let mut answer = ask().await;
        if let Some(minor) = answer.as_ref().err().and_then(wanted_version) {
            self.api.store(minor, Ordering::Relaxed);
            answer = ask().await;
        }
        answer.map_err(|error| self.trouble(&error, false))
    }

    /// What an error says. `was_asked_to_act` is whether something may have been done.
    fn trouble(&self, error: &Error, was_asked_to_act: bool) -> Trouble {
        let text = redact::message(&format!("container {}: {error}", self.name));
        let unclear = if was_asked_to_act { Trouble::Unknown } else { Trouble::Refused };
        match error {
            Error::DockerResponseServerError { status_code, .. } => match status_code {
                404 => Trouble::Absent(text),
                // 503 comes from a filter that did not reach the engine.
                400 | 401 | 403 | 405 | 503 => Trouble::Refused(text),
                // And these from one that the engine did not answer.
                502 | 504 => unclear(text),
                _ => Trouble::Failed(text),
            },
            Error::SocketNotFoundError(_) => Trouble::Refused(text),
            Error::HyperLegacyError { err } if err.is_connect() => Trouble::Refused(text),
            Error::RequestTimeoutError => Trouble::Unknown(text),
            _ => unclear(text),
        }
    }

    fn silence(&self, deadline: Duration) -> Trouble {
        let seconds = deadline.as_secs_f64();
        Trouble::Unknown(format!("container {}: no answer within {seconds} s", self.name))
    }
}

/// The least version of the API that an engine takes, out of its refusal of ours.
fn wanted_version(error: &Error) -> Option<usize> {
    let Error::DockerResponseServerError { status_code: 400, message } = error else { return None };
    let (_, rest) = message.split_once("Minimum supported API version is 1.")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[async_trait]
impl Action for Container {
    fn describe(&self) -> String {
        format!("restart container {}", self.name)
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    async fn look(&self, deadline: Duration) -> Result<Sight, Trouble> {
        let answer = timeout(own_time(deadline), self.inspect()).await;
        let found = answer.map_err(|_| self.silence(deadline))??;
        // An engine takes what is nobody's name for the beginning of an id.
        let name = found.name.as_deref().unwrap_or_default();
        if name.trim_start_matches('/') != self.name {
            return Err(Trouble::Absent(format!("container {}", self.name)));
        }
        state::sight(&found, self.act_on_stopped, state::now()).ok_or_else(|| {
            Trouble::Refused(format!("container {}: the engine tells no state", self.name))
        })
    }

    async fn act(&self, _: &Order, deadline: Duration) -> Result<(), Trouble> {
        let Ok(in_flight) = Arc::clone(&self.in_flight).try_lock_owned() else {
            let text = format!("container {}: an earlier call has not been answered", self.name);
            return Err(Trouble::Refused(text));
        };
        let limit = own_time(deadline);
        // A stop that outlasts the deadline would leave an end that nobody knows.
        let longest = i32::try_from(limit.saturating_sub(START).as_secs()).unwrap_or(i32::MAX);
        let seconds = self.stop_seconds.min(longest);
        let client = self.client(LONGEST_CALL).map_err(|error| self.trouble(&error, false))?;
        let name = self.name.clone();
        // The call goes on when nobody waits for it, and keeps the next one out.
        let call = tokio::spawn(async move {
            let options = RestartContainerOptionsBuilder::new().t(seconds).build();
            let answer = client.restart_container(&name, Some(options)).await;
            drop(in_flight);
            answer
        });
        match timeout(limit, call).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(self.trouble(&error, true)),
            Ok(Err(lost)) => Err(Trouble::Unknown(format!("container {}: {lost}", self.name))),
            Err(_) => Err(self.silence(deadline)),
        }
    }
}
