//! `mcp-health-monitor`: probes components on a schedule, keeps their states, tells people once.
//!
//! From the schedule to the message: [`engine`] wakes at a slot, or when there is a [`doubt`], [`check`] asks the [`probe`] and
//! writes down what follows, which [`judge`] and [`drift`] decide; [`view`] keeps the [`snapshot`] of
//! what is known of all components, from which [`opinion`] makes the verdict, `metrics` the
//! gauges and [`notice`] the messages.

mod application;
pub mod check;
mod clock;
pub mod component;
pub mod config;
pub mod doubt;
pub mod drift;
pub mod engine;
pub mod finding;
pub mod heartbeat;
mod http;
pub mod judge;
mod lag;
mod metrics;
pub mod notice;
pub mod objectives;
pub mod once;
pub mod opinion;
pub mod outside;
pub mod probe;
pub mod record;
pub mod report;
pub mod schedule;
pub mod slack;
pub mod snapshot;
pub mod traffic;
pub mod verdict;
pub mod view;

pub use application::{Application, BuildError, Reload};
pub use config::Config;

/// The sections that the services share one file in.
pub const SECTIONS: &[&str] =
    &["budgets", "coordination", "exporter", "health_monitor", "log", "remediation", "slack"];
