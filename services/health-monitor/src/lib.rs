//! `mcp-health-monitor`: probes components on a schedule, keeps their states, tells people once.

pub mod component;
pub mod finding;
pub mod heartbeat;
pub mod notice;
mod outside;
pub mod probe;
pub mod record;
pub mod slack;
pub mod snapshot;
pub mod traffic;
