//! The exporter's endpoints. Each checks its scope first; the routes are static.

mod api;
mod buffers;
mod idle;
mod ingest;
mod page;
mod scrape;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{self, ServiceConfig};
use mcpmon_bootstrap::http::routes::{nothing_here, posted, read};
use mcpmon_bootstrap::http::{Problem, Scope};

pub(crate) use self::buffers::Buffers;
pub(crate) use self::idle::{Connections, tell};
pub(crate) use self::ingest::Replies;
use crate::state::State;

type Shared = web::Data<State>;

/// Every endpoint but those of the readiness.
pub(crate) fn routes(app: &mut ServiceConfig) {
    app.service(posted("/v1/events", ingest::events))
        .service(read("/metrics", scrape::metrics))
        .service(read("/health", api::health))
        .service(read("/api/v1/summary", api::summary))
        .service(read("/api/v1/failures", api::failures))
        .service(read("/api/v1/status", api::status))
        .service(posted("/v1/alerts", api::alerts))
        .service(read("/", page::index))
        .service(read("/assets/page.css", page::style))
        .service(read("/assets/page.js", page::script))
        .default_service(nothing_here());
}

/// Whether the request may look.
fn may_read(state: &State, request: &HttpRequest) -> Result<(), Problem> {
    state.tokens.check(Scope::Read, request.headers())
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}
