//! Names to addresses, and whose trouble it is when there are none: a name that does not exist is the
//! target's, a resolver that does not answer is our own. For every probe, not only those of MCP.
//!
//! The system's resolver is asked, for it alone knows `/etc/hosts`, search lists and a container
//! engine's names. tokio's wrapper of it loses the code that tells the two troubles apart.
//!
//! A name server's refusal to answer has the same code as its absence, and a container engine
//! answers so for a container that was stopped. Then a name that resolved before is asked again:
//! if it still does, the resolver is well and the one name is not.

use std::collections::VecDeque;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// A lookup blocks a thread, for 10 s and more when the name servers are silent. Further ones
/// wait here instead of in threads of their own.
pub static LOOKUPS: Semaphore = Semaphore::const_new(64);

/// Lookups of a name that resolved before, to tell whose trouble a slow one is. A name server that is
/// well answers them from memory.
static CONTROLS: Semaphore = Semaphore::const_new(8);
const CONTROL_TIME: Duration = Duration::from_millis(200);

/// Names that resolved, the last one last.
static RESOLVED: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());
const REMEMBERED: usize = 16;
/// How many of them are asked when a name server refuses.
const ASKED_AGAIN: usize = 2;

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// A name server says so.
    #[error("the name `{0}` does not exist")]
    NoSuchName(String),
    /// The name servers answer for other names.
    #[error("the name servers give no answer for `{0}`, and do for other names")]
    Unanswered(String),
    /// No name server, or a fault of this system.
    #[error("this host's resolver cannot look up `{name}`: {cause}")]
    OurSide {
        /// What was looked up.
        name: String,
        /// What the system says.
        cause: String,
    },
}

/// The system's resolver, for HTTP clients. Its copies know of each other's lookups.
#[derive(Debug, Clone, Default)]
pub struct SystemResolver {
    under_way: Arc<AtomicUsize>,
    /// What was looked up last.
    name: Arc<Mutex<String>>,
}

impl SystemResolver {
    /// Whether somebody waits for a lookup right now.
    #[must_use]
    pub fn is_looking(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) > 0
    }

    /// The name that was looked up last.
    pub(crate) fn name(&self) -> String {
        self.name.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One lookup; it is over when this is dropped, also because nobody waits for it any more.
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn new(resolver: &SystemResolver) -> Self {
        resolver.under_way.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&resolver.under_way))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let under_way = UnderWay::new(self);
        *self.name.lock().unwrap_or_else(PoisonError::into_inner) = name.as_str().to_owned();
        Box::pin(async move {
            let _under_way = under_way;
            // The client puts the URL's port in the place of 0.
            let addresses =
                lookup(name.as_str()).await?.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

/// Whether the name servers answer for other names, while a lookup of `name` takes too long: then it
/// is the name's trouble and not the resolver's. Takes a moment at the most.
pub async fn answers_for_others(name: &str) -> bool {
    // Behind a silent resolver these would pile up as well.
    let Ok(permit) = CONTROLS.try_acquire() else { return false };
    let name = name.to_owned();
    let asking = spawn_blocking(move || {
        let _permit = permit;
        others_resolve(&name)
    });
    matches!(timeout(CONTROL_TIME, asking).await, Ok(Ok(true)))
}

/// The addresses of a host, which may be an address itself.
///
/// # Errors
/// When it has none. Whoever waits no longer than he likes drops the future; the thread that
/// looks ends by itself.
pub async fn lookup(host: &str) -> Result<Vec<IpAddr>, LookupError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return Ok(vec![address]);
    }
    let permit = LOOKUPS.acquire().await.expect("nobody closes the semaphore");
    let name = host.to_owned();
    let looking = spawn_blocking(move || {
        // Held until the thread is free, also when nobody waits for the answer any more.
        let _permit = permit;
        blocking(&name)
    });
    looking.await.unwrap_or_else(|error| {
        Err(LookupError::OurSide { name: host.to_owned(), cause: error.to_string() })
    })
}

