//! Kind `http`: calls a URL that repairs something, with what lets its server act once.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use mcpmon_bootstrap::http::client::{self, may_hold_password, web_url};
use mcpmon_metrics::redact;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url, retry};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Action, Condition, Keys, Order, Sight, Trouble, own_time};

/// A connection that takes longer is refused: nothing was sent yet.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

struct Http {
    url: Url,
    method: Method,
    token: Option<SecretString>,
    expect_status: Option<Vec<u16>>,
    body: Option<String>,
    client: Client,
}

pub(super) fn read(keys: &mut Keys<'_>) -> Option<Box<dyn Action>> {
    // The outer error shows the value, which must not happen once it holds a password; so such a
    // value passes, and is refused below.
    let url = keys.required(
        "url",
        "What to call, such as `http://localhost:8080/restart`.",
        |text: String| match may_hold_password(&text) {
            true => Ok(None),
            false => endpoint(&text).map(Some),
        },
    );
    if let Some(None) = url {
        let place = keys.name("token");
        let problem = format!("holds a user or a password; {place} is the place for a secret");
        keys.reject("url", problem);
    }
    let method = keys.checked(
        "method",
        "POST".to_owned(),
        "How it is called: `POST` or `PUT`.",
        |text: String| method(&text),
    );
    let token = keys.bearer("token", "Sent as `Authorization: Bearer …`.");
    let expect_status = keys.optional_checked(
        "expect_status",
        "The statuses that say that it was done; unset: 200 to 299.",
        statuses,
    );
    let body = keys.optional("body", "What is sent; unset: nothing.");
    let url = url??;
    match new_client(&url) {
        Ok(client) => Some(Box::new(Http { url, method, token, expect_status, body, client })),
        Err(problem) => {
            keys.reject("url", problem);
            None
        }
    }
}

fn endpoint(text: &str) -> Result<Url, &'static str> {
    let url = web_url(text)?;
    match url.fragment() {
        None => Ok(url),
        Some(_) => Err("expected a URL without a fragment, for a server never sees it"),
    }
}

fn method(text: &str) -> Result<Method, &'static str> {
    match text {
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        _ => Err("expected POST or PUT"),
    }
}

fn statuses(list: Vec<u16>) -> Result<Vec<u16>, &'static str> {
    if list.is_empty() || list.iter().any(|status| !(200..=599).contains(status)) {
        return Err("expected a list of statuses from 200 to 599, such as [202, 409]");
    }
    Ok(list)
}

/// A connection for each call: on a kept one, nobody could tell whether a call that broke off had
/// been sent.
fn new_client(url: &Url) -> Result<Client, String> {
    let builder = client::builder(url.scheme() == "https").map_err(|e| client::describe(&e))?;
    builder
        .no_proxy()
        .retry(retry::never())
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT_TIMEOUT)
        .build()
        .map_err(|error| client::describe(&error.without_url()))
}

impl Http {
    fn request(&self, order: &Order, limit: Duration) -> RequestBuilder {
        let mut request = self
            .client
            .request(self.method.clone(), self.url.clone())
            .header("Idempotency-Key", &order.attempt)
            .header("Fencing-Token", order.fencing.to_string())
            .timeout(limit);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        match &self.body {
            // An empty body has a length too, which many servers ask for.
            None => request.header(CONTENT_LENGTH, 0),
            Some(body) => {
                let json = serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
                let kind = if json { "application/json" } else { "text/plain; charset=utf-8" };
                request.header(CONTENT_TYPE, kind).body(body.clone())
            }
        }
    }

    fn judge(&self, status: StatusCode) -> Result<(), Trouble> {
        let is_good = match &self.expect_status {
            Some(list) => list.contains(&status.as_u16()),
            None => status.is_success(),
        };
        let answer = || format!("{self:?} was answered with {status}");
        match status {
            _ if is_good => Ok(()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Trouble::Refused(answer())),
            _ => Err(Trouble::Failed(answer())),
        }
    }
}

#[async_trait]
impl Action for Http {
    fn describe(&self) -> String {
        format!("call {self:?}")
    }

    fn names(&self) -> Vec<String> {
        let host = self.url.host_str().unwrap_or_default().to_owned();
        let port = self.url.port_or_known_default().unwrap_or_default();
        vec![format!("{host}:{port}"), host]
    }

    async fn look(&self, _: Duration) -> Result<Sight, Trouble> {
        Ok(Sight { run: None, condition: Condition::Ours })
    }

    async fn act(&self, order: &Order, deadline: Duration) -> Result<(), Trouble> {
        match self.request(order, own_time(deadline)).send().await {
            Ok(answer) => self.judge(answer.status()),
            Err(error) => {
                let was_sent = !(error.is_connect() || error.is_builder());
                let words = redact::message(&client::describe(&error.without_url()));
                let text = format!("{self:?}: {words}");
                Err(if was_sent { Trouble::Unknown(text) } else { Trouble::Refused(text) })
            }
        }
    }
}

/// Without the query, which may hold a secret.
impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.url.clone();
        url.set_query(None);
        write!(f, "{} {url}", self.method)
    }
}
