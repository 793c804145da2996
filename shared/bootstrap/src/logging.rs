//! Logs to standard error. Standard output belongs to a service's own protocol or result.

use std::io;

use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::settings::Settings;

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// The section `log`.
#[derive(Debug)]
pub struct Logging {
    format: Format,
    // Not `EnvFilter`: what it can do more, filter by fields, costs each program 0.4 MB of regex.
    filter: Targets,
}

/// Somebody has started logging in this process already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("logging was started twice")]
pub struct StartedTwice;

impl Logging {
    /// Reads `log.format` and `log.filter`. `RUST_LOG` holds when the caller gave it as an alias:
    /// `Sources::alias("RUST_LOG", "log.filter")`.
    ///
    /// `default` is the filter where nobody set one.
    pub fn from_settings(settings: &mut Settings, default: &str) -> Self {
        Self {
            format: settings.value(
                "log.format",
                Format::Text,
                "`text` for people, `json` for collectors.",
            ),
            filter: settings.checked(
                "log.filter",
                default.to_owned(),
                "What is logged, as in `RUST_LOG`, which sets it too: levels, and levels of targets.",
                |directives: String| directives.parse::<Targets>(),
            ),
        }
    }

    /// Starts logging for the whole process.
    ///
    /// # Errors
    /// When it was started before.
    pub fn start(self) -> Result<(), StartedTwice> {
        let lines = fmt::layer().with_writer(io::stderr);
        let lines: Box<dyn Layer<Registry> + Send + Sync> = match self.format {
            Format::Text => lines.boxed(),
            Format::Json => lines.json().flatten_event(true).boxed(),
        };
        let subscriber = tracing_subscriber::registry().with(lines.with_filter(self.filter));
        subscriber.try_init().map_err(|_| StartedTwice)
    }
}
