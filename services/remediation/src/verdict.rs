//! What was decided about an incident, and why: the words of the audit, the metric and the page.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Act,
    /// Not now; it is decided again.
    Wait,
    /// Not at all, unless something changes.
    Skip,
}

/// Why. The names are the values of the label `decision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nothing stands against it.
    Act,
    /// A person has to say yes first.
    AwaitingApproval,
    /// Nobody said yes while the incident was fresh.
    Expired,
    /// The rule is only tried out.
    DryRun,
    /// Too soon after the last action on this component.
    CoolDown,
    /// An action did not help, and the next one waits longer.
    BackOff,
    /// The target's own supervisor is at it.
    NativeSupervisor,
    /// One action at a time, in the whole system.
    ActionInFlight,
    /// Redis cannot be used, so nobody can promise that nobody else acts.
    CoordinationUnavailable,
    /// Redis came back with another set of data; leases of before may still be believed in.
    HoldOff,
    /// What the monitor knows is too old, or it knows nothing of the component.
    InventoryOld,
    /// Many components fail at once, or one that others need: acting on each makes it worse.
    Storm,
    /// An alert that names no component.
    NoComponent,
    NoRule,
    /// The rule's target is not listed.
    NoTarget,
    /// A person stopped the target.
    StoppedByOperator,
    /// The target started anew since the incident began.
    GenerationChanged,
    /// Too few members of the group are healthy.
    MinHealthy,
    Maintenance,
    /// The budget is spent; a person closes the circuit.
    CircuitOpen,
    /// The target is one that repairs depend on themselves.
    Protected,
    TargetAbsent,
    TargetUnreadable,
    /// No audit, no action.
    AuditUnavailable,
    /// A fresh check finds it well.
    Recovered,
}

/// A decision with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub decision: Decision,
    pub reason: Reason,
    /// For people.
    pub detail: String,
    /// When it may be decided differently, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 25] = [
        Self::Act,
        Self::AwaitingApproval,
        Self::Expired,
        Self::DryRun,
        Self::CoolDown,
        Self::BackOff,
        Self::NativeSupervisor,
        Self::ActionInFlight,
        Self::CoordinationUnavailable,
        Self::HoldOff,
        Self::InventoryOld,
        Self::Storm,
        Self::NoComponent,
        Self::NoRule,
        Self::NoTarget,
        Self::StoppedByOperator,
        Self::GenerationChanged,
        Self::MinHealthy,
        Self::Maintenance,
        Self::CircuitOpen,
        Self::Protected,
        Self::TargetAbsent,
        Self::TargetUnreadable,
        Self::AuditUnavailable,
        Self::Recovered,
    ];

    /// The reason in the words of labels and replies.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Expired => "expired",
            Self::DryRun => "dry_run",
            Self::CoolDown => "cool_down",
            Self::BackOff => "back_off",
            Self::NativeSupervisor => "native_supervisor",
            Self::ActionInFlight => "action_in_flight",
            Self::CoordinationUnavailable => "coordination_unavailable",
            Self::HoldOff => "hold_off",
            Self::InventoryOld => "inventory_old",
            Self::Storm => "storm",
            Self::NoComponent => "no_component",
            Self::NoRule => "no_rule",
            Self::NoTarget => "no_target",
            Self::StoppedByOperator => "stopped_by_operator",
            Self::GenerationChanged => "generation_changed",
            Self::MinHealthy => "min_healthy",
            Self::Maintenance => "maintenance",
            Self::CircuitOpen => "circuit_open",
            Self::Protected => "protected",
            Self::TargetAbsent => "target_absent",
            Self::TargetUnreadable => "target_unreadable",
            Self::AuditUnavailable => "audit_unavailable",
            Self::Recovered => "recovered",
        }
    }

    /// What follows from it.
    #[must_use]
    pub fn decision(self) -> Decision {
        match self {
            Self::Act => Decision::Act,
            Self::AwaitingApproval
            | Self::CoolDown
            | Self::BackOff
            | Self::NativeSupervisor
            | Self::ActionInFlight
            | Self::CoordinationUnavailable
            | Self::HoldOff
            | Self::InventoryOld
            | Self::Storm
            | Self::MinHealthy
            | Self::Maintenance
            | Self::TargetUnreadable
            | Self::AuditUnavailable => Decision::Wait,
            Self::Expired
            | Self::DryRun
            | Self::NoComponent
            | Self::NoRule
            | Self::NoTarget
            | Self::StoppedByOperator
            | Self::GenerationChanged
            | Self::CircuitOpen
            | Self::Protected
            | Self::TargetAbsent
            | Self::Recovered => Decision::Skip,
        }
    }
}

impl Verdict {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { decision: reason.decision(), reason, detail: detail.into(), until: None }
    }

    pub(crate) fn until(self, until: u64) -> Self {
        Self { until: Some(until), ..self }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Act => "act",
            Self::Wait => "wait",
            Self::Skip => "skip",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `wait: cool_down (until …)`, as people read it.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::Act => write!(f, "act: {}", self.detail),
            reason => write!(f, "{}: {reason} ({})", self.decision, self.detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_written_as_they_are_labelled() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_string(&reason).unwrap(), format!("\"{reason}\""));
        }
    }
}
