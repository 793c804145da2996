//! `POST /v1/events`: who may send, how much, and in which shape.

use std::io::Read;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER,
};
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use flate2::read::MultiGzDecoder;
use mcpmon_bootstrap::http::{Problem, Scope, body};
use mcpmon_metrics::catalogue::INGEST_REQUESTS;
use mcpmon_metrics::wire::BatchError;
use mcpmon_metrics::{Counter, Metrics};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Shared;
use crate::application::State;

/// The memory that bodies may take, in units of a kibibyte.
#[derive(Debug)]
pub(crate) struct Buffers(Arc<Semaphore>);

const UNIT_BYTES: usize = 1024;
const MAX_KEY_BYTES: usize = 256;
const RETRY_AFTER_SECONDS: u32 = 1;

impl Buffers {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / UNIT_BYTES)))
    }

    /// Reserves memory for as long as the permit is held; none when there is too little.
    fn reserve(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).ok()?;
        self.0.clone().try_acquire_many_owned(units).ok()
    }
}

/// Replies by status, for `mcp_ingest_requests_total`.
#[derive(Debug)]
pub(crate) struct Replies(Vec<(StatusCode, Counter)>);

impl Replies {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let codes = [202, 400, 401, 403, 408, 413, 415, 429];
        let codes = codes.into_iter().filter_map(|code| StatusCode::from_u16(code).ok());
        let counter = |code: StatusCode| (code, metrics.counter(INGEST_REQUESTS, &[code.as_str()]));
        Self(codes.map(counter).collect())
    }

    fn count(&self, status: StatusCode) {
        if let Some((_, counter)) = self.0.iter().find(|(code, _)| *code == status) {
            counter.add(1);
        }
    }
}

/// How the events stand in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Batch,
    Lines,
}

pub(super) async fn events(state: Shared, request: HttpRequest, payload: Payload) -> HttpResponse {
    let response = match accept(&state, &request, payload).await {
        Ok(reply) => HttpResponse::Accepted().content_type("application/json").body(reply),
        Err(problem) => problem.error_response(),
    };
    state.replies.count(response.status());
    response
}

async fn accept(state: &State, request: &HttpRequest, payload: Payload) -> Result<Bytes, Problem> {
    let headers = request.headers();
    state.tokens.check(Scope::Write, headers)?;
    let (shape, gzip, key) = (shape(headers)?, is_gzip(headers)?, key(headers)?);
    let limits = state.limits;
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let body_bytes = announced.unwrap_or(limits.body_bytes).min(limits.body_bytes);
    let bytes = body_bytes + if gzip { limits.decompressed_bytes } else { 0 };
    let _reserved = state.buffers.reserve(bytes).ok_or_else(busy)?;
    let mut body = body::read(request, payload, limits.body_bytes, limits.body_time).await?;
    state.ingest.received(body.len());
    if gzip {
        body = decompress(body, limits.decompressed_bytes).await?;
    }
    let reply = match shape {
        Shape::Batch => state.ingest.batch(&body, key),
        Shape::Lines => {
            let text = std::str::from_utf8(&body).map_err(|e| bad(format!("the body: {e}")))?;
            state.ingest.lines(text, key)
        }
    };
    reply.map_err(|error| match error {
        BatchError::TooMany => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        _ => bad(error.to_string()),
    })
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

fn busy() -> Problem {
    let detail = "too much is being received at once; try again later";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
        .header(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS))
}

fn shape(headers: &HeaderMap) -> Result<Shape, Problem> {
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let essence = value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(b"application/json") {
        Ok(Shape::Batch)
    } else if essence.eq_ignore_ascii_case(b"application/x-ndjson") {
        Ok(Shape::Lines)
    } else {
        let detail = format!(
            "Content-Type is {:?}; expected application/json or application/x-ndjson",
            String::from_utf8_lossy(essence)
        );
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Problem> {
    match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(other) => {
            let other = String::from_utf8_lossy(other);
            let detail = format!("Content-Encoding is {other:?}; expected gzip or none");
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
        }
    }
}

fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= MAX_KEY_BYTES => Ok(Some(key)),
        _ => Err(bad(format!("Idempotency-Key: expected 1 to {MAX_KEY_BYTES} ASCII characters"))),
    }
}

/// Decompresses off the workers, and stops at the limit: a bomb costs no more than that.
async fn decompress(body: Bytes, limit: usize) -> Result<Bytes, Problem> {
    let decompressed = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        let decoder = MultiGzDecoder::new(&*body);
        decoder.take(limit as u64 + 1).read_to_end(&mut text).map(|_| text)
    });
    let decompressed = decompressed.await.map_err(|e| bad(e.to_string()))?;
    let text = decompressed.map_err(|e| bad(format!("the body is not gzip: {e}")))?;
    if text.len() > limit {
        let detail = format!("the body decompresses to too much; expected at most {limit} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    Ok(text.into())
}
