//! Reads a request's body within a size and a time, so that neither a huge body nor one that
//! trickles in holds memory or a connection for long.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt as _;

use super::Problem;

/// Reads the whole body as it was sent, still compressed if it came so.
///
/// `limit` is in bytes; `deadline` bounds the whole reading, not the time between two pieces.
///
/// # Errors
/// 413 above the limit, without reading when `Content-Length` says so; 408 after the deadline;
/// 400 when the body breaks off or is badly framed.
pub async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    limit: usize,
    deadline: Duration,
) -> Result<Bytes, Problem> {
    let announced = request.headers().get(CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let verdict =
        if announced.is_some_and(|length| usize::try_from(length).map_or(true, |n| n > limit)) {
            Err(too_large(limit))
        } else {
            let collected = tokio::time::timeout(deadline, collect(&mut payload, limit)).await;
            collected.unwrap_or_else(|_| Err(too_slow(deadline)))
        };
    if verdict.is_err() {
        abandon(payload);
    }
    verdict
}

/// Gives up a body that will not be read (to the end), so that the connection ends with the
/// answer. For every refusal of a request that may carry a body.
///
/// A chunked body that is merely dropped would be read on by actix for as long as the client
/// likes to send; while somebody holds it, actix closes the connection after the answer, and then
/// this ends too.
pub fn abandon(mut payload: Payload) {
    actix_web::rt::spawn(async move { while let Some(Ok(_)) = payload.next().await {} });
}

async fn collect(payload: &mut Payload, limit: usize) -> Result<Bytes, Problem> {
    // Most bodies arrive in one piece, which needs no copy.
    let Some(first) = next(payload, 0, limit).await? else {
        return Ok(Bytes::new());
    };
    let Some(second) = next(payload, first.len(), limit).await? else {
        return Ok(first);
    };
    let mut body = BytesMut::with_capacity(first.len() + second.len());
    body.extend_from_slice(&first);
    body.extend_from_slice(&second);
    while let Some(piece) = next(payload, body.len(), limit).await? {
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// The next piece, when it fits below the limit with what was `read` before.
async fn next(payload: &mut Payload, read: usize, limit: usize) -> Result<Option<Bytes>, Problem> {
    match payload.next().await.transpose() {
        Ok(Some(piece)) if piece.len() > limit - read => Err(too_large(limit)),
        Ok(piece) => Ok(piece),
        Err(PayloadError::Overflow) => Err(too_large(limit)),
        Err(error) => {
            let detail = format!("the body broke off: {error}");
            Err(Problem::new(StatusCode::BAD_REQUEST, detail))
        }
    }
}

fn too_large(limit: usize) -> Problem {
    let detail = format!("the body is too large; at most {limit} bytes are accepted");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

fn too_slow(deadline: Duration) -> Problem {
    let seconds = deadline.as_secs_f64();
    let detail = format!("the body did not arrive within {seconds} s");
    Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
}
