//! What would be done about an incident, and why, without doing it: for whoever writes a rule.

use std::collections::BTreeMap;
use std::fmt;

use mcpmon_coordination::budget::Spent;
use mcpmon_coordination::incident::{Failure, Origin};
use mcpmon_coordination::inventory::{Member, Outcome};
use mcpmon_coordination::{Incident, Store, store};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budgets;
use crate::case::Case;
use crate::clock::Clock;
use crate::decide::{Facts, compare, plan};
use crate::engine::state::State;
use crate::policy::{Policy, failure_name};
use crate::verdict::{Reason, Verdict};
use crate::webhook::{Alert, Notification, Status, short};

/// What is asked about.
#[derive(Debug)]
pub enum Question {
    Incident(Asked),
    Alerts(Vec<Alert>),
}

/// An incident in a few words, such as `{"component":"api","failure":"connection_refused"}`; a whole
/// one will do as well.
#[derive(Debug, Deserialize)]
pub struct Asked {
    pub component: String,
    pub failure: Failure,
    #[serde(default)]
    pub first_failed_at: Option<u64>,
    #[serde(default)]
    pub origin: Option<Origin>,
}

/// The answer for one incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub component: String,
    pub failure: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(default)]
    pub ladder: Vec<String>,
    /// What would be done, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    pub verdict: Verdict,
    /// What the answer does not take into account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Question {
    /// Reads an incident or an Alertmanager webhook body.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(text).map_err(|error| wrong(&error))?;
        if value.get("alerts").is_some() {
            return Notification::parse(text).map(|read| Self::Alerts(read.alerts));
        }
        serde_json::from_value(value).map(Self::Incident).map_err(|error| wrong(&error))
    }

    /// The incidents that it is about; an alert that is none stands with the reason.
    fn incidents(
        &self,
        inventory: &BTreeMap<String, Member>,
        now: u64,
    ) -> Vec<Result<Incident, Box<Answer>>> {
        match self {
            Self::Incident(asked) => {
                let began = asked.first_failed_at.unwrap_or(now);
                let origin = asked.origin.unwrap_or(Origin::Monitor);
                let kind = inventory.get(&asked.component).map_or("http", |member| &member.kind);
                vec![Ok(Incident::new(&asked.component, kind, asked.failure, origin, began, now))]
            }
            Self::Alerts(alerts) => {
                alerts.iter().map(|alert| of_alert(alert, inventory, now)).collect()
            }
        }
    }
}

fn of_alert(
    alert: &Alert,
    inventory: &BTreeMap<String, Member>,
    now: u64,
) -> Result<Incident, Box<Answer>> {
    let nothing = |reason, detail: String| {
        Box::new(Answer {
            component: alert.component(inventory).unwrap_or("_other").to_owned(),
            failure: failure_name(alert.failure()),
            rule: None,
            ladder: Vec::new(),
            action: None,
            verdict: Verdict::new(reason, detail),
            note: None,
        })
    };
    if alert.status == Status::Resolved {
        return Err(nothing(
            Reason::Recovered,
            format!("alert {} is resolved", short(alert.name())),
        ));
    }
    alert.incident(inventory, now).ok_or_else(|| {
        nothing(
            Reason::NoComponent,
            format!("alert {} names no component that the monitor knows", short(alert.name())),
        )
    })
}

fn wrong(error: &serde_json::Error) -> String {
    format!(
        "this is neither an incident nor an Alertmanager webhook body: {error}; expected for instance \
         {{\"component\":\"api\",\"failure\":\"connection_refused\"}}"
    )
}

/// The answer of a running service: with what was done lately, and a look at the target.
///
/// # Errors
/// When the store cannot be asked.
pub(crate) async fn with(
    question: &Question,
    policy: &Policy,
    known: &State,
    store: &dyn Store,
    clock: &Clock,
) -> Result<Vec<Answer>, store::Error> {
    let now = clock.now();
    let mut answers = Vec::new();
    for incident in question.incidents(&known.inventory, now) {
        let incident = match incident {
            Ok(incident) => incident,
            Err(answer) => {
                answers.push(*answer);
                continue;
            }
        };
        let incident = known.meant(incident);
        let component = incident.component.as_str();
        let case = Case::of(&incident, known.cases.get(component).cloned());
        let (spent, system_spent) = budgets::spent(store, component).await?;
        let facts = Facts {
            now,
            policy,
            incident: &incident,
            case: &case,
            inventory: &known.inventory,
            maintenance: known.marks.maintenance_of(component, now),
            spent: &spent,
            system_spent: &system_spent,
            calm_at: known.calm_at(&policy.guards),
            in_flight: known.cases.values().any(|case| case.under_way.is_some()),
        };
        let mut answer = judge(&facts);
        if answer.verdict.reason == Reason::Act
            && let Ok(plan) = plan(&facts)
        {
            let seen = plan.target.action.look(policy.timing.look).await;
            if let Err(verdict) = compare(&incident, &case, plan.rung, &seen, &policy.guards) {
                answer.verdict = verdict;
            }
        }
        answers.push(answer);
    }
    Ok(answers)
}

