//! Slack: its configuration, and messages to an incoming webhook.

mod payload;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use mcpmon_bootstrap::Settings;
use mcpmon_metrics::redact;
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response, StatusCode, Url};

use crate::notice::channel::{Channel, Delivery};
use crate::notice::message::Message;
use crate::outside::{self, SecretUrl};

/// How much of a refusal is read: Slack says one word.
const LONGEST_REFUSAL: usize = 200;

/// Whom to tell, and when.
#[derive(Debug, Clone)]
pub struct SlackConfig {
    /// Without it messages go to the log.
    pub webhook_url: Option<SecretUrl>,
    /// How long the first news waits for more.
    pub group: Duration,
    /// How often people are reminded at the most.
    pub reminder: Duration,
    /// The page that messages lead to.
    pub page_url: Option<Url>,
}

/// An incoming webhook.
pub struct Slack {
    url: SecretUrl,
    client: Client,
    page: Option<Url>,
}

impl SlackConfig {
    /// Reads the keys. What is wrong is noted in `settings`.
    pub fn read(settings: &mut Settings) -> Self {
        let webhook_url = SecretUrl::read(
            settings,
            "slack.webhook_url",
            "Incoming webhook of Slack. Without it messages go to the log.",
        );
        let group = settings.seconds(
            "slack.group_seconds",
            Duration::from_secs(3),
            Duration::ZERO..=Duration::from_secs(300),
            "How long a message waits for more, so that many troubles at once are one message.",
        );
        let reminder = settings.seconds(
            "slack.reminder_seconds",
            Duration::from_secs(3600),
            Duration::from_secs(60)..=Duration::from_secs(7 * 24 * 60 * 60),
            "People are reminded of what is still down at most this often.",
        );
        let page_url = outside::page(
            settings,
            "health_monitor.page_url",
            "URL of the exporter's page, which messages lead to.",
        );
        Self { webhook_url, group, reminder, page_url }
    }
}

impl fmt::Debug for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client is left out: it says much and nothing of use.
        f.debug_struct("Slack").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Slack {
    /// `None` without a webhook.
    ///
    /// # Errors
    /// When the machine's trust store cannot be used; in words.
    pub fn new(config: &SlackConfig) -> Result<Option<Self>, String> {
        let Some(url) = config.webhook_url.clone() else { return Ok(None) };
        let client = outside::client(&url)?;
        Ok(Some(Self { url, client, page: config.page_url.clone() }))
    }
}

#[async_trait]
impl Channel for Slack {
    fn name(&self) -> &'static str {
        "slack"
    }

    async fn deliver(&self, message: &Message, plain: bool) -> Delivery {
        let page = self.page.as_ref();
        let payload =
            if plain { payload::plain(message, page) } else { payload::full(message, page) };
        match self.client.post(self.url.url()).json(&payload).send().await {
            Ok(response) => verdict(response).await,
            Err(error) => Delivery::Failed(outside::describe_call(error)),
        }
    }
}

async fn verdict(response: Response) -> Delivery {
    let status = response.status();
    if status.is_success() {
        return Delivery::Sent;
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let seconds = asked.and_then(|text| text.trim().parse().ok());
        return Delivery::RateLimited(seconds.map(Duration::from_secs));
    }
    let why = format!("{status} {}", refusal(response).await);
    let why = why.trim_end().to_owned();
    match status {
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => Delivery::Rejected(why),
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => Delivery::Misunderstood(why),
        _ => Delivery::Failed(why),
    }
}

/// The word that Slack says, `no_service` for instance.
async fn refusal(mut response: Response) -> String {
    let mut body = Vec::new();
    while body.len() < LONGEST_REFUSAL {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    body.truncate(LONGEST_REFUSAL);
    let text = redact::redact(&String::from_utf8_lossy(&body));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
