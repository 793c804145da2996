//! From settings to a running monitor: the only place that chooses a sink and starts it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mcpmon_metrics::label::Observer;
use mcpmon_metrics::name::MAX_NAME_BYTES;
use mcpmon_metrics::{Name, Origin};
use secrecy::SecretString;

use crate::core::{Background, Core, Sink};
use crate::error::SdkError;
use crate::monitor::Monitor;
use crate::page::{self, Page};
use crate::random;
use crate::readings::Readings;
use crate::remote::Remote;
use crate::remote::client::Exporter;
use crate::remote::sender::{Pace, Sender};
use crate::remote::token::Token;
use crate::worker::Worker;

/// The exporter takes 10,000. This many keep a request small enough to be tried again, and the
/// rejections of a whole batch within the reply that is read.
const MAX_BATCH: usize = 1_000;

const MAX_FLUSH_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Settings of a [`Monitor`]. Without [`exporter`](MonitorBuilder::exporter) the numbers stay
/// in this process.
#[derive(Debug, Clone)]
#[must_use]
pub struct MonitorBuilder {
    server: String,
    source: Option<String>,
    observer: Observer,
    exporter: Option<String>,
    token: TokenSource,
    queue_capacity: usize,
    batch_size: usize,
    flush_interval: Duration,
    heartbeat: Duration,
    request_timeout: Duration,
    page: Option<Arc<Page>>,
}

#[derive(Debug, Clone)]
enum TokenSource {
    None,
    Given(SecretString),
    File(PathBuf),
}

impl MonitorBuilder {
    pub(crate) fn new(server: String) -> Self {
        Self {
            server,
            source: None,
            observer: Observer::Sdk,
            exporter: None,
            token: TokenSource::None,
            queue_capacity: 10_000,
            batch_size: 100,
            flush_interval: Duration::from_secs(1),
            heartbeat: Duration::from_secs(15),
            request_timeout: Duration::from_secs(10),
            page: None,
        }
    }

    /// The settings that the environment gives, as read by `var`.
    pub(crate) fn from_vars(
        server: String,
        var: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SdkError> {
        let var = |key| var(key).filter(|value| !value.trim().is_empty());
        let builder = Self::new(server);
        let builder = match (var("MCP_EXPORTER_TOKEN"), var("MCP_EXPORTER_TOKEN_FILE")) {
            (Some(_), Some(_)) => return Err(SdkError::TwoTokens),
            (Some(token), None) => builder.token(token.into()),
            (None, Some(path)) => builder.token_file(path),
            (None, None) => builder,
        };
        Ok(match var("MCP_EXPORTER_URL") {
            Some(url) => builder.exporter(url),
            None => builder,
        })
    }

    /// The name of this process; gauges belong to it. Default: `<server>-<4 random hex digits>`.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of observer this process is. Default: [`Observer::Sdk`].
    pub fn observer(mut self, observer: Observer) -> Self {
        self.observer = observer;
        self
    }

    /// Sends events to the exporter at this base address, such as `http://127.0.0.1:9090`.
    pub fn exporter(mut self, url: impl Into<String>) -> Self {
        self.exporter = Some(url.into());
        self
    }

    /// The token that the exporter asks for.
    pub fn token(mut self, token: SecretString) -> Self {
        self.token = TokenSource::Given(token);
        self
    }

    /// The file that holds the token. It is read again when the exporter refuses the token.
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.token = TokenSource::File(path.into());
        self
    }

    /// How many events may wait. Beyond it events are dropped and counted. Default: 10,000.
    pub fn queue_capacity(mut self, events: usize) -> Self {
        self.queue_capacity = events;
        self
    }

    /// How many events go out in one request, from 1 to 1,000. Default: 100.
    pub fn batch_size(mut self, events: usize) -> Self {
        self.batch_size = events;
        self
    }

    /// How long an event waits for others. Default: 1 second.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// How often readings are sent, even when nothing happens. Default: 15 seconds; the exporter
    /// forgets the readings of a process that is silent for 45.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }

    /// How long the exporter may take over one batch. Default: 10 seconds.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Shares the page of another monitor of this process: whichever of them serves `/metrics`,
    /// it has the numbers of both.
    pub fn beside(mut self, monitor: &Monitor) -> Self {
        self.page = Some(monitor.core().page().clone());
        self
    }

