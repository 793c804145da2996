//! Bodies in memory: how much one may hold, how much all may hold together, and gzip within both.

use std::io::Read as _;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, HeaderValue, RETRY_AFTER};
use actix_web::web::{Bytes, Payload};
use flate2::read::MultiGzDecoder;
use mcpmon_bootstrap::http::{Problem, body};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::bad;
use crate::state::State;

const UNIT_BYTES: usize = 1024;
const RETRY_AFTER_SECONDS: u32 = 1;
/// The most bytes that deflate can stand for with one.
const MAX_EXPANSION: usize = 1032;

/// The memory that all bodies together may take, in units of a kibibyte.
#[derive(Debug)]
pub(crate) struct Buffers(Arc<Semaphore>);

/// A body, and the memory that is reserved for it.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    _reserved: OwnedSemaphorePermit,
}

impl Buffers {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / UNIT_BYTES)))
    }

    /// Reserves memory for as long as the permit is held.
    fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        self.0.clone().try_acquire_many_owned(units).map_err(|_| busy())
    }
}

impl Body {
    /// Reads the body of a request whose head was found good, still compressed if it came so.
    ///
    /// # Errors
    /// What is wrong with the head; 408, 413 and 400 as [`body::read`]; 429 when all bodies
    /// together would hold too much.
    pub(super) async fn receive<T>(
        head: Result<T, Problem>,
        state: &State,
        request: &HttpRequest,
        payload: Payload,
    ) -> Result<(T, Self), Problem> {
        let limits = &state.limits;
        let announced = request.headers().get(CONTENT_LENGTH);
        let announced = announced.and_then(|value| value.to_str().ok()?.parse().ok());
        let most = announced.unwrap_or(limits.body_bytes).min(limits.body_bytes);
        let accepted = head.and_then(|head| Ok((head, state.buffers.reserve(most)?)));
        let (head, reserved) = match accepted {
            Ok(accepted) => accepted,
            Err(problem) => {
                body::abandon(payload);
                return Err(problem);
            }
        };
        let bytes = body::read(request, payload, limits.body_bytes, limits.request_time).await?;
        Ok((head, Self { bytes, _reserved: reserved }))
    }

    /// Decompresses off the workers, and stops at the limit: a bomb costs no more than that.
    ///
    /// # Errors
    /// 400 when it is not gzip, 413 above the limit, 429 as in [`receive`](Self::receive).
    pub(super) async fn decompress(self, state: &State) -> Result<Self, Problem> {
        let limit = state.limits.decompressed_bytes;
        let most = self.bytes.len().saturating_mul(MAX_EXPANSION).min(limit);
        // Reserved only now: a compressed body that is slow to arrive holds nothing for its text.
        let reserved = state.buffers.reserve(most)?;
        let text = tokio::task::spawn_blocking(move || {
            // One that grows would hold up to twice as much; what is not written to costs nothing.
            let mut text = Vec::with_capacity(most + 1);
            let decoder = MultiGzDecoder::new(&*self.bytes);
            decoder.take(limit as u64 + 1).read_to_end(&mut text).map(|_| text)
        });
        let text = text.await.map_err(|e| bad(e.to_string()))?;
        let text = text.map_err(|e| bad(format!("the body is not gzip: {e}")))?;
        if text.len() > limit {
            let detail =
                format!("the body decompresses to too much; at most {limit} bytes are accepted");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        Ok(Self { bytes: text.into(), _reserved: reserved })
    }
}

fn busy() -> Problem {
    let detail = "too much is being received at once; try again later";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
        .header(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS))
}
