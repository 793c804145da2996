//! What is known of all components at one moment: the verdict, the page, the metrics and the
//! messages are made from it.

use mcpmon_coordination::marks::Maintenance;

use crate::component::Component;
use crate::record::Record;

/// One moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Unix milliseconds.
    pub taken_at: u64,
    /// In the order of the configuration.
    pub components: Vec<Watched>,
    /// What is wrong on our own side, so that nothing is known of some components.
    pub own_trouble: Option<OwnTrouble>,
    /// Whether the coordination store answers; without it each replica goes on alone.
    pub coordination_up: bool,
}

/// One component and all that is known of it.
#[derive(Debug, Clone)]
pub struct Watched {
    pub component: Component,
    /// None before its first check.
    pub record: Option<Record>,
    /// While it is in maintenance it is checked, and nobody is told.
    pub maintenance: Option<Maintenance>,
    /// Whether somebody said that the present trouble is known: no reminders.
    pub acknowledged: bool,
    /// Whether remediation is repairing it: it is checked and nothing counts.
    pub repairing: bool,
}

/// The monitor itself is degraded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnTrouble {
    /// Unix milliseconds.
    pub since: u64,
    pub why: String,
}
