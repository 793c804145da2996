//! What the kinds with a base URL share: a request that shows readiness, and one that gives JSON.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;
use serde::de::DeserializeOwned;

use super::address::Place;
use super::client::{Client, Request, shown};
use super::status::{Expected, wrong};
use super::{Keys, address, own_time};
use crate::finding::Finding;

/// A readiness reply is a word or a short list.
const READY_BYTES: usize = 64 << 10;

/// The figures of 10,000 series take 2 MB.
const JSON_BYTES: usize = 16 << 20;

/// The verdict waits for its sources.
const JSON_TIME: Duration = Duration::from_secs(5);

/// Where Prometheus, Alertmanager or the exporter is.
#[derive(Debug)]
pub(super) struct Endpoint {
    base: Place,
    token: Option<SecretString>,
    client: Arc<Client>,
}

impl Endpoint {
    /// Reads `url` and `token`.
    pub(super) fn read(keys: &mut Keys<'_>, doc: &str) -> Option<Self> {
        let (base, token) = (address::url(keys, doc), address::token(keys));
        Some(Self { base: base?, token, client: Client::shared() })
    }

    /// Whether it answers 200 there.
    pub(super) async fn ready(&self, path: &str, deadline: Duration) -> Finding {
        let url = address::below(&self.base.0, path, &[]);
        let request = Request { max_body: READY_BYTES, ..self.request(&url, own_time(deadline)) };
        let reply = match self.client.get(request).await {
            Ok(reply) => reply,
            Err(finding) => return finding,
        };
        let asked = format!("GET {}", shown(&url));
        wrong(&asked, &reply, &Expected::OneOf(vec![200]))
            .unwrap_or_else(|| Finding::ok(reply.latency))
    }

    /// The JSON that it gives there.
    ///
    /// # Errors
    /// When it gives none; in words for people, redacted.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, String> {
        let url = address::below(&self.base.0, path, query);
        let asked = format!("GET {}", shown(&url));
        let said = |finding: Finding| finding.error.unwrap_or_else(|| asked.clone());
        let reply = self.client.get(self.request(&url, JSON_TIME)).await.map_err(said)?;
        if let Some(finding) = wrong(&asked, &reply, &Expected::OneOf(vec![200])) {
            return Err(said(finding));
        }
        if !reply.whole {
            return Err(format!("{asked}: the reply is longer than {} MiB", JSON_BYTES >> 20));
        }
        serde_json::from_slice(&reply.body)
            .map_err(|error| format!("{asked}: the reply cannot be read: {error}"))
    }

    fn request<'a>(&'a self, url: &'a Url, deadline: Duration) -> Request<'a> {
        Request {
            url,
            token: self.token.as_ref(),
            // A base URL is exact; a log-in page behind a redirect would look like a good answer.
            follow_redirects: false,
            max_body: JSON_BYTES,
            deadline,
        }
    }
}
