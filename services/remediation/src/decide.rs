//! The decision: from what is known to what to do, without asking anybody anything.
//!
//! [`plan`] goes through all that speaks against an action before the target is looked at; then
//! [`compare`] judges what was seen there. Both are pure, so that a person can be shown what would
//! be decided, and a test can try every case.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mcpmon_coordination::Incident;
use mcpmon_coordination::budget::{self, Spent};
use mcpmon_coordination::incident::Origin;
use mcpmon_coordination::inventory::Member;
use mcpmon_coordination::marks::Maintenance;

use crate::action::{Condition, Sight, Trouble};
use crate::case::{ActionResult, Case, Tried};
use crate::policy::{Guards, Mode, Policy, Rule, Target, failure_name};
use crate::verdict::{Reason, Verdict};
use crate::words;

/// Everything that a decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Unix milliseconds.
    pub now: u64,
    pub policy: &'a Policy,
    pub incident: &'a Incident,
    pub case: &'a Case,
    /// The monitor's components.
    pub inventory: &'a BTreeMap<String, Member>,
    pub maintenance: Option<&'a Maintenance>,
    /// The budget of the component.
    pub spent: &'a Spent,
    /// The budget of all together.
    pub system_spent: &'a Spent,
    /// Until when nothing is repaired because of a storm that is over.
    pub calm_at: Option<u64>,
    /// Whether an action is under way, on whatever component.
    pub in_flight: bool,
}

/// What to do once the target was looked at.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    pub rule: &'a Rule,
    /// The target's name.
    pub rung: &'a str,
    pub target: &'a Target,
}

/// What speaks against acting, without looking at the target; or on which target to act.
///
/// # Errors
/// The verdict that ends it here.
pub fn plan<'a>(facts: &Facts<'a>) -> Result<Plan<'a>, Verdict> {
    let Facts { now, policy, incident, case, .. } = *facts;
    let component = incident.component.as_str();
    if let Some(word) = policy.protected.in_name(component) {
        let detail = format!("repairs depend on it themselves: `{word}`");
        return Err(Verdict::new(Reason::Protected, detail));
    }
    let Some(rule) = policy.rule(component, incident.failure) else {
        let failure = failure_name(incident.failure);
        return Err(Verdict::new(Reason::NoRule, format!("none for {failure} of {component}")));
    };
    let rung = rule.rung(case.made()).unwrap_or_default();
    let Some(target) = policy.targets.get(rung) else {
        let detail = format!("rule {} acts on `{rung}`, which is not listed", rule.name);
        return Err(Verdict::new(Reason::NoTarget, detail));
    };
    if let Some(window) = facts.maintenance {
        let detail = format!("maintenance: {}", window.reason);
        return Err(Verdict::new(Reason::Maintenance, detail).until(window.until));
    }
    if let Some(stopped) = spent_out(facts) {
        return Err(stopped);
    }
    known(facts)?;
    calm(facts)?;
    enough_healthy(facts)?;
    if facts.in_flight {
        return Err(Verdict::new(Reason::ActionInFlight, "another action is under way"));
    }
    if let Some(until) = facts.spent.not_before(&policy.guards.budget, now) {
        let (reason, why) = if case.tried.is_empty() {
            (Reason::CoolDown, "it was acted on a short while ago")
        } else {
            (Reason::BackOff, "the last action did not help")
        };
        return Err(Verdict::new(reason, why).until(until));
    }
    // After one that helped, it has to be seen first whether there is anything left to approve.
    if case.tried.last().is_none_or(|last| last.result != ActionResult::Success) {
        approved(now, incident, case, rule, target)?;
    }
    Ok(Plan { rule, rung, target })
}

