//! What a person tells remediation, or asks of it.

use std::collections::BTreeSet;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use mcpmon_bootstrap::http::{Problem, Scope, body};
use mcpmon_coordination::marks::{self, Maintenance};
use mcpmon_coordination::{budget, incident, inventory};
use mcpmon_metrics::redact;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{BODY_TIME, LARGE_BODY, SMALL_BODY, Shared, State, bad, internal, unavailable};
use crate::audit::Event;
use crate::case::{self, Approval, Case};
use crate::explain::{self, Question};
use crate::verdict::Reason;
use crate::{budgets, engine};

const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 24 * 3600);
const LONGEST_REASON: usize = 200;

/// What would be done about this, and why. Nothing is done.
pub(super) async fn explain(
    state: Shared,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let body = read(&state, &request, payload, LARGE_BODY).await?;
    let question = Question::parse(&body).map_err(bad)?;
    let known = engine::state::State::read(&*state.store).await.map_err(unavailable)?;
    let policy = state.policy.borrow().clone();
    let answers = explain::with(&question, &policy, &known, &*state.store, &state.clock).await;
    Ok(HttpResponse::Ok().json(answers.map_err(unavailable)?))
}

/// Which incident is approved.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Approved {
    key: String,
}

/// Lets an incident's actions go on.
pub(super) async fn approve(
    state: Shared,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let body = read(&state, &request, payload, SMALL_BODY).await?;
    let Approved { key } = parse(&body)?;
    let store = &*state.store;
    let component = key.rsplit_once('@').map_or("", |(component, _)| component);
    let open = incident::open_incident(store, component).await.map_err(unavailable)?;
    let refused = |why: String| Err(Problem::new(StatusCode::CONFLICT, why));
    let Some(open) = open.filter(|open| open.key == key) else {
        return refused(format!("there is no open incident `{key}`"));
    };
    let now = state.clock.now();
    if now >= open.expires_at {
        return refused(format!("`{key}` was reported too long ago to be approved"));
    }
    let case = case::read(store, component).await.map_err(unavailable)?;
    let waits = case.is_some_and(|case| {
        case.incident == key
            && case.reason() == Some(Reason::AwaitingApproval)
            && !case.is_approved(now)
    });
    if !waits {
        return refused(format!("`{key}` does not wait for an approval"));
    }
    record(
        &state,
        Event { note: Some("approved".to_owned()), ..Event::about("operator", component, &key) },
    )
    .await?;
    let changed = case::change(store, component, now, |stored| {
        let mut case = Case::of(&open, stored);
        case.approved = Some(Approval { at: now, tried: case.tried.len() });
        Some(case)
    });
    changed.await.map_err(unavailable)?;
    state.wake.notify_one();
    Ok(HttpResponse::Ok().json(json!({ "approved": key })))
}

/// A pause: for one component, or `_all`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    component: String,
    seconds: f64,
    reason: String,
}

/// Opens a maintenance window, the same that the monitor knows.
pub(super) async fn pause(
    state: Shared,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let body = read(&state, &request, payload, SMALL_BODY).await?;
    let Pause { component, seconds, reason } = parse(&body)?;
    let longest = LONGEST_PAUSE.as_secs_f64();
    if !(seconds >= 1.0 && seconds <= longest) {
        return Err(bad(format!("`seconds` is {seconds}; expected a number from 1 to {longest}")));
    }
    if reason.trim().is_empty() || reason.chars().count() > LONGEST_REASON {
        return Err(bad("`reason` must say why, in 1 to 200 characters"));
    }
    known(&state, &component).await?;
    let now = state.clock.now();
    // Some days in milliseconds.
    let window =
        Maintenance { until: now + (seconds * 1_000.0) as u64, reason: redact::message(&reason) };
    let note = format!("paused until {}: {}", window.until, window.reason);
    let event =
        Event { component: Some(component.clone()), note: Some(note), ..Event::new("operator") };
    record(&state, event).await?;
    let started = marks::start_maintenance(&*state.store, &component, &window, now).await;
    started.map_err(unavailable)?;
    state.wake.notify_one();
    Ok(HttpResponse::Ok().json(window))
}

/// A pause of a name that nobody has would hold nothing.
async fn known(state: &State, component: &str) -> Result<(), Problem> {
    let inventory = inventory::read(&*state.store).await.map_err(unavailable)?;
    let policy = state.policy.borrow().clone();
    let rules = policy.rules.iter().map(|rule| rule.component.as_str());
    let names: BTreeSet<_> = inventory.keys().map(String::as_str).chain(rules).collect();
    if component == marks::ALL || names.contains(component) {
        return Ok(());
    }
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let detail = format!("there is no component `{component}`; there are {names}, and `_all`");
    Err(Problem::new(StatusCode::NOT_FOUND, detail))
}

/// Closes a maintenance window.
pub(super) async fn resume(
    state: Shared,
    request: HttpRequest,
    component: Path<String>,
) -> Result<HttpResponse, Problem> {
    state.tokens.check(Scope::Operate, request.headers())?;
    let store = &*state.store;
    let windows = marks::Marks::read(store).await.map_err(unavailable)?.maintenance;
    if !windows.contains_key(component.as_str()) {
        let detail = format!("`{component}` is not paused");
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    let event = Event {
        component: Some(component.clone()),
        note: Some("resumed".to_owned()),
        ..Event::new("operator")
    };
    record(&state, event).await?;
    marks::end_maintenance(store, &component).await.map_err(unavailable)?;
    state.wake.notify_one();
    Ok(HttpResponse::NoContent().finish())
}

/// Gives a component its budget back.
pub(super) async fn close_circuit(
    state: Shared,
    request: HttpRequest,
    component: Path<String>,
) -> Result<HttpResponse, Problem> {
    state.tokens.check(Scope::Operate, request.headers())?;
    let (store, now) = (&*state.store, state.clock.now());
    let open = budget::stopped(store).await.map_err(unavailable)?;
    if !open.contains(component.as_str()) {
        let open = open.into_iter().collect::<Vec<_>>().join(", ");
        let open = if open.is_empty() { "none is".to_owned() } else { format!("open: {open}") };
        let detail = format!("the circuit of `{component}` is not open; {open}");
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    let event = Event {
        component: Some(component.clone()),
        note: Some("circuit closed".to_owned()),
        ..Event::new("operator")
    };
    record(&state, event).await?;
    budget::reset(store, &component, now).await.map_err(unavailable)?;
    if *component != *budgets::SYSTEM {
        // The next verdict is news.
        let changed = case::change(store, &component, now, |stored| {
            let mut case = stored?;
            case.said = None;
            Some(case)
        });
        changed.await.map_err(unavailable)?;
    }
    state.wake.notify_one();
    Ok(HttpResponse::Ok().json(json!({ "closed": component.as_str() })))
}

async fn read(
    state: &State,
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> Result<actix_web::web::Bytes, Problem> {
    if let Err(problem) = state.tokens.check(Scope::Operate, request.headers()) {
        body::abandon(payload);
        return Err(problem);
    }
    body::read(request, payload, limit, BODY_TIME).await
}

/// What a person said is on record before it has an effect.
async fn record(state: &State, event: Event) -> Result<(), Problem> {
    let appended = state.audit.append(state.clock.now(), event).await;
    appended.map(drop).map_err(|error| internal(&error))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| bad(format!("the body is not as expected: {error}")))
}
