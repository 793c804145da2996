//! Remediation's endpoints. Looking needs the scope `read`, Alertmanager has its own; whatever
//! changes something, and whoever asks what would be done, needs `operate`, also on loopback.

mod alerts;
mod operate;

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use mcpmon_bootstrap::http::routes::{nothing_here, only, posted, read};
use mcpmon_bootstrap::http::{Problem, Scope, Tokens};
use mcpmon_coordination::{Store, store};
use mcpmon_metrics::{Metrics, TEXT_FORMAT};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::audit::Audit;
use crate::board::Board;
use crate::clock::Clock;
use crate::metrics::Counts;
use crate::policy::Policy;
use crate::webhook::Alert;

/// Words of a person.
const SMALL_BODY: usize = 16 * 1024;
/// A thousand alerts.
const LARGE_BODY: usize = 4 * 1024 * 1024;
const BODY_TIME: Duration = Duration::from_secs(10);
const LONGEST_PAGE: usize = 1_000;
/// How many of the last actions the page shows, and among how many records they are looked for.
const ACTIONS_SHOWN: usize = 20;
const RECORDS_LOOKED_AT: usize = 500;

/// What the endpoints share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) tokens: Tokens,
    pub(crate) metrics: Metrics,
    pub(crate) counts: Counts,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) audit: Audit,
    pub(crate) board: watch::Receiver<Arc<Board>>,
    pub(crate) policy: watch::Receiver<Arc<Policy>>,
    pub(crate) wake: Arc<Notify>,
    pub(crate) clock: Clock,
    pub(crate) started: Instant,
    /// Alerts that name nobody, as far as they are on record.
    pub(crate) nobodies: Mutex<HashSet<u64>>,
}

fn name_of(alert: &Alert) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&alert.labels, &alert.starts_at).hash(&mut hasher);
    hasher.finish()
}

/// So many are remembered.
const NOBODIES: usize = 1_000;

type Shared = Data<State>;

impl State {
    /// Whether this alert, which names nobody, was not seen before.
    fn first_time(&self, alert: &Alert) -> bool {
        // A set is whole after every step.
        let mut seen = self.nobodies.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= NOBODIES {
            seen.clear();
        }
        seen.insert(name_of(alert))
    }

    /// It is not on record after all, and comes again.
    fn forget(&self, alert: &Alert) {
        let mut seen = self.nobodies.lock().unwrap_or_else(PoisonError::into_inner);
        seen.remove(&name_of(alert));
    }
}

/// Every endpoint but those of the readiness.
pub(crate) fn routes(app: &mut ServiceConfig) {
    let window =
        web::resource("/api/v1/maintenance/{component}").route(web::delete().to(operate::resume));
    app.service(read("/metrics", metrics))
        .service(read("/health", health))
        .service(read("/api/v1/remediation", remediation))
        .service(read("/api/v1/audit", audit))
        .service(posted("/v1/alerts", alerts::receive))
        .service(posted("/api/v1/explain", operate::explain))
        .service(posted("/api/v1/approve", operate::approve))
        .service(posted("/api/v1/maintenance", operate::pause))
        .service(only(window, "DELETE"))
        .service(posted("/api/v1/circuits/{component}/close", operate::close_circuit))
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
        "service": "mcp-remediation",
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": state.started.elapsed().as_secs_f64(),
    }))
}

/// What is blocked and why, what was done last, and which circuits are open.
async fn remediation(state: Shared, request: HttpRequest) -> Result<HttpResponse, Problem> {
    state.tokens.check(Scope::Read, request.headers())?;
    let board = state.board.borrow().clone();
    let policy = state.policy.borrow().clone();
    // The page is needed most when the audit is in trouble.
    let records = state.audit.page(None, RECORDS_LOOKED_AT).await.unwrap_or_default();
    let actions: Vec<Value> = records
        .into_iter()
        .filter(|record| record.event.result.is_some())
        .take(ACTIONS_SHOWN)
        .map(|record| {
            let event = record.event;
            json!({
                "at": record.at, "component": event.component, "incident": event.incident,
                "action": event.action, "result": event.result, "took_ms": event.took_ms,
                "detail": event.note,
            })
        })
        .collect();
    let rules: Vec<Value> = policy
        .rules
        .iter()
        .map(|rule| {
            let missing = rule.ladder.iter().filter(|name| !policy.targets.contains_key(*name));
            json!({
                "name": rule.name, "component": rule.component, "mode": rule.mode,
                "failures": rule.failures, "ladder": rule.ladder,
                "targets_not_listed": missing.collect::<Vec<_>>(),
            })
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({
        "mode": policy.mode(), "held": board.held, "leading": board.leading,
        "incidents": board.incidents, "actions": actions, "circuits": board.circuits, "rules": rules,
    })))
}

/// A page of the audit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    before: Option<u64>,
    limit: Option<usize>,
}

async fn audit(
    state: Shared,
    request: HttpRequest,
    page: Result<Query<Page>, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    state.tokens.check(Scope::Read, request.headers())?;
    let expected = "expected `before`, a record's number, and `limit`, from 1 to 1000";
    let page = page.map_err(|error| bad(format!("{error}; {expected}")))?;
    let limit = page.limit.unwrap_or(100);
    if !(1..=LONGEST_PAGE).contains(&limit) {
        return Err(bad(format!("`limit` is {limit}; {expected}")));
    }
    let records = state.audit.page(page.before, limit).await;
    let records = records.map_err(|error| internal(&error))?;
    let next = records.last().map(|record| record.seq).filter(|seq| *seq > 1);
    Ok(HttpResponse::Ok().json(json!({ "records": records, "next_before": next })))
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn unavailable(error: store::Error) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

fn internal(error: &dyn fmt::Display) -> Problem {
    tracing::error!(%error, "a request failed");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
