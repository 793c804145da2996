//! The status page and its two assets, from the binary itself.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse};
use mcpmon_bootstrap::http::Problem;

use super::{Shared, may_read};

pub(super) async fn index(state: Shared, request: HttpRequest) -> Result<HttpResponse, Problem> {
    may_read(&state, &request)?;
    Ok(asset("text/html; charset=utf-8", include_str!("../../assets/index.html")))
}

// The assets tell nothing, and a browser asks for them without the page's credentials.
pub(super) async fn style() -> HttpResponse {
    asset("text/css; charset=utf-8", include_str!("../../assets/page.css"))
}

pub(super) async fn script() -> HttpResponse {
    asset("text/javascript; charset=utf-8", include_str!("../../assets/page.js"))
}

fn asset(content_type: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, content_type))
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'self'; frame-ancestors 'none'"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(text)
}
