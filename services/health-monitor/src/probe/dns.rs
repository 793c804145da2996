//! Names to addresses, for every probe: what [`resolver`] says, as a finding.

use std::net::SocketAddr;
use std::time::Duration;

use mcpmon_coordination::incident::Failure;
use mcpmon_mcp_client::resolver::{self, LookupError};
use tokio::time::timeout;

use crate::finding::{Finding, Unknown};

/// What it says of the component; `asked` tells what was to be done.
pub(super) fn finding(error: &LookupError, asked: &str) -> Finding {
    let text = format!("{asked}: {error}");
    match error {
        LookupError::NoSuchName(_) | LookupError::Unanswered(_) => {
            Finding::fail(Failure::Dns, text)
        }
        LookupError::OurSide { .. } => Finding::unknown(Unknown::OurSide, text),
    }
}

/// Where a TCP connection to a host may go. A lookup that takes longer than `limit` is our own
/// trouble, whatever the name.
pub(super) async fn addresses(
    host: &str,
    port: u16,
    limit: Duration,
    asked: &str,
) -> Result<Vec<SocketAddr>, Finding> {
    match timeout(limit, resolver::lookup(host)).await {
        Ok(Ok(found)) => Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()),
        Ok(Err(error)) => Err(finding(&error, asked)),
        Err(_) => Err(too_slow(host, asked, limit).await),
    }
}

/// The resolver did not answer in time, for this name or for any.
pub(super) async fn too_slow(host: &str, asked: &str, limit: Duration) -> Finding {
    if resolver::answers_for_others(host).await {
        return finding(&LookupError::Unanswered(host.to_owned()), asked);
    }
    let error =
        format!("{asked}: this host's resolver did not answer within {} s", limit.as_secs_f64());
    Finding::unknown(Unknown::OurSide, error)
}

#[cfg(test)]
mod tests;
