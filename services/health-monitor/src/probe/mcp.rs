//! Kind `mcp`: an MCP server, asked in its own protocol over its own transport.
//!
//! The session, and with it the server's program, is kept from check to check: starting one costs
//! seconds, asking it milliseconds. A check makes the revision's cheapest request and lists the
//! tools; it never calls one, but for a canary that somebody configured. A session that is found
//! dead is replaced once within the check, since a server may forget its sessions as it likes; one
//! that hangs is ended, with its process group.

mod read;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use mcpmon_coordination::incident::Failure;
use mcpmon_mcp_client::{Canary, CanaryResult, Connector, Fault, Listing, Session};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::Probe;
use crate::finding::{Finding, Inventory, ToolListing, Unknown};

pub(super) use self::read::read;

/// What is left of the deadline when we end by ourselves, to say what was waited for.
const MARGIN: Duration = Duration::from_millis(50);
/// How many missing tools are named.
const NAMED: usize = 10;

#[derive(Debug)]
struct Mcp {
    connector: Connector,
    is_program: bool,
    start_timeout: Duration,
    /// The tools that must be there.
    tools: Vec<String>,
    canary: Option<Canary>,
    session: Mutex<Option<Session>>,
}

/// What a session answered.
struct Answer {
    listing: Listing,
    /// Of the requests alone.
    latency: Duration,
    /// A fault of the canary's call is none of the listing that came before it.
    canary: Option<Result<CanaryResult, Fault>>,
}

impl Answer {
    /// Whether the session may be asked again. A call that was not answered would stay in it as
    /// one that waits, one more with each check.
    fn keeps_session(&self) -> bool {
        !matches!(&self.canary, Some(Err(fault)) if ends_session(fault))
    }
}

#[async_trait]
impl Probe for Mcp {
    async fn check(&self, deadline: Duration) -> Finding {
        let until = Instant::now() + deadline.saturating_sub(MARGIN.min(deadline / 10));
        let Ok(mut kept) = timeout_at(until, self.session.lock()).await else {
            return Finding::unknown(Unknown::OurSide, "another check of it is not over");
        };
        let mut ended = None;
        // Out of its place: if this check is given up, the session ends with it.
        if let Some(mut session) = kept.take() {
            match self.ask(&mut session, until).await {
                Ok(answer) => {
                    let keeps_session = answer.keeps_session();
                    let finding = self.judge(answer, &session);
                    *kept = keeps_session.then_some(session);
                    return finding;
                }
                Err(fault) if may_be_forgotten(&fault) => {
                    if let Fault::Exited(how) = fault {
                        ended = Some(format!("its program {how}; it was started again"));
                    }
                }
                Err(fault) => {
                    if !ends_session(&fault) {
                        *kept = Some(session);
                    }
                    return found(&fault);
                }
            }
        }
        let mut session = match self.connector.open(self.time_to_open(until)).await {
            Ok(session) => session,
            Err(fault) => return found(&fault),
        };
        match self.ask(&mut session, until).await {
            Ok(answer) => {
                let keeps_session = answer.keeps_session();
                let finding = self.judge(answer, &session);
                *kept = keeps_session.then_some(session);
                with_warning(finding, ended)
            }
            Err(fault) => found(&fault),
        }
    }

    async fn close(&self) {
        // The lock is not held meanwhile: the goodbye takes seconds.
        let session = self.session.lock().await.take();
        if let Some(session) = session {
            session.close().await;
        }
    }

    fn patience(&self) -> Option<Duration> {
        let is_cold = self.session.try_lock().is_ok_and(|kept| kept.is_none());
        (self.is_program && is_cold).then_some(self.start_timeout)
    }
}

impl Mcp {
    fn time_to_open(&self, until: Instant) -> Duration {
        let left = left(until);
        if self.is_program { left.min(self.start_timeout) } else { left }
    }

    async fn ask(&self, session: &mut Session, until: Instant) -> Result<Answer, Fault> {
        let asked = Instant::now();
        session.ping(left(until)).await?;
        let listing = session.list_tools(left(until)).await?;
        let latency = asked.elapsed();
        let canary = match &self.canary {
            Some(canary) => Some(session.canary(canary, &listing, left(until)).await),
            None => None,
        };
        Ok(Answer { listing, latency, canary })
    }

