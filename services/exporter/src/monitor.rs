//! The health monitor's verdict, asked for every five seconds.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::HealthMonitor;
use crate::verdict::Verdict;

const EVERY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(4);
/// A monitor with a thousand components stays far below.
const MAX_REPLY_BYTES: usize = 4 << 20;

/// The monitor, and what it said last.
#[derive(Debug)]
pub(crate) struct Monitor {
    settings: HealthMonitor,
    client: Client,
    last: Mutex<Result<Verdict, String>>,
}

/// Why the monitor cannot be asked at all.
#[derive(Debug, thiserror::Error)]
#[error("the client for the health monitor cannot be built")]
pub struct MonitorError(#[from] reqwest::Error);

impl Monitor {
    pub(crate) fn new(settings: HealthMonitor) -> Result<Self, MonitorError> {
        // An error says that the program chose a provider before, which serves as well.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder().timeout(PATIENCE).no_proxy().build()?;
        let last = Mutex::new(Err("it was not asked yet".into()));
        Ok(Self { settings, client, last })
    }

    /// What the monitor said last, or why it said nothing.
    pub(crate) fn verdict(&self) -> Result<Verdict, String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone().map_err(|why| {
            format!("the health monitor at {} cannot be asked: {why}", self.settings.url)
        })
    }

    pub(crate) async fn watch(&self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let said = self.ask().await;
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = said;
        }
    }

    async fn ask(&self) -> Result<Verdict, String> {
        let mut request = self.client.get(format!("{}/api/v1/components", self.settings.url));
        if let Some(token) = &self.settings.token {
            request = request.bearer_auth(token.expose_secret());
        }
        let plain = |error: reqwest::Error| {
            // The outer error repeats the URL; the innermost cause says what happened.
            let mut cause: &dyn std::error::Error = &error;
            while let Some(source) = cause.source() {
                cause = source;
            }
            cause.to_string()
        };
        let mut reply =
            request.send().await.and_then(reqwest::Response::error_for_status).map_err(plain)?;
        let mut body = Vec::new();
        while let Some(chunk) = reply.chunk().await.map_err(plain)? {
            if body.len() + chunk.len() > MAX_REPLY_BYTES {
                return Err(format!("its reply is larger than {MAX_REPLY_BYTES} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        let value: Value = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
        Verdict::of_monitor(&value).ok_or_else(|| "its reply has no overall status".into())
    }
}
