//! `mcp-health-monitor`: probes components on a schedule, keeps their states, tells people once.

pub mod component;
pub mod finding;
pub mod objectives;
pub mod probe;
pub mod record;
pub mod report;
pub mod snapshot;
pub mod traffic;
pub mod verdict;
