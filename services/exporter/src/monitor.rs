//! The health monitor, which has the verdict.

use serde_json::Value;

use crate::config::Endpoint;
use crate::peer::{Peer, Question};
use crate::verdict::Verdict;

/// The health monitor there.
pub(crate) fn at(endpoint: Endpoint) -> Peer<Verdict> {
    let (name, path) = ("the health monitor", "/api/v1/components");
    Peer::new(endpoint, Question { name, path, read })
}

fn read(body: &[u8]) -> Result<Verdict, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    Verdict::of_monitor(&value).ok_or_else(|| "its reply has no overall status".into())
}
