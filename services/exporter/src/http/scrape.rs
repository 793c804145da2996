//! `GET /metrics`: encoded off the workers, one at a time.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use mcpmon_bootstrap::http::Problem;
use mcpmon_metrics::TEXT_FORMAT;

use super::{Shared, may_read};

pub(super) async fn metrics(state: Shared, request: HttpRequest) -> Result<HttpResponse, Problem> {
    may_read(&state, &request)?;
    // The lock goes along, so that a client that hangs up does not let a second scrape begin.
    let turn = state.scrape.clone().lock_owned().await;
    let metrics = state.metrics.clone();
    let text = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        metrics.encode()
    });
    let failed = |why: String| {
        tracing::error!(why, "a scrape failed");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why)
    };
    let text = text.await.map_err(|e| failed(e.to_string()))?.map_err(|e| failed(e.to_string()))?;
    Ok(HttpResponse::Ok().content_type(TEXT_FORMAT).body(text))
}
