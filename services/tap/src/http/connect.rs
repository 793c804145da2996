//! A connection to the server, and what it means when there is none.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use mcpmon_metrics::Ending;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::body::Upload;
use super::upstream::Upstream;

/// How long the server may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends requests over one connection.
pub(super) type Sender = SendRequest<Upload>;

/// Why there is no response.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) ending: Ending<'static>,
    pub(super) cause: String,
}

/// The TLS settings for a server: ring, and the platform's trust store.
pub(super) fn tls() -> Result<TlsConnector, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Connects, and lets the connection run by itself.
pub(super) async fn connect(
    upstream: &Upstream,
    tls: Option<&TlsConnector>,
) -> Result<Sender, Fault> {
    let attempt = timeout(PATIENCE, open(upstream, tls)).await;
    attempt.unwrap_or_else(|_| {
        let cause = format!("no connection within {} s", PATIENCE.as_secs());
        Err(Fault { ending: Ending::Http(504), cause })
    })
}

async fn open(upstream: &Upstream, tls: Option<&TlsConnector>) -> Result<Sender, Fault> {
    let addresses: Vec<SocketAddr> = lookup_host((upstream.host.as_str(), upstream.port))
        .await
        .map_err(|error| Fault::new(Ending::Unresolved, &error))?
        .collect();
    let stream = TcpStream::connect(&*addresses).await.map_err(|error| {
        let ending = match error.kind() {
            ErrorKind::ConnectionRefused => Ending::Refused,
            ErrorKind::ConnectionReset => Ending::Reset,
            _ => Ending::Http(502),
        };
        Fault::new(ending, &error)
    })?;
    // Small messages that wait for answers: each has to go at once.
    stream.set_nodelay(true).map_err(|error| Fault::new(Ending::Reset, &error))?;
    let Some(tls) = tls else { return shake_hands(TokioIo::new(stream)).await };
    let name = ServerName::try_from(upstream.host.clone())
        .map_err(|error| Fault::new(Ending::Untrusted, &error))?;
    let stream = tls.connect(name, stream).await.map_err(|error| {
        let is_tls = error.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>);
        Fault::new(if is_tls { Ending::Untrusted } else { ending_of(&error) }, &error)
    })?;
    shake_hands(TokioIo::new(stream)).await
}

async fn shake_hands<I>(io: I) -> Result<Sender, Fault>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) =
        Builder::new().preserve_header_case(true).handshake(io).await.map_err(Fault::from)?;
    tokio::spawn(async move {
        // Whoever waits for a response or a body hears of it there.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the server broke");
        }
    });
    Ok(sender)
}

impl Fault {
    fn new(ending: Ending<'static>, error: &dyn Error) -> Self {
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            cause = format!("{cause}: {error}");
            source = error.source();
        }
        Self { ending, cause }
    }
}

impl From<hyper::Error> for Fault {
    fn from(error: hyper::Error) -> Self {
        Self::new(broken(&error), &error)
    }
}

/// How a call ends whose connection broke like this.
pub(super) fn broken(error: &hyper::Error) -> Ending<'static> {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match io {
        Some(error) => ending_of(error),
        // What it said was no HTTP.
        None if error.is_parse() => Ending::Http(502),
        None => Ending::Eof,
    }
}

fn ending_of(error: &io::Error) -> Ending<'static> {
    match error.kind() {
        ErrorKind::UnexpectedEof => Ending::Eof,
        _ => Ending::Reset,
    }
}