fn blocking(name: &str) -> Result<Vec<IpAddr>, LookupError> {
    match ask(name) {
        Ok(found) => {
            remember(name);
            Ok(reachable(found))
        }
        Err(Refusal::NoSuchName) => Err(LookupError::NoSuchName(name.to_owned())),
        Err(Refusal::TryAgain(_)) if others_resolve(name) => {
            Err(LookupError::Unanswered(name.to_owned()))
        }
        Err(Refusal::TryAgain(cause) | Refusal::Other(cause)) => {
            Err(LookupError::OurSide { name: name.to_owned(), cause })
        }
    }
}

/// The addresses that this host has a route to; all when there is none to any. Or that there is
/// none to a name's IPv6 address would hide that its IPv4 address refuses a connection.
fn reachable(found: Vec<IpAddr>) -> Vec<IpAddr> {
    let has_route = |ip: &IpAddr| {
        let any = match ip {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        // Nothing is sent; the system only looks for a route.
        UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((*ip, 9))).is_ok()
    };
    let (near, far): (Vec<_>, Vec<_>) = found.into_iter().partition(has_route);
    if near.is_empty() { far } else { near }
}

/// What the system says instead of an address.
enum Refusal {
    NoSuchName,
    TryAgain(String),
    Other(String),
}

fn ask(name: &str) -> Result<Vec<IpAddr>, Refusal> {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    match getaddrinfo(Some(name), None, Some(hints)) {
        Ok(found) => {
            let found: std::io::Result<Vec<_>> =
                found.map(|entry| entry.map(|entry| entry.sockaddr.ip())).collect();
            found.map_err(|error| Refusal::Other(error.to_string()))
        }
        Err(error) => {
            let kind = error.kind();
            let cause = std::io::Error::from(error).to_string();
            Err(match kind {
                // The two codes that a name server's own answer gives.
                LookupErrorKind::NoName | LookupErrorKind::NoData => Refusal::NoSuchName,
                LookupErrorKind::Again => Refusal::TryAgain(cause),
                _ => Refusal::Other(cause),
            })
        }
    }
}

/// Whether a name resolves now that no file of this host knows.
fn others_resolve(name: &str) -> bool {
    let known: Vec<String> = {
        let resolved = RESOLVED.lock().unwrap_or_else(PoisonError::into_inner);
        resolved.iter().rev().filter(|other| *other != name).cloned().collect()
    };
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let by_server = known.iter().filter(|other| !is_in(&hosts, other));
    by_server.take(ASKED_AGAIN).any(|other| ask(other).is_ok())
}

/// Whether a hosts file answers for the name; `localhost` is answered without one.
fn is_in(hosts: &str, name: &str) -> bool {
    let entries = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut names = entries.flat_map(|line| line.split_whitespace().skip(1));
    let is_local = name == "localhost" || name.ends_with(".localhost");
    is_local || names.any(|known| known.eq_ignore_ascii_case(name))
}

fn remember(name: &str) {
    let mut resolved = RESOLVED.lock().unwrap_or_else(PoisonError::into_inner);
    if resolved.back().is_some_and(|last| last == name) {
        return;
    }
    resolved.retain(|known| known != name);
    if resolved.len() == REMEMBERED {
        resolved.pop_front();
    }
    resolved.push_back(name.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_file_is_no_name_server() {
        let hosts = "127.0.0.1 localhost\n10.0.0.2 db db.example # not: cache\n";
        assert!(is_in(hosts, "DB.example") && is_in(hosts, "db") && is_in("", "localhost"));
        assert!(!is_in(hosts, "cache") && !is_in(hosts, "10.0.0.2"));
    }

    #[test]
    fn the_last_names_are_remembered() {
        for number in 0..40 {
            remember(&format!("host{number}"));
        }
        remember("host30");
        let resolved = RESOLVED.lock().unwrap();
        assert_eq!(resolved.len(), REMEMBERED);
        assert_eq!(resolved.back().unwrap(), "host30");
        assert_eq!(resolved.iter().filter(|name| *name == "host30").count(), 1);
    }
}