/// What speaks against acting on a target that was just looked at.
///
/// # Errors
/// The verdict that ends it here.
pub fn compare(
    incident: &Incident,
    case: &Case,
    rung: &str,
    seen: &Result<Sight, Trouble>,
    guards: &Guards,
) -> Result<(), Verdict> {
    let sight = match seen {
        Ok(sight) => sight,
        Err(trouble @ Trouble::Absent(_)) => {
            return Err(Verdict::new(Reason::TargetAbsent, trouble.to_string()));
        }
        Err(trouble) => return Err(Verdict::new(Reason::TargetUnreadable, trouble.to_string())),
    };
    let last = case.last_made();
    match &sight.condition {
        Condition::Ours => {}
        Condition::Supervised(what) => {
            return Err(Verdict::new(Reason::NativeSupervisor, what.as_str()));
        }
        // A restart that failed half-way looks as if a person had stopped it.
        Condition::Stopped(_) if last.is_some_and(|last| left_it_stopped(last, rung)) => {}
        Condition::Stopped(how) => {
            return Err(Verdict::new(Reason::StoppedByOperator, how.as_str()));
        }
    }
    // A run that began before our own last action was over failed since then.
    let failed_at = last.map_or(0, |last| last.acted_at).max(incident.first_failed_at);
    let latest = failed_at.saturating_add(words::milliseconds(guards.clock_skew));
    if sight.run.as_ref().is_some_and(|run| run.started_at > latest) {
        let detail = "somebody else started it after it failed";
        return Err(Verdict::new(Reason::GenerationChanged, detail));
    }
    Ok(())
}

fn left_it_stopped(last: &Tried, rung: &str) -> bool {
    last.target == rung && matches!(last.result, ActionResult::Failed | ActionResult::Unknown)
}

/// Whether the component, and what it hangs together with, is known well enough.
fn known(facts: &Facts<'_>) -> Result<(), Verdict> {
    let Facts { now, incident, inventory, .. } = *facts;
    let old = |detail: String| Err(Verdict::new(Reason::InventoryOld, detail));
    let component = incident.component.as_str();
    let Some(member) = inventory.get(component) else {
        return old(format!(
            "the monitor knows no component {component}, so nothing could be verified"
        ));
    };
    let related = reach(component, inventory).into_iter().chain(
        inventory.iter().filter(|(_, other)| is_mate(member, other)).map(|(name, _)| name.as_str()),
    );
    for name in std::iter::once(component).chain(related) {
        if let Some(age) = inventory.get(name).and_then(|member| too_old(member, now)) {
            return old(format!("{name} was checked last {} ago", words::time(age)));
        }
    }
    let stale = inventory.values().filter(|member| too_old(member, now).is_some()).count();
    if stale * 2 >= inventory.len() {
        return old(format!("{stale} of {} components were not checked lately", inventory.len()));
    }
    Ok(())
}

/// How old the record is, if that is more than two intervals.
fn too_old(member: &Member, now: u64) -> Option<Duration> {
    let age = now.saturating_sub(member.checked_at);
    // A check may take its time.
    let allowed = member.interval_ms.saturating_mul(2).saturating_add(10_000);
    (age > allowed).then(|| Duration::from_millis(age))
}

fn is_mate(member: &Member, other: &Member) -> bool {
    member.group.is_some() && member.group == other.group
}

/// Whether the component is failing, also if not yet often enough for an incident.
fn is_failing(member: &Member) -> bool {
    member.in_trouble || member.consecutive_failures > 0
}

/// The components that fail, when they are a storm.
#[must_use]
pub fn storm<'a>(
    guards: &Guards,
    inventory: &'a BTreeMap<String, Member>,
    now: u64,
) -> Vec<&'a str> {
    let failing: Vec<_> = inventory
        .iter()
        .filter(|(_, member)| is_failing(member) && too_old(member, now).is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    let many = failing.len() >= guards.storm_components
        && failing.len() as f64 >= guards.storm_share * inventory.len() as f64;
    if many { failing } else { Vec::new() }
}

