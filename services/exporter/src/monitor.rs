//! The health monitor's verdict, asked for every five seconds.
//!
//! Over plain HTTP: the two stand on one private network, and TLS would be a sixth of the program.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

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
    last: Mutex<Result<Verdict, String>>,
}

impl Monitor {
    pub(crate) fn new(settings: HealthMonitor) -> Self {
        Self { settings, last: Mutex::new(Err("it was not asked yet".into())) }
    }

    /// What the monitor said last, or why it said nothing.
    pub(crate) fn verdict(&self) -> Result<Verdict, String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone().map_err(|why| {
            let url = self.settings.url.to_string();
            format!("the health monitor at {} cannot be asked: {why}", url.trim_end_matches('/'))
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
        let reply = timeout(PATIENCE, self.fetch());
        let late = |_| format!("no answer within {} s", PATIENCE.as_secs());
        let body = reply.await.map_err(late)?.map_err(|error| {
            // The innermost cause says what happened.
            let mut cause: &dyn Error = &*error;
            while let Some(source) = cause.source() {
                cause = source;
            }
            cause.to_string()
        })?;
        let value: Value = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
        Verdict::of_monitor(&value).ok_or_else(|| "its reply has no overall status".into())
    }

    async fn fetch(&self) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
        let url = &self.settings.url;
        let authority = url.authority().ok_or("its URL names no host")?;
        let host = authority.host().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let path = format!("{}/api/v1/components", url.path().trim_end_matches('/'));
        let mut request = Request::get(path).header(HOST, authority.as_str());
        if let Some(token) = &self.settings.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        }
        let reply = async {
            let reply = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
            if reply.status() != StatusCode::OK {
                return Err(format!("it answers {}", reply.status()).into());
            }
            let body = Limited::new(reply.into_body(), MAX_REPLY_BYTES).collect().await;
            body.map(http_body_util::Collected::to_bytes).map_err(|error| {
                if error.is::<LengthLimitError>() {
                    format!("its reply is larger than {MAX_REPLY_BYTES} bytes").into()
                } else {
                    error
                }
            })
        };
        // The connection moves the bytes for as long as the reply is awaited. When it breaks, the
        // reply says why.
        let mut connection = std::pin::pin!(connection);
        let mut reply = std::pin::pin!(reply);
        tokio::select! {
            reply = &mut reply => reply,
            _ = &mut connection => reply.await,
        }
    }
}
