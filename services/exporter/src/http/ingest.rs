//! `POST /v1/events`: who may send, how much, and in which shape.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use mcpmon_bootstrap::http::{Problem, Scope};
use mcpmon_metrics::catalogue::INGEST_REQUESTS;
use mcpmon_metrics::wire::BatchError;
use mcpmon_metrics::{Counter, Metrics};

use super::buffers::Body;
use super::{Shared, bad};
use crate::ingest::short;
use crate::state::State;

const MAX_KEY_BYTES: usize = 256;

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
    let head = || {
        state.tokens.check(Scope::Write, headers)?;
        Ok((shape(headers)?, is_gzip(headers)?, key(headers)?))
    };
    let ((shape, gzip, key), mut body) = Body::receive(head(), state, request, payload).await?;
    state.ingest.received(body.bytes.len());
    if gzip {
        body = body.decompress(state).await?;
    }
    let reply = match shape {
        Shape::Batch => state.ingest.batch(&body.bytes, key),
        Shape::Lines => {
            let text = std::str::from_utf8(&body.bytes);
            state.ingest.lines(text.map_err(|e| bad(format!("the body is no text: {e}")))?, key)
        }
    };
    reply.map_err(|error| match error {
        BatchError::TooMany => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        // It may quote what was sent.
        _ => bad(short(error.to_string())),
    })
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
    let value = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes).unwrap_or_default();
    match value.to_ascii_lowercase().as_slice() {
        b"" | b"identity" => Ok(false),
        b"gzip" | b"x-gzip" => Ok(true),
        _ => {
            let value = String::from_utf8_lossy(value);
            let detail = format!("Content-Encoding is {value:?}; expected gzip or none");
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
