//! JSON for the page and for programs, and Alertmanager's webhook.

use actix_web::http::StatusCode;
use actix_web::web::{Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use mcpmon_bootstrap::http::{Problem, Scope};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::buffers::Body;
use super::{Shared, bad, may_read};
use crate::alerts::{Alert, Notification};
use crate::failures::Failure;
use crate::ingest::short;
use crate::peer::Peer;
use crate::remediation::Repairs;
use crate::state::State;
use crate::summary::Summary;
use crate::verdict::Verdict;

/// `GET /health`: alive, and since when. Open, as probes and load balancers expect.
pub(super) async fn health(state: Shared) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "status": "healthy",
        "service": "mcp-exporter",
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": state.started.elapsed().as_secs_f64(),
    }))
}

async fn read_summary(state: &State) -> Result<(Summary, Verdict), Problem> {
    let totals = state.totals().await;
    let (now, totals) = totals
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let (start, before) = state.window.start();
    // Totals that are older than the newest sample would make a window that ends before it began.
    Ok(Summary::between((start, &before), (now.max(start), &totals)))
}

pub(super) async fn summary(state: Shared, request: HttpRequest) -> Result<HttpResponse, Problem> {
    may_read(&state, &request)?;
    let (summary, _) = read_summary(&state).await?;
    Ok(HttpResponse::Ok().json(summary))
}

/// Which failures are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    server: Option<String>,
    tool: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Failures {
    failures: Vec<Failure>,
}

pub(super) async fn failures(state: Shared, request: HttpRequest) -> Result<HttpResponse, Problem> {
    may_read(&state, &request)?;
    let wanted = Query::<Wanted>::from_query(request.query_string());
    let Wanted { server, tool, limit } = wanted.map_err(|error| bad(error.to_string()))?.0;
    let limit = limit.unwrap_or(usize::MAX);
    let failures = state.failures.list(server.as_deref(), tool.as_deref(), limit);
    Ok(HttpResponse::Ok().json(Failures { failures }))
}

#[derive(Serialize)]
struct Status {
    verdict: Verdict,
    alerts: Vec<Alert>,
    /// None when no remediation is configured.
    repairs: Option<Said>,
}

/// What remediation said, or why nothing is known of it.
#[derive(Serialize)]
#[serde(untagged)]
enum Said {
    Repairs(Repairs),
    Trouble { error: String },
}

/// `GET /api/v1/status`: the verdict of the health monitor, or of traffic alone; what remediation
/// does.
pub(super) async fn status(state: Shared, request: HttpRequest) -> Result<HttpResponse, Problem> {
    may_read(&state, &request)?;
    let verdict = match state.monitor.get().map(Peer::said) {
        Some(Ok(verdict)) => verdict,
        asked => {
            let (_, mut verdict) = read_summary(&state).await?;
            verdict.reasons.extend(asked.and_then(Result::err));
            verdict
        }
    };
    let repairs = state.remediation.get().map(|remediation| match remediation.said() {
        Ok(repairs) => Said::Repairs(repairs),
        Err(error) => Said::Trouble { error },
    });
    Ok(HttpResponse::Ok().json(Status { verdict, alerts: state.alerts.list(), repairs }))
}

/// `POST /v1/alerts`: Alertmanager's webhook, version 4.
pub(super) async fn alerts(
    state: Shared,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let allowed = state.tokens.check(Scope::Webhook, request.headers());
    let ((), body) = Body::receive(allowed, &state, &request, payload).await?;
    let notification: Notification = serde_json::from_slice(&body.bytes).map_err(|error| {
        let detail = format!("the body is not Alertmanager's webhook, version 4: {error}");
        bad(short(detail))
    })?;
    state.alerts.receive(notification);
    Ok(HttpResponse::NoContent().finish())
}
