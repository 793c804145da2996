//! `mcp-remediation`: repairs known failures, and nothing else.
//!
//! From the incident to the repair: [`webhook`] and the monitor open incidents in the coordination
//! store; [`engine`] looks at those that are open, [`decide`] says what follows from the [`policy`],
//! the [`case`] and what the monitor knows; [`repair`] does it, with an [`action`] on a target, and
//! verifies it through the [`monitor`]. [`lead`] and [`host_lock`] see to it that one does it and not
//! two, [`budgets`] that it ends, and the [`audit`] that everybody can read why.

pub mod action;
mod application;
pub mod audit;
pub mod board;
pub mod budgets;
pub mod case;
pub mod clock;
pub mod config;
pub mod decide;
pub mod engine;
pub mod explain;
pub mod host_lock;
mod http;
pub mod lead;
mod metrics;
pub mod monitor;
mod news;
pub mod policy;
pub mod protected;
pub mod repair;
pub mod verdict;
pub mod webhook;
mod words;

pub use application::{Application, BuildError, Reload};
pub use config::Config;
pub use metrics::Counts;

/// The sections that the services share one file in.
pub const SECTIONS: &[&str] =
    &["budgets", "coordination", "exporter", "health_monitor", "log", "remediation", "slack"];
