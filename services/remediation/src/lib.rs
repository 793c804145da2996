//! `mcp-remediation`: repairs known failures, and nothing else.

pub mod action;

/// The sections that the services share one file in.
pub const SECTIONS: &[&str] =
    &["budgets", "coordination", "exporter", "health_monitor", "log", "remediation", "slack"];
