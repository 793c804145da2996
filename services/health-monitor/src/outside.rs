//! What the monitor calls outside of its own network: URLs that are secrets, and the client.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use mcpmon_bootstrap::Settings;
use mcpmon_bootstrap::http::client::{self, may_hold_password, web_url};
use mcpmon_metrics::redact;
use reqwest::{Client, Url};
use secrecy::ExposeSecret as _;

/// One call must be over in this time.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// A URL that is a secret itself: `Debug` does not show it, and no error may.
#[derive(Clone)]
pub struct SecretUrl(Url);

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretUrl([redacted])")
    }
}

impl SecretUrl {
    /// Reads the key, or the file that `<key>_file` names.
    pub(crate) fn read(settings: &mut Settings, key: &str, doc: &str) -> Option<Self> {
        let secret = settings.secret(key, doc)?;
        let url = web_url(secret.expose_secret());
        // The problem names no part of the value.
        url.map_err(|problem| settings.reject(key, problem)).map(Self).ok()
    }

    #[cfg(test)]
    pub(crate) fn for_tests(url: &str) -> Self {
        Self(web_url(url).unwrap())
    }

    pub(crate) fn url(&self) -> Url {
        self.0.clone()
    }
}

/// A key whose value is such a URL and no secret.
pub(crate) fn page(settings: &mut Settings, key: &str, doc: &str) -> Option<Url> {
    let url = settings.optional_checked(key, doc, |text: String| {
        if may_hold_password(&text) {
            return Ok(None);
        }
        web_url(&text).map(Some)
    })?;
    if url.is_none() {
        settings.reject(key, "holds a user or a password, which everybody would read");
    }
    url
}

/// A client for that URL. It follows no redirect: a message must not go where nobody told us.
///
/// # Errors
/// When the machine's trust store cannot be used; in words, without the URL.
pub(crate) fn client(url: &SecretUrl) -> Result<Client, String> {
    build(url.0.scheme() == "https")
}

/// The client for a monitor on this machine, over plain HTTP.
///
/// # Errors
/// When there is no client to be had; in words.
pub fn plain_client() -> Result<Client, String> {
    build(false)
}

fn build(https: bool) -> Result<Client, String> {
    let builder = client::builder(https).map_err(|error| describe(&error))?;
    builder.timeout(TIMEOUT).build().map_err(describe_call)
}

/// What went wrong with a call, without its URL.
pub(crate) fn describe_call(error: reqwest::Error) -> String {
    describe(&error.without_url())
}

fn describe(error: &dyn Error) -> String {
    redact::message(&client::describe(error))
}