/// The answer of the configuration alone.
#[must_use]
pub fn offline(question: &Question, policy: &Policy, clock: &Clock) -> Vec<Answer> {
    let now = clock.now();
    let well: BTreeMap<String, Member> = policy
        .rules
        .iter()
        .map(|rule| (rule.component.clone(), checked_just_now("http", None, now)))
        .collect();
    let incidents = question.incidents(&well, now);
    let answer = |incident: Incident| {
        let mut inventory = well.clone();
        let failing = checked_just_now(&incident.kind, Some(incident.failure), now);
        inventory.insert(incident.component.clone(), failing);
        let (case, spent) = (Case::of(&incident, None), Spent::default());
        let facts = Facts {
            now,
            policy,
            incident: &incident,
            case: &case,
            inventory: &inventory,
            maintenance: None,
            spent: &spent,
            system_spent: &spent,
            calm_at: None,
            in_flight: false,
        };
        let note = "by the configuration alone: as if nothing else failed, nothing had been tried, and \
                    the target ran since before";
        Answer { note: Some(note.to_owned()), ..judge(&facts) }
    };
    incidents.into_iter().map(|incident| incident.map_or_else(|it| *it, answer)).collect()
}

fn judge(facts: &Facts<'_>) -> Answer {
    let Facts { policy, incident, case, .. } = *facts;
    let rule = policy.rule(&incident.component, incident.failure);
    let rung = rule.and_then(|rule| rule.rung(case.made()));
    let target = rung.and_then(|rung| policy.targets.get(rung));
    let action = target.map(|target| target.action.describe());
    let verdict = match plan(facts) {
        Ok(plan) if plan.rule.mode == crate::policy::Mode::DryRun => {
            let what = plan.target.action.describe();
            Verdict::new(Reason::DryRun, format!("it would {what}"))
        }
        Ok(plan) => Verdict::new(Reason::Act, plan.target.action.describe()),
        Err(verdict) => verdict,
    };
    Answer {
        component: incident.component.clone(),
        failure: failure_name(incident.failure),
        rule: rule.map(|rule| rule.name.clone()),
        ladder: rule.map(|rule| rule.ladder.clone()).unwrap_or_default(),
        action,
        verdict,
        note: None,
    }
}

/// A component of which nothing is known but how it fails, if it does.
fn checked_just_now(kind: &str, failure: Option<Failure>, now: u64) -> Member {
    let fails = failure.is_some();
    Member {
        kind: kind.to_owned(),
        server: None,
        group: None,
        depends_on: Vec::new(),
        interval_ms: 300_000,
        slot: now,
        checked_at: now,
        state: if fails { "unhealthy" } else { "healthy" }.to_owned(),
        outcome: failure.map_or(Outcome::Ok, Outcome::Fail),
        up: Some(!fails),
        in_trouble: fails,
        latency_ms: None,
        error: None,
        consecutive_failures: if fails { 3 } else { 0 },
        first_failed_at: failure.map(|_| now),
        tools: None,
    }
}

/// Some lines for people.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.component, self.failure)?;
        let rule = self.rule.as_deref().unwrap_or("none");
        writeln!(f, "   Rule: {rule}")?;
        if !self.ladder.is_empty() {
            writeln!(f, "   Ladder: {}", self.ladder.join(", then "))?;
        }
        if let Some(action) = &self.action {
            writeln!(f, "   Action: {action}")?;
        }
        writeln!(f, "   Decision: {}", self.verdict)?;
        if let Some(note) = &self.note {
            writeln!(f, "   Note: {note}")?;
        }
        Ok(())
    }
}
