//! What may be repaired, how, and within which limits: everything that a reload may change.

mod read;
mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mcpmon_coordination::budget::Limits;
use mcpmon_coordination::incident::Failure;
use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::protected::Protected;
use crate::repair::OVERTIME;

/// The tables of the configuration that people name themselves.
pub const RULES: &str = "remediation.rules";
pub const TARGETS: &str = "remediation.targets";
pub const GROUPS: &str = "remediation.groups";

/// All of it.
#[derive(Debug, Clone)]
pub struct Policy {
    /// What the configuration says for all rules, if it does.
    pub mode: Option<Mode>,
    pub rules: Vec<Rule>,
    /// By name.
    pub targets: BTreeMap<String, Target>,
    pub guards: Guards,
    pub timing: Timing,
    pub protected: Protected,
}

/// Which failure of which component is answered by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub name: String,
    pub component: String,
    pub failures: Vec<Failure>,
    /// Names of targets: the first, and the next when it did not help.
    pub ladder: Vec<String>,
    pub mode: Mode,
}

/// How far a rule may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything but the action.
    DryRun,
    /// A person says yes first.
    Approve,
    Act,
}

/// Something that can be acted on.
#[derive(Debug, Clone)]
pub struct Target {
    pub kind: &'static str,
    pub action: Arc<dyn Action>,
}

/// What stands before an action.
#[derive(Debug, Clone)]
pub struct Guards {
    /// For one component.
    pub budget: Limits,
    /// For all of them together.
    pub system_budget: Limits,
    /// So many failing components at once are a storm,
    pub storm_components: usize,
    /// if they are at least this share of all.
    pub storm_share: f64,
    /// How long nothing is repaired after a storm.
    pub storm_cool_down: Duration,
    /// So many others of a group must be healthy, by group; and of the groups that are not named.
    pub min_healthy: BTreeMap<String, usize>,
    pub min_healthy_default: usize,
    /// A target that started so shortly after the first failure may have been running before it:
    /// the clocks of two machines differ.
    pub clock_skew: Duration,
}

/// How long things may take.
#[derive(Debug, Clone)]
pub struct Timing {
    /// One look at a target.
    pub look: Duration,
    /// One action.
    pub act: Duration,
    /// How long a target is left alone after it.
    pub grace: Duration,
    /// How long after that it may take until the component is well.
    pub verify: Duration,
    pub verify_every: Duration,
    /// So many good checks in a row are well.
    pub verify_checks: u32,
}

impl Policy {
    /// How far rules go that do not say it themselves.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode.unwrap_or(Mode::DryRun)
    }

    /// The rule for this failure of this component. There are not two: the configuration would have
    /// been refused.
    #[must_use]
    pub fn rule(&self, component: &str, failure: Failure) -> Option<&Rule> {
        self.rules
            .iter()
            .find(|rule| rule.component == component && rule.failures.contains(&failure))
    }
}

impl Rule {
    /// The target of the next action when so many were tried: up the ladder, and at its top again
    /// and again until the budget is spent.
    #[must_use]
    pub fn rung(&self, tried: usize) -> Option<&str> {
        self.ladder.get(tried.min(self.ladder.len().saturating_sub(1))).map(String::as_str)
    }
}

impl Guards {
    /// How many others of the group must be healthy.
    #[must_use]
    pub fn min_healthy(&self, group: &str) -> usize {
        self.min_healthy.get(group).copied().unwrap_or(self.min_healthy_default)
    }
}

impl Timing {
    /// The longest that it may take from the intent until the target was acted on: what the store and the
    /// last look may take is in it.
    #[must_use]
    pub fn longest_until_acted(&self) -> Duration {
        self.look + self.act + 10 * OVERTIME
    }

    /// The longest that it may take from the intent to the verdict.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.longest_until_acted() + self.grace + self.verify + 10 * OVERTIME
    }
}

/// The failure in the words of configuration and replies.
#[must_use]
pub fn failure_name(failure: Failure) -> String {
    match serde_json::to_value(failure) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "other".to_owned(),
    }
}
