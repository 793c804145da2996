//! How messages reach people: Slack, or the log when there is no Slack.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::message::{Line, Message, Tone};

/// Takes one message at a time.
#[async_trait]
pub trait Channel: fmt::Debug + Send + Sync {
    /// The value of the label `channel`.
    fn name(&self) -> &'static str;

    /// Sends it and says what became of it. With `plain` it is sent in the simplest form, for the
    /// other was refused.
    async fn deliver(&self, message: &Message, plain: bool) -> Delivery;
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// It arrived.
    Sent,
    /// It did not: come back later, when it is said after that time.
    RateLimited(Option<Duration>),
    /// The channel does not want us, such as a webhook that was revoked: somebody must repair it.
    Rejected(String),
    /// The channel does not understand the message.
    Misunderstood(String),
    /// It did not arrive, or nobody knows.
    Failed(String),
}

/// The log in place of a channel: every message arrives.
#[derive(Debug, Clone, Copy)]
pub struct Log;

#[async_trait]
impl Channel for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    async fn deliver(&self, message: &Message, _plain: bool) -> Delivery {
        for section in &message.sections {
            let cause = message.cause.as_deref().filter(|_| section.tone == Tone::Bad);
            let lines: Vec<_> = section.lines.iter().map(line).collect();
            let (title, lines, more) = (&section.title, lines.join("; "), section.more);
            match section.tone {
                Tone::Bad | Tone::Warning => tracing::warn!(cause, lines, more, "{title}"),
                Tone::Good => tracing::info!(lines, more, "{title}"),
            }
        }
        Delivery::Sent
    }
}

fn line(line: &Line) -> String {
    let Line { component, text, command, key, .. } = line;
    let command = command.as_deref().map(|command| format!(": {command}")).unwrap_or_default();
    format!("{component}: {text}{command} ({key})")
}
