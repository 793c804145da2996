//! What people are told of repairs. The monitor tells it, as it does everything about components.

use mcpmon_coordination::Store;
use mcpmon_coordination::repair::{self, News, What};

/// News about an incident. `id` names it: the same news again is none.
pub(crate) fn about(
    id: &str,
    component: &str,
    incident: &str,
    at: u64,
    what: What,
    detail: &str,
) -> News {
    let began = incident.rsplit_once('@').and_then(|(_, began)| began.parse().ok());
    News {
        id: id.to_owned(),
        component: component.to_owned(),
        incident: incident.to_owned(),
        first_failed_at: began.unwrap_or(at),
        at,
        what,
        detail: (!detail.is_empty()).then(|| detail.to_owned()),
        took_ms: None,
    }
}

/// Hands it over. What cannot be handed over is in the log and the audit.
pub(crate) async fn publish(store: &dyn Store, news: &News) {
    if let Err(error) = repair::publish(store, news).await {
        tracing::warn!(id = news.id, %error, "nobody will be told of this repair");
    }
}
