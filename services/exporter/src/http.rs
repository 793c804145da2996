//! The exporter's endpoints. Each checks its scope first; the routes are static.

mod api;
mod ingest;
mod page;
mod scrape;

use actix_web::web::{self, ServiceConfig};
use mcpmon_bootstrap::http::{Problem, Scope};

pub(crate) use self::ingest::{Buffers, Replies};
use crate::application::State;

type Shared = web::Data<State>;

/// Every endpoint but those of the readiness.
pub(crate) fn routes(app: &mut ServiceConfig) {
    app.route("/v1/events", web::post().to(ingest::events))
        .route("/metrics", web::get().to(scrape::metrics))
        .route("/health", web::get().to(api::health))
        .route("/api/v1/summary", web::get().to(api::summary))
        .route("/api/v1/failures", web::get().to(api::failures))
        .route("/api/v1/status", web::get().to(api::status))
        .route("/v1/alerts", web::post().to(api::alerts))
        .route("/", web::get().to(page::index))
        .route("/assets/page.css", web::get().to(page::style))
        .route("/assets/page.js", web::get().to(page::script));
}

/// Whether the request may look.
fn may_read(state: &State, request: &actix_web::HttpRequest) -> Result<(), Problem> {
    state.tokens.check(Scope::Read, request.headers())
}
