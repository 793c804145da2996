//! Logs to standard error. Standard output belongs to a service's own protocol or result.

use std::io;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

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
    filter: EnvFilter,
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
                "What is logged, in the syntax of `RUST_LOG`, which sets it too.",
                |directives: String| EnvFilter::try_new(directives),
            ),
        }
    }

    /// Starts logging for the whole process.
    ///
    /// # Errors
    /// When it was started before.
    pub fn start(self) -> Result<(), StartedTwice> {
        let builder =
            tracing_subscriber::fmt().with_writer(io::stderr).with_env_filter(self.filter);
        match self.format {
            Format::Text => builder.try_init(),
            Format::Json => builder.json().flatten_event(true).try_init(),
        }
        .map_err(|_| StartedTwice)
    }
}
