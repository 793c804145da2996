//! Demo traffic: the boutique as a child process, and clients that use it.
//!
//! [`Child`] starts `examples/boutique-server`; [`drive`] is a handful of real MCP clients over
//! Streamable HTTP, in both eras of the protocol. What they ask for is made up; that they ask,
//! and what the server answers and reports, is not. A [`Crowd`] knows one server's tools; in the
//! stack there is a second one, for `examples/atelier-server` behind the tap.

mod boutique;
mod child;
mod crowd;
mod mix;
mod session;
mod totals;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use boutique::Boutique;
pub use child::{Child, ChildError, demo_server};
pub use crowd::Crowd;
pub use totals::{Counts, Totals};

/// What the traffic goes to and looks like.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// The server's MCP endpoint.
    pub url: Arc<str>,
    /// The same seed makes the same calls.
    pub seed: u64,
    /// Stretches every pause; 0.1 is ten times as busy.
    pub pace: f64,
}

/// Uses the server until `shutdown` is done; calls that are under way then are cancelled.
///
/// A server that goes away is waited for, with back-off.
pub async fn drive(
    crowd: Crowd,
    traffic: Traffic,
    totals: Arc<Totals>,
    shutdown: impl Future<Output = ()>,
) {
    let stop = CancellationToken::new();
    let mut sessions = JoinSet::new();
    for plan in crowd.plans() {
        sessions.spawn(session::keep(*plan, traffic.clone(), Arc::clone(&totals), stop.clone()));
    }
    if crowd.knocks() {
        sessions.spawn(session::knock(traffic, Arc::clone(&totals), stop.clone()));
    }

    shutdown.await;
    stop.cancel();
    while let Some(ended) = sessions.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a demo session panicked");
        }
    }
}
