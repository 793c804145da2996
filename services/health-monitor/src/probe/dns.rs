//! Names to addresses, for every probe: a name that does not exist is the component's trouble, a
//! resolver that does not answer is our own.
//!
//! The system's resolver is asked, for it alone knows `/etc/hosts`, search lists and a container
//! engine's names. tokio's wrapper of it loses the code that tells the two troubles apart.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};
use mcpmon_coordination::incident::Failure;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::finding::{Finding, Unknown};

/// A lookup blocks a thread, for 10 s and more when the name servers are silent. Further ones
/// wait here instead of in threads of their own.
static LOOKUPS: Semaphore = Semaphore::const_new(64);

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    #[error("the name `{0}` does not exist")]
    NoSuchName(String),
    #[error("this host's resolver cannot look up `{name}`: {cause}")]
    OurSide { name: String, cause: String },
}

impl LookupError {
    /// What it says of the component; `asked` tells what was to be done.
    pub(super) fn finding(&self, asked: &str) -> Finding {
        let error = format!("{asked}: {self}");
        match self {
            Self::NoSuchName(_) => Finding::fail(Failure::Dns, error),
            Self::OurSide { .. } => Finding::unknown(Unknown::OurSide, error),
        }
    }
}

/// The addresses of a host, which may be an address itself.
pub(super) async fn lookup(host: &str) -> Result<Vec<IpAddr>, LookupError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return Ok(vec![address]);
    }
    let permit = LOOKUPS.acquire().await.expect("nobody closes the semaphore");
    let name = host.to_owned();
    let looking = spawn_blocking(move || {
        // Held until the thread is free, also when nobody waits for the answer any more.
        let _permit = permit;
        blocking(name)
    });
    let ended = looking.await;
    ended.unwrap_or_else(|error| {
        Err(LookupError::OurSide { name: host.to_owned(), cause: error.to_string() })
    })
}

/// Where a TCP connection to a host may go. A lookup that takes longer than `limit` is our own
/// trouble, whatever the name.
pub(super) async fn addresses(
    host: &str,
    port: u16,
    limit: Duration,
    asked: &str,
) -> Result<Vec<SocketAddr>, Finding> {
    match timeout(limit, lookup(host)).await {
        Ok(Ok(found)) => Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()),
        Ok(Err(error)) => Err(error.finding(asked)),
        Err(_) => Err(too_slow(asked, limit)),
    }
}

/// The resolver did not answer in time.
pub(super) fn too_slow(asked: &str, limit: Duration) -> Finding {
    let error =
        format!("{asked}: this host's resolver did not answer within {} s", limit.as_secs_f64());
    Finding::unknown(Unknown::OurSide, error)
}

fn blocking(name: String) -> Result<Vec<IpAddr>, LookupError> {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    let our_side = |name, cause| Err(LookupError::OurSide { name, cause });
    match getaddrinfo(Some(&name), None, Some(hints)) {
        Ok(found) => {
            let found: Result<Vec<_>, _> =
                found.map(|entry| entry.map(|entry| entry.sockaddr.ip())).collect();
            found.or_else(|error| our_side(name, error.to_string()))
        }
        // The two codes that a name server's own answer gives. No server, a server's error and
        // a fault of this system have others.
        Err(error) if matches!(error.kind(), LookupErrorKind::NoName | LookupErrorKind::NoData) => {
            Err(LookupError::NoSuchName(name))
        }
        Err(error) => our_side(name, std::io::Error::from(error).to_string()),
    }
}

#[cfg(test)]
mod tests;