    /// Starts the monitor: with an exporter, also its background thread. The exporter need not
    /// answer yet.
    ///
    /// # Errors
    /// When a setting is wrong, the token's file cannot be read, or the thread cannot start.
    pub fn build(self) -> Result<Monitor, SdkError> {
        let origin = Arc::new(self.origin()?);
        self.check_bounds()?;
        let readings = Arc::new(Readings::new());
        let monitor = |sink, background| {
            let core = Core::new(origin.clone(), readings.clone(), sink, background);
            Monitor::new(match &self.page {
                Some(page) => core.beside(page.clone()),
                None => core,
            })
        };
        let Some(url) = &self.exporter else {
            let numbers = self.page.as_deref().map_or_else(page::new_metrics, Page::numbers);
            return Ok(monitor(Sink::InProcess(numbers), Background::Idle));
        };
        let token = match &self.token {
            TokenSource::None => None,
            TokenSource::Given(token) => Some(Token::given(token)?),
            TokenSource::File(path) => Some(Token::from_file(path.clone())?),
        };
        let exporter = Exporter::new(url, token, self.request_timeout)?;
        let pace = Pace {
            // A larger batch than the queue would never be full.
            batch_size: self.batch_size.min(self.queue_capacity),
            flush_interval: self.flush_interval,
            heartbeat: self.heartbeat,
        };
        let (remote, queue) =
            Remote::new(self.queue_capacity, pace.batch_size, Arc::clone(&readings));
        let worker = Worker::start().map_err(SdkError::Worker)?;
        let sender = Sender::new(queue, exporter, origin.clone(), pace);
        worker.handle.spawn(sender.run());
        let background = Background::Running(worker);
        let sink = Sink::Remote(Arc::new(remote));
        Ok(monitor(sink, background))
    }

    fn origin(&self) -> Result<Origin<'static>, SdkError> {
        let server = Name::new(self.server.clone())
            .map_err(|reason| SdkError::Server { value: self.server.clone(), reason })?;
        let source = self.source.clone().unwrap_or_else(|| random_source(&self.server));
        let source = Name::new(source.clone())
            .map_err(|reason| SdkError::Source { value: source, reason })?;
        Ok(Origin { server, source, observer: self.observer })
    }

    fn check_bounds(&self) -> Result<(), SdkError> {
        let error = |key, value: &dyn std::fmt::Debug, expected| {
            Err(SdkError::OutOfBounds { key, value: format!("{value:?}"), expected })
        };
        // tokio's semaphore ends there.
        if !(1..=usize::MAX >> 3).contains(&self.queue_capacity) {
            return error("queue_capacity", &self.queue_capacity, "at least 1");
        }
        if !(1..=MAX_BATCH).contains(&self.batch_size) {
            return error("batch_size", &self.batch_size, "1 to 1000");
        }
        if self.flush_interval > MAX_FLUSH_INTERVAL {
            return error("flush_interval", &self.flush_interval, "at most 1 hour");
        }
        if self.heartbeat.is_zero() {
            return error("heartbeat", &self.heartbeat, "more than 0");
        }
        if self.request_timeout.is_zero() {
            return error("request_timeout", &self.request_timeout, "more than 0");
        }
        Ok(())
    }
}

/// `<server>-<4 hex digits>`, within the length of a name.
fn random_source(server: &str) -> String {
    let room = server.floor_char_boundary(MAX_NAME_BYTES - 5);
    format!("{}-{:04x}", &server[..room], random::bits() as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &'static [(&str, &str)]) -> Result<MonitorBuilder, SdkError> {
        MonitorBuilder::from_vars("shop".into(), |key| {
            let (_, value) = pairs.iter().find(|(known, _)| *known == key)?;
            Some((*value).to_owned())
        })
    }

    fn error(builder: MonitorBuilder) -> String {
        builder.build().unwrap_err().to_string()
    }

    #[test]
    fn the_environment_chooses_the_sink() {
        assert!(vars(&[]).unwrap().exporter.is_none());
        assert!(vars(&[("MCP_EXPORTER_URL", " ")]).unwrap().exporter.is_none());
        let builder = vars(&[
            ("MCP_EXPORTER_URL", "http://127.0.0.1:9090"),
            ("MCP_EXPORTER_TOKEN", "s3cr3t"),
        ])
        .unwrap();
        assert_eq!(builder.exporter.as_deref(), Some("http://127.0.0.1:9090"));
        assert!(matches!(builder.token, TokenSource::Given(_)));
        assert!(!format!("{builder:?}").contains("s3cr3t"));
    }

    #[test]
    fn two_tokens_are_one_too_many() {
        let both = vars(&[("MCP_EXPORTER_TOKEN", "a"), ("MCP_EXPORTER_TOKEN_FILE", "/b")]);
        assert!(matches!(both, Err(SdkError::TwoTokens)));
    }

    #[test]
    fn wrong_settings_name_the_key_the_value_and_what_would_be_right() {
        let new = || MonitorBuilder::new("shop".into());
        assert_eq!(
            error(MonitorBuilder::new(String::new())),
            "the server name `` is empty; expected a name of 1 to 128 bytes"
        );
        assert_eq!(
            error(new().source("a\nb")),
            "the source name `a\\nb` holds the control character '\\n'; expected printable text"
        );
        assert_eq!(error(new().batch_size(1_001)), "batch_size is 1001; expected 1 to 1000");
        assert_eq!(error(new().queue_capacity(0)), "queue_capacity is 0; expected at least 1");
        assert_eq!(
            error(new().heartbeat(Duration::ZERO)),
            "heartbeat is 0ns; expected more than 0"
        );
        assert!(error(new().exporter("nonsense")).contains("MCP_EXPORTER_URL"));
    }

    #[test]
    fn the_source_fits_whatever_the_server_is_called() {
        for server in ["shop", &"é".repeat(64)] {
            let source = random_source(server);
            assert!(Name::new(source.clone()).is_ok(), "{source}");
            assert_ne!(source, random_source(server));
        }
    }
}
