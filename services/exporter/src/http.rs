//! The exporter's endpoints. Each checks its scope first; the routes are static.

mod api;
mod buffers;
mod idle;
mod ingest;
mod page;
mod scrape;

use std::future::ready;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpRequest, Resource, Responder, ResponseError as _};
use mcpmon_bootstrap::http::{Problem, Scope, body};

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
        .default_service(web::to(async |payload: Payload| {
            body::abandon(payload);
            Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path").error_response()
        }));
}

fn read<H, A>(path: &str, handler: H) -> Resource
where
    H: Handler<A, Output: Responder + 'static>,
    A: FromRequest + 'static,
{
    let head = web::head().to(handler.clone());
    only(web::resource(path).route(web::get().to(handler)).route(head), "GET, HEAD")
}

fn posted<H, A>(path: &str, handler: H) -> Resource
where
    H: Handler<A, Output: Responder + 'static>,
    A: FromRequest + 'static,
{
    only(web::resource(path).route(web::post().to(handler)), "POST")
}

fn only(resource: Resource, methods: &'static str) -> Resource {
    resource.default_service(web::to(move |payload: Payload| {
        body::abandon(payload);
        let detail = format!("this path takes {methods} alone");
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail);
        ready(problem.header(ALLOW, HeaderValue::from_static(methods)).error_response())
    }))
}

/// Whether the request may look.
fn may_read(state: &State, request: &HttpRequest) -> Result<(), Problem> {
    state.tokens.check(Scope::Read, request.headers())
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}
