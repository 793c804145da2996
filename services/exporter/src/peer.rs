//! Another service, asked every five seconds: what the page shows of it is what it said last.
//!
//! Over plain HTTP: they stand on one private network, and TLS would be a sixth of the program.

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
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::config::Endpoint;

const EVERY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(4);
/// A monitor with a thousand components stays far below.
const MAX_REPLY_BYTES: usize = 4 << 20;

/// What is asked, and how the answer is read.
#[derive(Debug)]
pub(crate) struct Question<T> {
    /// Whom, in words.
    pub(crate) name: &'static str,
    /// Below the endpoint's URL.
    pub(crate) path: &'static str,
    /// Says why a reply makes no sense.
    pub(crate) read: fn(&[u8]) -> Result<T, String>,
}

/// The service, and what it said last.
#[derive(Debug)]
pub(crate) struct Peer<T> {
    endpoint: Endpoint,
    question: Question<T>,
    last: Mutex<Result<T, String>>,
}

impl<T: Clone> Peer<T> {
    pub(crate) fn new(endpoint: Endpoint, question: Question<T>) -> Self {
        Self { endpoint, question, last: Mutex::new(Err("it was not asked yet".into())) }
    }

    /// What it said last, or why it said nothing.
    pub(crate) fn said(&self) -> Result<T, String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone().map_err(|why| {
            let (name, url) = (self.question.name, self.endpoint.url.to_string());
            format!("{name} at {} cannot be asked: {why}", url.trim_end_matches('/'))
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

    async fn ask(&self) -> Result<T, String> {
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
        (self.question.read)(&body)
    }

    async fn fetch(&self) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
        let url = &self.endpoint.url;
        let authority = url.authority().ok_or("its URL names no host")?;
        let host = authority.host().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let path = format!("{}{}", url.path().trim_end_matches('/'), self.question.path);
        let mut request = Request::get(path).header(HOST, authority.as_str());
        if let Some(token) = &self.endpoint.token {
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