    fn judge(&self, answer: Answer, session: &Session) -> Finding {
        let Answer { listing, latency, canary } = answer;
        let missing = self.missing(&listing);
        let finding = match (&self.canary, canary) {
            _ if !missing.is_empty() => {
                Finding::fail(Failure::ToolsMissing, format!("not listed: {missing}"))
            }
            (Some(canary), Some(Ok(CanaryResult::NotListed))) => {
                Finding::fail(Failure::ToolsMissing, format!("not listed: {}", canary.tool))
            }
            (Some(canary), Some(Ok(CanaryResult::Failed(why)))) => {
                Finding::fail(Failure::CanaryFailed, format!("canary `{}`: {why}", canary.tool))
            }
            (Some(canary), Some(Ok(CanaryResult::Refused))) => Finding::ok(latency).warn(format!(
                "canary `{}` is not called: the server does not say that it is read-only; \
                 `canary.allow_writes = true` calls it all the same",
                canary.tool
            )),
            (Some(canary), Some(Err(fault))) => {
                let error = format!("canary `{}`: {fault}", canary.tool);
                Finding { error: Some(error), ..found(&fault) }
            }
            _ => Finding::ok(latency),
        };
        let incomplete =
            listing.incomplete.as_ref().map(|why| format!("incomplete listing: {why}"));
        let mut finding = with_warning(finding.after(latency), incomplete);
        finding.inventory = Some(inventory(listing, session));
        finding
    }

    /// The tools that must be there and are not, for people.
    fn missing(&self, listing: &Listing) -> String {
        let missing: Vec<_> = self
            .tools
            .iter()
            .filter(|name| !listing.tools.contains_key(*name))
            .map(String::as_str)
            .collect();
        let named = missing[..missing.len().min(NAMED)].join(", ");
        match missing.len().saturating_sub(NAMED) {
            0 => named,
            more => format!("{named} and {more} more"),
        }
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

/// Whether the session may only be forgotten or worn out: a fresh one tells.
fn may_be_forgotten(fault: &Fault) -> bool {
    matches!(fault, Fault::Http(400..=499) | Fault::BadBody(_) | Fault::Exited(_) | Fault::Other(_))
}

fn ends_session(fault: &Fault) -> bool {
    !matches!(fault, Fault::RateLimited { .. } | Fault::AuthRequired(_) | Fault::Rpc { .. })
}

/// What a fault says of the component.
fn found(fault: &Fault) -> Finding {
    let text = fault.to_string();
    let failure = match fault {
        Fault::OurSide(_) => return Finding::unknown(Unknown::OurSide, text),
        Fault::UnsupportedTransport => {
            return Finding::unknown(Unknown::UnsupportedTransport, text);
        }
        Fault::RateLimited { retry_after } => {
            let finding = Finding::unknown(Unknown::RateLimited, text);
            return Finding { retry_after: *retry_after, ..finding };
        }
        Fault::Refused => Failure::ConnectionRefused,
        Fault::Dns(_) => Failure::Dns,
        Fault::Tls(_) => Failure::Tls,
        Fault::Timeout { .. } => Failure::Timeout,
        Fault::Http(500..) => Failure::Http5xx,
        Fault::Http(_) => Failure::Http4xx,
        Fault::BadBody(_) => Failure::BadBody,
        Fault::NotMcp(_) | Fault::Rpc { .. } => Failure::McpBroken,
        Fault::ProtocolMismatch(_) => Failure::ProtocolMismatch,
        Fault::AuthRequired(_) => Failure::AuthRequired,
        Fault::NotStarted(_) | Fault::Exited(_) | Fault::Other(_) => Failure::Other,
    };
    Finding::fail(failure, text)
}

fn with_warning(finding: Finding, warning: Option<String>) -> Finding {
    match (warning, &finding.warning) {
        (None, _) => finding,
        (Some(new), None) => finding.warn(new),
        (Some(new), Some(old)) => {
            let both = format!("{old}; {new}");
            finding.warn(both)
        }
    }
}

fn inventory(listing: Listing, session: &Session) -> Inventory {
    let listed = |(name, tool): (String, mcpmon_mcp_client::Tool)| {
        let schema = ToolListing { schema_hash: tool.schema_hash, schema_valid: tool.schema_valid };
        (name, schema)
    };
    Inventory {
        protocol_version: session.server().protocol_version.clone(),
        complete: listing.incomplete.is_none(),
        tools: listing.tools.into_iter().map(listed).collect(),
    }
}
