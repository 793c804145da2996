//! `POST /v1/alerts`: Alertmanager's webhook.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use mcpmon_bootstrap::http::{Problem, Scope, body};
use mcpmon_coordination::inventory;
use serde_json::json;

use super::{BODY_TIME, LARGE_BODY, Shared, State, bad, internal, unavailable};
use crate::audit::Event;
use crate::verdict::{Reason, Verdict};
use crate::webhook::{self, Alert, Notification, Received};

pub(super) async fn receive(
    state: Shared,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    if let Err(problem) = state.tokens.check(Scope::Webhook, request.headers()) {
        body::abandon(payload);
        return Err(problem);
    }
    let body = body::read(&request, payload, LARGE_BODY, BODY_TIME).await?;
    let notification = Notification::parse(&body).map_err(bad)?;
    let store = &*state.store;
    let inventory = inventory::read(store).await.map_err(unavailable)?;
    let (mut opened, mut resolved) = (0, 0);
    for alert in &notification.alerts {
        let received = webhook::receive(store, &inventory, alert, &state.clock).await;
        match received.map_err(unavailable)? {
            Received::Opened(_) => opened += 1,
            Received::Resolved { ended: true, .. } => resolved += 1,
            Received::Known(_) | Received::Resolved { .. } => {}
            Received::NoComponent => nobody(&state, alert).await?,
        }
    }
    state.wake.notify_one();
    Ok(HttpResponse::Ok().json(json!({
        "alerts": notification.alerts.len(), "opened": opened, "resolved": resolved,
    })))
}

/// An alert that names no component is on record, but not with every repetition.
async fn nobody(state: &State, alert: &Alert) -> Result<(), Problem> {
    if !state.first_time(alert) {
        return Ok(());
    }
    let labels = alert.told_labels();
    let name = labels.get("alertname").map_or("", String::as_str);
    let detail = format!("alert {name} names no component and no server");
    let event = Event {
        verdict: Some(Verdict::new(Reason::NoComponent, detail)),
        evidence: json!({ "labels": labels, "status": alert.status }),
        ..Event::new("decision")
    };
    state.counts.decided("_other", Reason::NoComponent);
    let appended = state.audit.append(state.clock.now(), event).await;
    appended.map(drop).map_err(|error| internal(&error))
}
