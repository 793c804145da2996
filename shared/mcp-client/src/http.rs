//! Streamable HTTP: one client per target, and the few things that rmcp's own would do
//! differently.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use reqwest::Client;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::redirect::{Attempt, Policy};
use rmcp::model::ClientJsonRpcMessage;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::common::client_side_sse::BoxedSseResponse;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError,
    StreamableHttpPostResponse, StreamableHttpResponseLimits,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use secrecy::ExposeSecret as _;

use crate::resolver::SystemResolver;
use crate::{Fault, MAX_MESSAGE_BYTES, Url};

/// Connections that idle longer are not used again: between two checks a firewall may have
/// forgotten them, and the next request would hang for no fault of the server.
const IDLE: Duration = Duration::from_secs(20);
/// How many redirects are followed, all within the origin.
const MAX_REDIRECTS: usize = 5;
/// What is read of an error's body.
const MAX_ERROR_BYTES: usize = 16 * 1024;
/// A server may ask us to wait this long and no longer.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

type Headers = HashMap<HeaderName, HeaderValue>;
type HttpResult<T> = Result<T, StreamableHttpError<reqwest::Error>>;

/// The client as rmcp uses it, without the standing stream that the older revisions let a server
/// push on: a probe wants no news, and it would hold a connection for every target.
#[derive(Debug, Clone)]
pub(crate) struct Quiet(Client);

/// A client for one target.
///
/// # Errors
/// When the platform's certificates cannot be read.
pub(crate) fn client(url: &Url, resolver: SystemResolver) -> Result<Client, Fault> {
    let ours = |error: &dyn std::fmt::Display| Fault::OurSide(format!("TLS: {error}"));
    let is_https = url.url.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"));
    let tls = tls(is_https).map_err(|error| ours(&error))?;
    Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(tls)
        .dns_resolver(resolver)
        .redirect(Policy::custom(within_origin))
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(2)
        .user_agent(concat!("mcpmon/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| ours(&error))
}

/// The transport of one session.
pub(crate) fn transport(client: Client, url: &Url) -> StreamableHttpClientTransport<Quiet> {
    let mut config = StreamableHttpClientTransportConfig::with_uri(url.url.as_str())
        .max_json_response_size(MAX_MESSAGE_BYTES)
        .max_sse_event_size(MAX_MESSAGE_BYTES)
        .max_error_response_size(MAX_ERROR_BYTES);
    if let Some(token) = &url.token {
        config = config.auth_header(token.expose_secret());
    }
    StreamableHttpClientTransport::with_client(Quiet(client), config)
}

/// What `Retry-After` says: seconds, or a date.
pub(crate) fn retry_after(text: &str) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let then = httpdate::parse_http_date(text).ok()?;
            then.duration_since(SystemTime::now()).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// Only within the origin, or the token would leave it, and only what keeps the request whole.
fn within_origin(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let keeps_method = matches!(attempt.status().as_u16(), 307 | 308);
    let is_same = attempt.previous().first().is_some_and(|first| {
        let to = attempt.url();
        (first.scheme(), first.host_str(), first.port_or_known_default())
            == (to.scheme(), to.host_str(), to.port_or_known_default())
    });
    if keeps_method && is_same && attempt.previous().len() <= MAX_REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// The platform's trust store, loaded once for the process; without HTTPS it is not, so that a
/// container without one can be used.
fn tls(is_https: bool) -> Result<ClientConfig, rustls::Error> {
    static TRUSTING: OnceLock<ClientConfig> = OnceLock::new();
    if !is_https {
        return load(false);
    }
    if let Some(config) = TRUSTING.get() {
        return Ok(config.clone());
    }
    // Only what works is kept.
    let config = load(true)?;
    Ok(TRUSTING.get_or_init(|| config).clone())
}

fn load(is_https: bool) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = if is_https {
        builder.with_platform_verifier()?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}

impl StreamableHttpClient for Quiet {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> HttpResult<StreamableHttpPostResponse> {
        self.0.post_message(uri, message, session_id, auth_header, custom_headers).await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> HttpResult<StreamableHttpPostResponse> {
        self.0
            .post_message_with_response_limits(
                uri,
                message,
                session_id,
                auth_header,
                custom_headers,
                limits,
            )
            .await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> HttpResult<()> {
        self.0.delete_session(uri, session_id, auth_header, custom_headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> HttpResult<BoxedSseResponse> {
        self.get_stream_with_max_sse_event_size(
            uri,
            session_id,
            last_event_id,
            auth_header,
            custom_headers,
            MAX_MESSAGE_BYTES,
        )
        .await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
        max_sse_event_size: usize,
    ) -> HttpResult<BoxedSseResponse> {
        // With an event's id it is the rest of an answer, which we do want.
        if last_event_id.is_none() {
            return Err(StreamableHttpError::ServerDoesNotSupportSse);
        }
        self.0
            .get_stream_with_max_sse_event_size(
                uri,
                session_id,
                last_event_id,
                auth_header,
                custom_headers,
                max_sse_event_size,
            )
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trust_store_is_loaded_once() {
        let [first, second] = [tls(true).unwrap(), tls(true).unwrap()];
        assert!(Arc::ptr_eq(first.crypto_provider(), second.crypto_provider()));
        let plain = tls(false).unwrap();
        assert!(!Arc::ptr_eq(first.crypto_provider(), plain.crypto_provider()));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("99999999999"), Some(LONGEST_WAIT));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
        let wait = retry_after(&soon).unwrap();
        assert!(wait > Duration::from_secs(3000) && wait < Duration::from_secs(3601), "{wait:?}");
        assert_eq!(retry_after("soon"), None);
        assert_eq!(retry_after("-1"), None);
    }
}
