//! Probes: one file for each kind of component, and one line in [`KINDS`].
//!
//! A probe reads its own keys of the component's table, asks once when it is told to, and says
//! what it found. When, how often and what follows from it is not its business.

mod address;
mod alertmanager;
mod certificate;
mod client;
mod dns;
mod endpoint;
mod exporter;
mod http;
mod mcp;
mod prometheus;
mod redis;
mod status;
mod tcp;
#[cfg(test)]
mod testing;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
pub use mcpmon_bootstrap::settings::Keys;

use crate::finding::Finding;
use crate::traffic::{AlertSource, TrafficSource};

/// Every kind of component: its name in the configuration, and who reads its keys.
pub const KINDS: &[Kind] = &[
    Kind { name: "alertmanager", read: alertmanager::read },
    Kind { name: "exporter", read: exporter::read },
    Kind { name: "http", read: http::read },
    Kind { name: "mcp", read: mcp::read },
    Kind { name: "prometheus", read: prometheus::read },
    Kind { name: "redis", read: redis::read },
    Kind { name: "tcp", read: tcp::read },
];

/// One kind of component.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// The value of the key `kind`.
    pub name: &'static str,
    /// Reads the kind's own keys and builds the probe; `None` when a key that it needs is missing
    /// or wrong, which is noted in the settings.
    pub read: fn(&mut Keys<'_>) -> Option<Box<dyn Probe>>,
}

/// Asks one component how it is.
#[async_trait]
pub trait Probe: fmt::Debug + Send + Sync {
    /// Asks once. The caller drops the future at the check's deadline, so nothing that must be
    /// cleaned up may hang on its end; a probe that knows its own time ends before it, for its
    /// error says more.
    async fn check(&self, deadline: Duration) -> Finding;

    /// How long the next check may take if that is longer than usual: a program that has to be
    /// started first.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// Ends what is kept between checks, such as a child process.
    async fn close(&self) {}

    /// The component as a source of figures about calls, if it is one.
    fn traffic(&self) -> Option<&dyn TrafficSource> {
        None
    }

    /// The component as a source of alerts, if it is one.
    fn alerts(&self) -> Option<&dyn AlertSource> {
        None
    }
}

/// The kind of that name.
///
/// # Errors
/// Names every kind there is.
pub fn kind(name: &str) -> Result<Kind, String> {
    KINDS.iter().find(|kind| kind.name == name).copied().ok_or_else(|| {
        let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        format!("`{name}` is no kind of component; expected one of {}", names.join(", "))
    })
}

/// The time that a probe takes for itself: it ends a little before the check's deadline, for its
/// own error says more than the check's.
fn own_time(deadline: Duration) -> Duration {
    deadline.saturating_sub((deadline / 10).min(Duration::from_millis(100)))
}
