//! One POST to the exporter, and what its answer means for the batch.

use std::error::Error;
use std::time::Duration;

use hyper::body::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;

use super::backoff;
use super::token::Token;
use crate::error::SdkError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest reply that is read: a rejection of every event of the largest batch (1,000) fits
/// with up to 4 KiB for each. A larger reply counts as one without rejections.
const MAX_REPLY_BYTES: usize = 4 * 1024 * 1024;

/// The way to one exporter.
#[derive(Debug)]
pub(crate) struct Exporter {
    client: Client,
    url: Url,
    token: Option<Token>,
}

/// The exporter's word on a batch.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The exporter has it. It may have refused single events.
    Accepted(Vec<Rejected>),
    /// The batch is too large as a whole.
    TooLarge,
    /// The exporter will never take it.
    Refused(StatusCode),
}

/// No word on the batch: it is to be tried again.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) cause: String,
    /// The wait that the exporter asked for.
    pub(crate) after: Option<Duration>,
}

/// One event of an accepted batch that was not taken.
#[derive(Debug, Deserialize)]
pub(crate) struct Rejected {
    pub(crate) index: usize,
    pub(crate) error: String,
}

#[derive(Debug, Default, Deserialize)]
struct Reply {
    #[serde(default)]
    rejected: Vec<Rejected>,
}

impl Exporter {
    pub(crate) fn new(
        base: &str,
        token: Option<Token>,
        timeout: Duration,
    ) -> Result<Self, SdkError> {
        let url = events_url(base)?;
        let builder = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .pool_max_idle_per_host(1)
            .user_agent(concat!("mcpmon-sdk/", env!("CARGO_PKG_VERSION")));
        let client = build(builder, url.scheme() == "https")?;
        Ok(Self { client, url, token })
    }

    /// Posts a batch. A refused token is read again once, in case it was rotated.
    pub(crate) async fn post(&mut self, key: &str, body: Bytes) -> Result<Verdict, Failure> {
        let attempt = self.attempt(key, body.clone()).await;
        let refused = matches!(attempt, Ok(Verdict::Refused(StatusCode::UNAUTHORIZED)));
        if refused && self.token.as_mut().is_some_and(Token::reload) {
            return self.attempt(key, body).await;
        }
        attempt
    }

    async fn attempt(&self, key: &str, body: Bytes) -> Result<Verdict, Failure> {
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", key)
            .body(body);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.header());
        }
        match request.send().await {
            Ok(response) => judge(response).await,
            Err(error) => Err(Failure { cause: chain(&error.without_url()), after: None }),
        }
    }
}

async fn judge(response: Response) -> Result<Verdict, Failure> {
    let status = response.status();
    match status {
        _ if status.is_success() => Ok(Verdict::Accepted(rejected(response).await)),
        _ if status.is_server_error() => Err(failure(&response)),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(failure(&response)),
        StatusCode::PAYLOAD_TOO_LARGE => Ok(Verdict::TooLarge),
        _ => Ok(Verdict::Refused(status)),
    }
}

fn failure(response: &Response) -> Failure {
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Failure {
        cause: format!("HTTP {}", response.status()),
        after: after.and_then(backoff::retry_after),
    }
}

/// The status alone acknowledges the batch; a reply that cannot be read changes nothing.
async fn rejected(mut response: Response) -> Vec<Rejected> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        if body.len() + chunk.len() > MAX_REPLY_BYTES {
            return Vec::new();
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice::<Reply>(&body).unwrap_or_default().rejected
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// `<base>/v1/events`.
fn events_url(base: &str) -> Result<Url, SdkError> {
    let wrong =
        |reason: String| SdkError::ExporterUrl { value: crate::redact::message(base), reason };
    let mut url =
        Url::parse(base.trim()).map_err(|error| wrong(format!("is no address ({error})")))?;
    match url.scheme() {
        "http" => {}
        "https" if cfg!(feature = "tls") => {}
        "https" => return Err(SdkError::TlsDisabled(crate::redact::message(base))),
        scheme => return Err(wrong(format!("has the scheme `{scheme}`, not http or https"))),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a user or a password; give a token instead".into()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("holds a query or a fragment".into()));
    }
    let path = format!("{}/v1/events", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

#[cfg(feature = "tls")]
fn build(builder: reqwest::ClientBuilder, https: bool) -> Result<Client, SdkError> {
    let failed = |error: &dyn Error| SdkError::Client(chain(error));
    let tls = super::tls::config(https).map_err(|error| failed(&error))?;
    builder.tls_backend_preconfigured(tls).build().map_err(|error| failed(&error))
}

/// Another crate of the program may have given the client TLS; then it panics unless the
/// program has installed a provider.
#[cfg(not(feature = "tls"))]
fn build(builder: reqwest::ClientBuilder, _https: bool) -> Result<Client, SdkError> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| builder.build())) {
        Ok(built) => built.map_err(|error| SdkError::Client(chain(&error))),
        Err(_) => Err(SdkError::Client(
            "the program's TLS has no provider; enable the feature `tls` of mcpmon-sdk".into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_address_may_have_a_path() {
        for (base, url) in [
            ("http://127.0.0.1:9090", "http://127.0.0.1:9090/v1/events"),
            ("http://127.0.0.1:9090/", "http://127.0.0.1:9090/v1/events"),
            (" http://host/mcp/ ", "http://host/mcp/v1/events"),
        ] {
            assert_eq!(events_url(base).unwrap().as_str(), url);
        }
    }

    #[test]
    fn a_wrong_address_says_what_would_be_right() {
        for (base, reason) in [
            ("", "is no address"),
            ("127.0.0.1:9090", "is no address"),
            ("localhost:9090", "has the scheme `localhost`"),
            ("ftp://host", "has the scheme `ftp`"),
            ("http://joe:pw@host", "holds a user or a password"),
            ("http://host?a=1", "holds a query"),
        ] {
            let error = events_url(base).unwrap_err().to_string();
            assert!(error.contains("MCP_EXPORTER_URL") && error.contains(reason), "{error}");
            assert!(error.contains("for example http://127.0.0.1:9090"), "{error}");
            assert!(!error.contains("pw"), "{error}");
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn tls_works_without_a_default_provider_and_leaves_none_behind() {
        let timeout = Duration::from_secs(1);
        Exporter::new("https://127.0.0.1:1", None, timeout).unwrap();
        Exporter::new("http://127.0.0.1:1", None, timeout).unwrap();
        assert!(rustls::crypto::CryptoProvider::get_default().is_none());
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn https_without_tls_names_the_feature() {
        let error = events_url("https://host").unwrap_err().to_string();
        assert!(error.contains("enable the feature `tls`"), "{error}");
    }
}
