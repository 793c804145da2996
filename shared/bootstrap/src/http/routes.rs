//! Routes that answer what they do not take: 405 with `Allow`, 404, and a body that nobody reads is
//! not waited for.

use std::future::ready;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::web::{self, Payload};
use actix_web::{
    FromRequest, Handler, HttpResponse, Resource, Responder, ResponseError as _, Route,
};

use super::{Problem, body};

/// A path that is read, by GET and HEAD.
pub fn read<H, A>(path: &str, handler: H) -> Resource
where
    H: Handler<A, Output: Responder + 'static>,
    A: FromRequest + 'static,
{
    let head = web::head().to(handler.clone());
    only(web::resource(path).route(web::get().to(handler)).route(head), "GET, HEAD")
}

/// A path that takes POST.
pub fn posted<H, A>(path: &str, handler: H) -> Resource
where
    H: Handler<A, Output: Responder + 'static>,
    A: FromRequest + 'static,
{
    only(web::resource(path).route(web::post().to(handler)), "POST")
}

/// The resource, which answers every other method than `methods` with 405.
pub fn only(resource: Resource, methods: &'static str) -> Resource {
    resource.default_service(web::to(move |payload: Payload| {
        body::abandon(payload);
        let detail = format!("this path takes {methods} alone");
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail);
        ready(problem.header(ALLOW, HeaderValue::from_static(methods)).error_response())
    }))
}

/// What every other path answers.
pub fn nothing_here() -> Route {
    async fn answer(payload: Payload) -> HttpResponse {
        body::abandon(payload);
        Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path").error_response()
    }
    web::to(answer)
}
