//! What was decided and done about a component's incident, shared by all replicas: the document
//! `case:<component>`.

use std::collections::BTreeMap;

use mcpmon_coordination::incident::EXPIRES_AFTER;
use mcpmon_coordination::typed::{self, Change, position_after};
use mcpmon_coordination::{Incident, Key, Store, store};
use serde::{Deserialize, Serialize};

use crate::action::Run;
use crate::verdict::{Reason, Verdict};
use crate::words::milliseconds;

/// One incident of a component, as remediation sees it. Times are Unix milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// The incident's key; all else is about this one.
    pub incident: String,
    /// What was tried for it, oldest first.
    #[serde(default)]
    pub tried: Vec<Tried>,
    /// The action that is under way, or was when its replica died.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<UnderWay>,
    /// The last verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Said>,
    /// What a person approved last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Approval>,
}

/// A person's yes to one action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub at: u64,
    /// How many actions had been tried by then: it is for the next one alone.
    pub tried: usize,
}

/// A verdict and since when it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    #[serde(flatten)]
    pub verdict: Verdict,
    pub since: u64,
}

/// One action that came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    pub attempt: String,
    /// The target's name in the configuration.
    pub target: String,
    /// When the target had been acted on: a run that began later is somebody else's.
    pub acted_at: u64,
    pub result: ActionResult,
}

/// One action that has not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// Names this action and no other: `<incident>#<number>`.
    pub attempt: String,
    pub target: String,
    /// What it does, for people.
    pub action: String,
    /// The kind of the target, for the metric.
    pub kind: String,
    pub fencing: u64,
    pub began_at: u64,
    /// By then the call has ended, also when its replica died or froze meanwhile: it does not begin
    /// one that could take longer.
    pub act_until: u64,
    /// The run that the target was in before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// One number for the tools that the MCP server offered before, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<String>,
}

/// How an action ended. The names are the values of the label `result`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionResult {
    /// It was done, and the component is well.
    Success,
    /// The target's side says that it failed.
    Failed,
    /// It was done, and the component is not well.
    Unverified,
    /// It may have been done, and the component is not well.
    Unknown,
    /// It was not done.
    Refused,
}

impl ActionResult {
    pub const ALL: [Self; 5] =
        [Self::Success, Self::Failed, Self::Unverified, Self::Unknown, Self::Refused];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Unverified => "unverified",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
        }
    }
}

impl Case {
    /// The case of this incident: the stored one, or a new one where that is about an earlier.
    /// An action that is under way is not forgotten with its incident.
    #[must_use]
    pub fn of(incident: &Incident, stored: Option<Self>) -> Self {
        match stored {
            Some(case) if case.incident == incident.key || case.under_way.is_some() => case,
            _ => Self { incident: incident.key.clone(), ..Self::default() },
        }
    }

    /// A new name for the next action. It is never used again, also when that comes to nothing.
    #[must_use]
    pub fn next_attempt(&self) -> String {
        let random = fastrand::u32(..);
        format!("{}#{}-{random:08x}", self.incident, self.tried.len() + 1)
    }

    /// The last action that was made, or may have been.
    #[must_use]
    pub fn last_made(&self) -> Option<&Tried> {
        self.tried.iter().rev().find(|tried| tried.result != ActionResult::Refused)
    }

    /// How many actions were made, as opposed to refused.
    #[must_use]
    pub fn made(&self) -> usize {
        self.tried.iter().filter(|tried| tried.result != ActionResult::Refused).count()
    }

    /// Whether a person approved the next action, and not long ago.
    #[must_use]
    pub fn is_approved(&self, now: u64) -> bool {
        self.approved.is_some_and(|approval| {
            approval.tried == self.tried.len()
                && now < approval.at.saturating_add(milliseconds(EXPIRES_AFTER))
        })
    }

    /// Why it stands still, if it does.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.said.as_ref().map(|said| said.verdict.reason)
    }
}

/// The document of a component's case.
#[must_use]
pub fn key(component: &str) -> Key {
    Key::new(&["case", component])
}

/// The case of one component.
///
/// # Errors
/// When the store cannot be asked, or what it holds is no case.
pub async fn read(store: &dyn Store, component: &str) -> Result<Option<Case>, store::Error> {
    Ok(typed::read(store, &key(component)).await?.map(|(_, case)| case))
}

/// Every case, by component.
///
/// # Errors
/// When the store cannot be asked.
pub async fn all(store: &dyn Store) -> Result<BTreeMap<String, Case>, store::Error> {
    typed::list(store, &Key::new(&["case"])).await
}

/// Changes a component's case; `None` from `decide` leaves it. Says what it is then, or `None` when
/// it was left.
///
/// # Errors
/// When the store cannot be asked, or what it holds is no case.
pub async fn change(
    store: &dyn Store,
    component: &str,
    now: u64,
    decide: impl Fn(Option<Case>) -> Option<Case>,
) -> Result<Option<Case>, store::Error> {
    typed::change(store, &key(component), |stored: Option<typed::Placed<Case>>| {
        let (last, stored) = stored.map_or((None, None), |(at, case)| (Some(at), Some(case)));
        match decide(stored) {
            Some(value) => {
                let position = position_after(last, now);
                Change::Write { position, value: value.clone(), ttl: None, result: Some(value) }
            }
            None => Change::Keep(None),
        }
    })
    .await
}
