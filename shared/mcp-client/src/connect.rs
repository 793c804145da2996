//! Opens sessions with one target.

use std::pin::pin;
use std::time::Duration;

use rmcp::model::{ClientCapabilities, ClientConfig, Implementation, ProtocolVersion};
use rmcp::service::{
    ClientCacheConfig, ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _,
    RoleClient, RunningService,
};
use rmcp::transport::IntoTransport;
use rmcp::transport::async_rw::AsyncRwTransport;
use tokio::time::{Instant, timeout};

use crate::child::{Child, END_OF_CHILD};
use crate::fault::short;
use crate::resolver::{LookupError, SystemResolver, answers_for_others};
use crate::{Command, Fault, MAX_MESSAGE_BYTES, Session, Target, Url, http, sse_only};

/// The client's side of a session, as rmcp runs it.
pub(crate) type Service = RunningService<RoleClient, ClientConfig>;

/// The way to one target. It keeps its HTTP connections, whichever session uses them.
#[derive(Debug)]
pub struct Connector(Way);

#[derive(Debug)]
enum Way {
    Command(Command),
    Url(Url, reqwest::Client, SystemResolver),
}

impl Connector {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// [`Fault::OurSide`] when the platform's certificates cannot be read.
    pub fn new(target: Target) -> Result<Self, Fault> {
        let way = match target {
            Target::Command(command) => Way::Command(command),
            Target::Url(url) => {
                let resolver = SystemResolver::default();
                let client = http::client(&url, resolver.clone())?;
                Way::Url(url, client, resolver)
            }
        };
        Ok(Self(way))
    }

    /// Opens a session: starts the program or asks the address, and agrees on a revision, the
    /// modern one when the server speaks it.
    ///
    /// # Errors
    /// What went wrong within `time`. Nothing is left behind: a program that was started is
    /// killed.
    pub async fn open(&self, time: Duration) -> Result<Session, Fault> {
        let session = match &self.0 {
            Way::Command(command) => start(command, time).await?,
            Way::Url(url, client, resolver) => ask(url, client, resolver, time).await?,
        };
        let version = &session.server().protocol_version;
        if !ProtocolVersion::KNOWN_VERSIONS.iter().any(|known| known.as_str() == version) {
            return Err(Fault::ProtocolMismatch(format!("it insists on `{version}`")));
        }
        tracing::debug!(server = ?session.server(), "an MCP session is open");
        Ok(session)
    }
}

async fn start(command: &Command, time: Duration) -> Result<Session, Fault> {
    let (mut child, stdout, stdin) = Child::spawn(command)?;
    let transport =
        AsyncRwTransport::new_client(stdout, stdin).with_max_line_length(MAX_MESSAGE_BYTES);
    // A program's names are its own affair.
    let resolver = SystemResolver::default();
    match serve(transport, &resolver, time).await {
        Ok(service) => Ok(Session::new(service, Some(child), resolver)),
        Err(fault @ (Fault::NotMcp(_) | Fault::Other(_))) => {
            Err(child.ended(END_OF_CHILD).await.unwrap_or(fault))
        }
        Err(fault) => Err(fault),
    }
}

async fn ask(
    url: &Url,
    client: &reqwest::Client,
    resolver: &SystemResolver,
    time: Duration,
) -> Result<Session, Fault> {
    let until = Instant::now() + time;
    match serve(http::transport(client.clone(), url), resolver, time).await {
        Ok(service) => Ok(Session::new(service, None, resolver.clone())),
        // Neither revision of Streamable HTTP is known there; the one before may be.
        Err(fault @ Fault::Http(400..=499)) => {
            let left = until.saturating_duration_since(Instant::now());
            if sse_only::answers(client, url, left).await {
                return Err(Fault::UnsupportedTransport);
            }
            Err(fault)
        }
        Err(fault) => Err(fault),
    }
}

async fn serve<T, E, A>(
    transport: T,
    resolver: &SystemResolver,
    time: Duration,
) -> Result<Service, Fault>
where
    T: IntoTransport<RoleClient, E, A>,
    E: std::error::Error + Send + Sync + 'static,
{
    let client = Implementation::new("mcpmon", env!("CARGO_PKG_VERSION"));
    let config = ClientConfig::new(ClientCapabilities::default(), client)
        .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE);
    let lifecycle = ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
    };
    // rmcp itself waits for ever.
    let serving = config.serve_with_lifecycle(transport, lifecycle);
    let served: Result<Service, ClientInitializeError> =
        within(time, "the first request", resolver, serving).await?;
    let service = served.map_err(|error| Fault::of_opening(&error))?;
    // Or a listing would be answered from memory when the server is dead.
    service.set_response_cache_config(ClientCacheConfig::disabled()).await;
    Ok(service)
}

/// Waits for an answer. That a resolver does not answer in time is our own trouble.
pub(crate) async fn within<T>(
    time: Duration,
    asked: &'static str,
    resolver: &SystemResolver,
    answer: impl Future<Output = T>,
) -> Result<T, Fault> {
    let mut answer = pin!(answer);
    match timeout(time, &mut answer).await {
        Ok(answer) => Ok(answer),
        // Asked while whoever waits for the lookup is still there.
        Err(_) if resolver.is_looking() => {
            let name = resolver.name();
            if answers_for_others(&name).await {
                return Err(Fault::Dns(short(&LookupError::Unanswered(name).to_string())));
            }
            let seconds = time.as_secs_f64();
            Err(Fault::OurSide(format!(
                "this host's resolver did not answer within {seconds:.1} s"
            )))
        }
        Err(_) => Err(Fault::Timeout { asked, after: time }),
    }
}
