//! `POST /v1/alerts`: Alertmanager's webhook.

use actix_web::http::StatusCode;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use mcpmon_bootstrap::http::{Problem, Scope, body};
use mcpmon_coordination::inventory;
use serde_json::json;

use super::{BODY_TIME, LARGE_BODY, Shared, State, bad, internal, unavailable};
use crate::audit::Event;
use crate::verdict::{Reason, Verdict};
use crate::webhook::{self, Alert, Notification, Received, short};

pub(super) async fn receive(
    state: Shared,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    // Whoever may report trouble may have things restarted: never open, on loopback either.
    let open = state.tokens.open_keys().find(|key| key.ends_with("webhook_token"));
    let refused = open.map(|key| {
        let detail = format!("the scope webhook is closed until {key} or {key}_file is set");
        Problem::new(StatusCode::FORBIDDEN, detail)
    });
    let allowed = refused.map_or(Ok(()), Err);
    let allowed = allowed.and_then(|()| state.tokens.check(Scope::Webhook, request.headers()));
    if let Err(problem) = allowed {
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
    let detail = format!("alert {} names no component that the monitor knows", short(alert.name()));
    let event = Event {
        verdict: Some(Verdict::new(Reason::NoComponent, detail)),
        evidence: json!({ "labels": alert.few_labels(), "status": alert.status }),
        ..Event::new("decision")
    };
    if let Err(error) = state.audit.append(state.clock.now(), event).await {
        state.forget(alert);
        return Err(internal(&error));
    }
    state.counts.decided("_other", Reason::NoComponent);
    Ok(())
}
