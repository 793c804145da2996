//! The health monitor, which is asked to check a component now: before an action, whether there is
//! still trouble, and after it, whether there is none.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use mcpmon_bootstrap::http::client;
use mcpmon_coordination::incident::Failure;
use mcpmon_coordination::inventory;
use mcpmon_metrics::redact;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

/// A check takes as long as the component's own deadline.
const PATIENCE: Duration = Duration::from_secs(60);

/// Checks a component now.
#[async_trait]
pub trait Monitor: fmt::Debug + Send + Sync {
    /// What a check finds.
    ///
    /// # Errors
    /// In words, when the monitor cannot say.
    async fn check(&self, component: &str) -> Result<Checked, String>;
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Checked {
    #[serde(deserialize_with = "outcome")]
    pub outcome: Outcome,
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub error: Option<String>,
    #[serde(default)]
    pub latency_ms: Option<u64>,
    /// One number for the tools of an MCP server, in hexadecimal.
    #[serde(default)]
    pub tools_hash: Option<String>,
}

/// Whether the component answered as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    Fail(Failure),
    Unknown,
}

/// The monitor over HTTP.
#[derive(Debug)]
pub struct MonitorClient {
    client: Client,
    url: Url,
    token: Option<SecretString>,
}

impl MonitorClient {
    /// The monitor at that URL, asked with the token of its scope `operate`.
    #[must_use]
    pub fn new(client: Client, url: Url, token: Option<SecretString>) -> Self {
        Self { client, url, token }
    }

    async fn ask(&self, component: &str) -> Result<Checked, reqwest::Error> {
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1", "components", component, "check"]);
        }
        let mut request = self.client.post(url).timeout(PATIENCE);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        request.send().await?.error_for_status()?.json().await
    }
}

#[async_trait]
impl Monitor for MonitorClient {
    async fn check(&self, component: &str) -> Result<Checked, String> {
        self.ask(component).await.map_err(|error| {
            let status = error.status().map(|status| format!("it answers {status}"));
            redact::message(&status.unwrap_or_else(|| client::describe(&error.without_url())))
        })
    }
}

/// A client for that URL.
///
/// # Errors
/// When the machine's trust store cannot be used; in words.
pub fn client(url: &Url) -> Result<Client, String> {
    let builder = client::builder(url.scheme() == "https").map_err(|error| error.to_string())?;
    let built = builder.no_proxy().timeout(PATIENCE).build();
    built.map_err(|error| client::describe(&error.without_url()))
}

/// `"ok"`, `{"fail": …}` or `{"unknown": …}`.
fn outcome<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Outcome, D::Error> {
    Ok(match inventory::Outcome::deserialize(deserializer)? {
        inventory::Outcome::Ok => Outcome::Ok,
        inventory::Outcome::Fail(failure) => Outcome::Fail(failure),
        inventory::Outcome::Unknown(_) => Outcome::Unknown,
    })
}
