//! One client of the demo: connects, lists the tools, calls them, and comes back when the
//! server was away.

use std::sync::Arc;
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::model::{CallToolResult, ProtocolVersion};
use rmcp::service::{
    ClientCacheConfig, ClientInitializeError, ClientLifecycleMode, ClientServiceExt, Peer,
    RunningService, ServiceError,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::mix::{Call, Mix};
use super::{Totals, Traffic};

/// rmcp's client waits for a connection without a limit of its own.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a session may take to say goodbye.
const CLOSE: Duration = Duration::from_secs(1);

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Tokens that the boutique refuses, each for a reason of its own.
const BAD_TOKENS: [&str; 4] =
    ["", "boutique-demo-expired", "boutique-demo-newsletter", "found-on-the-street"];

/// Which handshake a client opens with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Era {
    /// `initialize`, and a session.
    Legacy,
    /// `server/discover` first; no session.
    Auto,
}

/// Who connects, and what for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) era: Era,
    /// How many calls it makes at the same time.
    pub(super) workers: u64,
    /// Makes a worker's mix from a seed and the pace.
    pub(super) mix: fn(u64, f64) -> Mix,
}

type Client = RunningService<RoleClient, ()>;

/// Keeps one session going until `stop`.
pub(super) async fn keep(
    plan: Plan,
    traffic: Traffic,
    totals: Arc<Totals>,
    stop: CancellationToken,
) {
    let mut wait = FIRST_WAIT;
    while !stop.is_cancelled() {
        let Some(connected) = stop.run_until_cancelled(connect(&traffic.url, plan.era)).await
        else {
            return;
        };
        match connected {
            Ok(mut client) => {
                wait = FIRST_WAIT;
                work(&client, plan, &traffic, &totals, &stop).await;
                // The session is over either way; a server that is gone cannot be told.
                let _ = client.close_with_timeout(CLOSE).await;
            }
            Err(error) => {
                totals.lost();
                tracing::debug!(session = plan.name, %error, "the server is away");
            }
        }
        stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Knocks with bad tokens until `stop`, and expects to be refused.
pub(super) async fn knock(traffic: Traffic, totals: Arc<Totals>, stop: CancellationToken) {
    for token in BAD_TOKENS.iter().cycle() {
        let config = StreamableHttpClientTransportConfig::with_uri(Arc::clone(&traffic.url))
            .auth_header(*token);
        let attempt = async {
            match open(config, ClientLifecycleMode::Initialize).await {
                Err(ConnectError::Initialize(error)) if error.auth_challenge().is_some() => {
                    totals.refused();
                }
                Err(_) => totals.lost(),
                Ok(_) => tracing::error!("the boutique let in who should not come in"),
            }
            tokio::time::sleep(Duration::from_millis(2_500).mul_f64(traffic.pace)).await;
        };
        if stop.run_until_cancelled(attempt).await.is_none() {
            return;
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error(transparent)]
    Initialize(#[from] Box<ClientInitializeError>),
    #[error("no connection within {CONNECT:?}")]
    Timeout,
    #[error("cannot list the tools")]
    List(#[from] ServiceError),
    #[error("cannot set up an HTTP client")]
    Client(#[from] reqwest::Error),
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

async fn connect(url: &Arc<str>, era: Era) -> Result<Client, ConnectError> {
    let lifecycle = match era {
        Era::Legacy => ClientLifecycleMode::Initialize,
        Era::Auto => ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: None,
        },
    };
    let client =
        open(StreamableHttpClientTransportConfig::with_uri(Arc::clone(url)), lifecycle).await?;
    // With the cache, tools/list may succeed against a server that is dead.
    client.set_response_cache_config(ClientCacheConfig::disabled()).await;
    client.list_all_tools().await?;
    Ok(client)
}

async fn open(
    config: StreamableHttpClientTransportConfig,
    lifecycle: ClientLifecycleMode,
) -> Result<Client, ConnectError> {
    let transport = StreamableHttpClientTransport::with_client(plain_http()?, config);
    tokio::time::timeout(CONNECT, ().serve_with_lifecycle(transport, lifecycle))
        .await
        .map_err(|_| ConnectError::Timeout)?
        .map_err(|error| Box::new(error).into())
}

/// A client without certificates: the demo's servers speak HTTP. Left to itself, reqwest would
/// want a TLS provider for the whole process.
fn plain_http() -> Result<reqwest::Client, ConnectError> {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Ok(reqwest::Client::builder().tls_backend_preconfigured(tls).build()?)
}

/// Lets the plan's workers call until one of them loses the server, or `stop`.
async fn work(
    client: &Client,
    plan: Plan,
    traffic: &Traffic,
    totals: &Arc<Totals>,
    stop: &CancellationToken,
) {
    let over = stop.child_token();
    let mut workers = JoinSet::new();
    for worker in 0..plan.workers {
        let mix = (plan.mix)(traffic.seed.wrapping_add(worker), traffic.pace);
        workers.spawn(call_on(client.peer().clone(), mix, Arc::clone(totals), over.clone()));
    }
    while workers.join_next().await.is_some() {
        over.cancel();
    }
}

/// Calls one tool after the other. Returns when the server is lost or `over` is cancelled.
async fn call_on(
    peer: Peer<RoleClient>,
    mut mix: Mix,
    totals: Arc<Totals>,
    over: CancellationToken,
) {
    loop {
        match over.run_until_cancelled(reply(&peer, mix.call())).await {
            Some(Some(Ok(result))) => totals.answered(result.is_error == Some(true)),
            Some(Some(Err(ServiceError::McpError(_)))) => totals.answered(true),
            Some(Some(Err(error))) => {
                totals.lost();
                tracing::debug!(%error, "the server is gone");
                return;
            }
            Some(None) => totals.cancelled(),
            None => return totals.cancelled(),
        }
        if over.run_until_cancelled(tokio::time::sleep(mix.pause())).await.is_none() {
            return;
        }
    }
}

/// The reply to `call`; none when patience ran out. A call whose future is dropped is cancelled
/// at the server too: rmcp sends the notification or closes the stream.
async fn reply(
    peer: &Peer<RoleClient>,
    call: Call,
) -> Option<Result<CallToolResult, ServiceError>> {
    let reply = peer.call_tool(call.request);
    match call.patience {
        Some(patience) => tokio::time::timeout(patience, reply).await.ok(),
        None => Some(reply.await),
    }
}
