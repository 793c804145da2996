//! Remediation, which says what it did and what keeps it from acting: the page's section `Repairs`.

use serde::{Deserialize, Serialize};

use crate::config::Endpoint;
use crate::peer::{Peer, Question};

/// What the page may show of each list: it is written into the page every two seconds.
const SHOWN: usize = 100;

/// What remediation says in `GET /api/v1/remediation`, as far as it is shown. Times are Unix
/// milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Repairs {
    /// `dry_run`, `approve` or `act`.
    mode: String,
    /// Why it does nothing at all at present, for instance `coordination_unavailable`.
    #[serde(default)]
    held: Option<String>,
    /// Whether this replica is the one that acts.
    leading: bool,
    /// The open incidents and what follows from each.
    incidents: Vec<Incident>,
    /// The last actions, newest first.
    actions: Vec<Action>,
    /// The components whose circuit is open; `_system` for the budget of all together.
    circuits: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Incident {
    component: String,
    key: String,
    failure: String,
    /// `act`, `wait` or `skip`; none before the first decision.
    #[serde(default)]
    decision: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    detail: Option<String>,
    since: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Action {
    at: u64,
    component: String,
    incident: String,
    /// In words.
    #[serde(default)]
    action: Option<String>,
    /// `success`, `failed`, `unverified`, `unknown` or `refused`.
    #[serde(default)]
    result: Option<String>,
    #[serde(default)]
    took_ms: Option<u64>,
    #[serde(default)]
    detail: Option<String>,
}

/// Remediation there.
pub(crate) fn at(endpoint: Endpoint) -> Peer<Repairs> {
    let (name, path) = ("remediation", "/api/v1/remediation");
    Peer::new(endpoint, Question { name, path, read })
}

fn read(body: &[u8]) -> Result<Repairs, String> {
    let mut repairs: Repairs = serde_json::from_slice(body)
        .map_err(|error| format!("its reply is not what it should be: {error}"))?;
    repairs.actions.sort_by_key(|action| std::cmp::Reverse(action.at));
    repairs.actions.truncate(SHOWN);
    repairs.incidents.truncate(SHOWN);
    repairs.circuits.truncate(SHOWN);
    Ok(repairs)
}