fn calm(facts: &Facts<'_>) -> Result<(), Verdict> {
    let Facts { now, policy, incident, inventory, .. } = *facts;
    let storm = storm(&policy.guards, inventory, now);
    if !storm.is_empty() {
        let detail = format!("{} of {} components fail at once", storm.len(), inventory.len());
        return Err(Verdict::new(Reason::Storm, detail));
    }
    let root = reach(&incident.component, inventory)
        .into_iter()
        .find(|name| inventory.get(*name).is_some_and(is_failing));
    if let Some(root) = root {
        let detail = format!("{root} is down, which {} depends on", incident.component);
        return Err(Verdict::new(Reason::Storm, detail));
    }
    match facts.calm_at {
        Some(until) if until > now => {
            Err(Verdict::new(Reason::Storm, "a storm was over just now").until(until))
        }
        _ => Ok(()),
    }
}

/// Everything that the component depends on, directly or not.
fn reach<'a>(component: &'a str, inventory: &'a BTreeMap<String, Member>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut ahead = vec![component];
    while let Some(name) = ahead.pop() {
        for needed in inventory.get(name).into_iter().flat_map(|member| &member.depends_on) {
            if needed != component && reached.insert(needed.as_str()) {
                ahead.push(needed);
            }
        }
    }
    reached
}

fn enough_healthy(facts: &Facts<'_>) -> Result<(), Verdict> {
    let Facts { policy, incident, inventory, .. } = *facts;
    let member = inventory.get(&incident.component);
    let Some((member, group)) = member.and_then(|member| Some((member, member.group.as_ref()?)))
    else {
        return Ok(());
    };
    let mates = inventory
        .iter()
        .filter(|(name, other)| **name != incident.component && is_mate(member, other));
    let healthy = mates.filter(|(_, other)| !is_failing(other) && other.up == Some(true)).count();
    let least = policy.guards.min_healthy(group);
    if healthy < least {
        let detail = format!("{healthy} others of {group} are healthy, and {least} must be");
        return Err(Verdict::new(Reason::MinHealthy, detail));
    }
    Ok(())
}

/// The verdict that the budget is spent, the component's or that of all.
fn spent_out(facts: &Facts<'_>) -> Option<Verdict> {
    let Facts { now, policy, incident, .. } = *facts;
    let over = |spent: &Spent, limits: &budget::Limits| {
        spent.is_stopped() || spent.in_window(limits, now) >= limits.attempts
    };
    let guards = &policy.guards;
    let (limits, whose, name) = if over(facts.spent, &guards.budget) {
        (&guards.budget, "this component", incident.component.as_str())
    } else if over(facts.system_spent, &guards.system_budget) {
        (&guards.system_budget, "all components", crate::budgets::SYSTEM)
    } else {
        return None;
    };
    let detail = format!(
        "{} actions within {} on {whose} are the budget; a person closes the circuit: \
         mcp-remediation close-circuit {name}",
        limits.attempts,
        words::time(limits.window)
    );
    Some(Verdict::new(Reason::CircuitOpen, detail))
}

/// What speaks against acting if a person has to approve first.
///
/// # Errors
/// The verdict that ends it here.
pub fn approved(
    now: u64,
    incident: &Incident,
    case: &Case,
    rule: &Rule,
    target: &Target,
) -> Result<(), Verdict> {
    let what = target.action.describe();
    match rule.mode {
        Mode::Approve if !case.is_approved(now) => {
            let until = incident.expires_at;
            if now >= until {
                let detail = format!("nobody approved: {what}");
                return Err(Verdict::new(Reason::Expired, detail));
            }
            let detail = format!("{what}: mcp-remediation approve {}", incident.key);
            Err(Verdict::new(Reason::AwaitingApproval, detail).until(until))
        }
        _ => Ok(()),
    }
}

/// Whether a fresh check that finds the component well means that there is nothing to do. An alert
/// knows of things that no check sees; but it may go on firing after an action that helped, and one
/// that nobody has reported for a while may be over.
#[must_use]
pub fn a_check_decides(incident: &Incident, case: &Case, now: u64) -> bool {
    let helped = case.tried.last().is_some_and(|last| last.result == ActionResult::Success);
    incident.origin == Origin::Monitor || helped || now >= incident.expires_at
}

#[cfg(test)]
mod tests;
