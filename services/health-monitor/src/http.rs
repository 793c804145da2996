//! The monitor's endpoints. Looking needs the scope `read`; whatever changes something needs
//! `operate`, also on loopback.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use mcpmon_bootstrap::http::routes::{nothing_here, only, posted, read};
use mcpmon_bootstrap::http::{Problem, Scope, Tokens, body};
use mcpmon_coordination::marks::{self, Maintenance, Marks};
use mcpmon_coordination::store;
use mcpmon_metrics::{Metrics, TEXT_FORMAT};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::check::Checker;
use crate::clock;
use crate::component::Component;
use crate::engine::Done;
use crate::record;
use crate::report::Report;

/// Bodies are a few words.
const LARGEST_BODY: usize = 16 * 1024;
const BODY_TIME: Duration = Duration::from_secs(10);

/// The longest window; a component that nobody wants to hear of should leave the configuration.
const LONGEST_MAINTENANCE: Duration = Duration::from_secs(30 * 24 * 3600);
const LONGEST_REASON: usize = 200;

/// What the endpoints share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) tokens: Tokens,
    pub(crate) metrics: Metrics,
    pub(crate) reports: watch::Receiver<Arc<Report>>,
    pub(crate) components: watch::Receiver<Arc<Vec<Component>>>,
    pub(crate) checker: Checker,
    pub(crate) done: mpsc::UnboundedSender<Done>,
    pub(crate) started: Instant,
}

type Shared = Data<State>;

/// Every endpoint but those of the readiness.
pub(crate) fn routes(app: &mut ServiceConfig) {
    let windows = web::resource("/api/v1/maintenance")
        .route(web::get().to(list_maintenance))
        .route(web::head().to(list_maintenance))
        .route(web::post().to(start_maintenance));
    let window =
        web::resource("/api/v1/maintenance/{component}").route(web::delete().to(end_maintenance));
    app.service(read("/metrics", metrics))
        .service(read("/health", health))
        .service(read("/api/v1/components", components))
        .service(posted("/api/v1/components/{component}/check", check))
        .service(posted("/api/v1/components/{component}/ack", acknowledge))
        .service(only(windows, "GET, HEAD, POST"))
        .service(only(window, "DELETE"))
        .default_service(nothing_here());
}

async fn metrics(state: Shared, request: HttpRequest) -> Result<HttpResponse, Problem> {
    state.tokens.check(Scope::Read, request.headers())?;
    let metrics = state.metrics.clone();
    let text = web::block(move || metrics.encode()).await;
    let text = text.map_err(|error| internal(&error))?.map_err(|error| internal(&error))?;
    Ok(HttpResponse::Ok().content_type(TEXT_FORMAT).body(text))
}

/// `GET /health`: alive, and since when. Open, as probes and load balancers expect.
async fn health(state: Shared) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "status": "healthy",
        "service": "mcp-health-monitor",
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": state.started.elapsed().as_secs_f64(),
    }))
}

async fn components(state: Shared, request: HttpRequest) -> Result<HttpResponse, Problem> {
    state.tokens.check(Scope::Read, request.headers())?;
    let report = state.reports.borrow().clone();
    Ok(HttpResponse::Ok().json(&*report))
}

/// Checks a component now: for remediation, which verifies, and for people.
async fn check(
    state: Shared,
    request: HttpRequest,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    state.tokens.check(Scope::Operate, request.headers())?;
    let component = find(&state, &name)?;
    let checked = state.checker.check_now(&component).await.map_err(unavailable)?;
    let record = &checked.record;
    let reply = json!({
        "name": component.name,
        "state": record.state,
        "outcome": record.outcome,
        "latency_ms": record.latency_ms,
        "error": record.error,
        "warning": record.warning,
        "checked_at": record.checked_at,
        "counted": checked.counted,
        "tools_hash": checked.tools_hash().map(|hash| format!("{hash:016x}")),
    });
    // Nobody listens any more when the service stops.
    let _ = state.done.send(Done { component, checked, missed: 0 });
    Ok(HttpResponse::Ok().json(reply))
}

/// Says that the present trouble is known, and that tools which vanished are gone for good.
async fn acknowledge(
    state: Shared,
    request: HttpRequest,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    state.tokens.check(Scope::Operate, request.headers())?;
    let component = find(&state, &name)?;
    let store = &**state.checker.store();
    let accepted = record::accept_tools(store, &component.name).await.map_err(unavailable)?;
    let record = record::read(store, &component.name).await.map_err(unavailable)?;
    let began = record.and_then(|record| record.first_failed_at);
    if let Some(began) = began {
        let now = clock::now();
        marks::acknowledge(store, &component.name, began, now).await.map_err(unavailable)?;
    }
    let reply = json!({ "acknowledged": began.is_some(), "tools_forgotten": accepted });
    Ok(HttpResponse::Ok().json(reply))
}

/// A window to open. `component` may be `_all`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    component: String,
    seconds: f64,
    reason: String,
}

async fn start_maintenance(
    state: Shared,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    if let Err(problem) = state.tokens.check(Scope::Operate, request.headers()) {
        body::abandon(payload);
        return Err(problem);
    }
    let body = body::read(&request, payload, LARGEST_BODY, BODY_TIME).await?;
    let Window { component, seconds, reason } = parse(&body)?;
    if component != marks::ALL {
        find(&state, &component)?;
    }
    let longest = LONGEST_MAINTENANCE.as_secs_f64();
    if !(seconds >= 1.0 && seconds <= longest) {
        return Err(bad(format!("`seconds` is {seconds}; expected a number from 1 to {longest}")));
    }
    if reason.trim().is_empty() || reason.chars().count() > LONGEST_REASON {
        return Err(bad("`reason` must say why, in 1 to 200 characters"));
    }
    let now = clock::now();
    // Some days in milliseconds.
    let until = now + (seconds * 1_000.0) as u64;
    let window = Maintenance { until, reason };
    let store = &**state.checker.store();
    marks::start_maintenance(store, &component, &window, now).await.map_err(unavailable)?;
    tracing::info!(component, until, reason = window.reason, "maintenance begins");
    Ok(HttpResponse::Ok().json(window))
}

async fn end_maintenance(
    state: Shared,
    request: HttpRequest,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    state.tokens.check(Scope::Operate, request.headers())?;
    let store = &**state.checker.store();
    let ended = marks::end_maintenance(store, &name).await.map_err(unavailable)?;
    if !ended {
        let detail = format!("there is no maintenance window for `{name}`");
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    tracing::info!(component = name.as_str(), "maintenance ends");
    Ok(HttpResponse::NoContent().finish())
}

async fn list_maintenance(state: Shared, request: HttpRequest) -> Result<HttpResponse, Problem> {
    state.tokens.check(Scope::Read, request.headers())?;
    let marks = Marks::read(&**state.checker.store()).await.map_err(unavailable)?;
    Ok(HttpResponse::Ok().json(json!({ "maintenance": marks.maintenance })))
}

fn find(state: &State, name: &str) -> Result<Component, Problem> {
    let components = state.components.borrow().clone();
    components.iter().find(|component| component.name == name).cloned().ok_or_else(|| {
        let known: Vec<_> = components.iter().map(|component| component.name.as_str()).collect();
        let detail = format!("there is no component `{name}`; there are {}", known.join(", "));
        Problem::new(StatusCode::NOT_FOUND, detail)
    })
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| bad(format!("the body is not as expected: {error}")))
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn unavailable(error: store::Error) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

fn internal(error: &dyn fmt::Display) -> Problem {
    tracing::error!(%error, "a scrape failed");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
