//! Actions: one file for each kind of target, and one line in [`KINDS`].
//!
//! An action looks at its target when it is told to, and acts on it once when it is told to. Whether
//! and when, and what follows from it, is not its business.

mod command;
mod docker;
mod http;
mod process;
mod systemd;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use mcpmon_bootstrap::settings::Keys;
use serde::{Deserialize, Serialize};

pub use command::allowed as allowed_commands;

/// Every kind of target: its name in the configuration, and who reads its keys.
pub const KINDS: &[Kind] = &[
    Kind { name: "command", read: command::read },
    Kind { name: "docker", read: docker::read },
    Kind { name: "http", read: http::read },
    Kind { name: "systemd", read: systemd::read },
];

/// One kind of target.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// The value of the key `kind`.
    pub name: &'static str,
    /// Reads the kind's own keys and builds the action; `None` when a key that it needs is missing
    /// or wrong, which is noted in the settings. It connects to nothing yet.
    pub read: fn(&mut Keys<'_>) -> Option<Box<dyn Action>>,
}

/// What can be done to one target.
#[async_trait]
pub trait Action: fmt::Debug + Send + Sync {
    /// What it does, to what: `restart unit devskyy-mcp.service`. For people and the audit; never
    /// a secret.
    fn describe(&self) -> String;

    /// The names by which the target is known to the machine: a unit, a container, the host and port
    /// of a URL, a program. What is protected is found among them.
    fn names(&self) -> Vec<String>;

    /// Reads what the target is at this moment and changes nothing. Ends within `deadline`.
    ///
    /// # Errors
    /// When the target is not there, or cannot be looked at.
    async fn look(&self, deadline: Duration) -> Result<Sight, Trouble>;

    /// Acts once, and ends within `deadline`. The caller has looked immediately before. Nothing is
    /// tried a second time in here: an answer that did not come is [`Trouble::Unknown`].
    ///
    /// # Errors
    /// When it did not act, failed, or does not know.
    async fn act(&self, order: &Order, deadline: Duration) -> Result<(), Trouble>;
}

/// What a target is at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// The run that the target is in, or was in last; `None` where its kind knows no runs, or it
    /// never ran.
    pub run: Option<Run>,
    pub condition: Condition,
}

/// One run of a target, from one start to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Another one with each start: systemd's `InvocationID`, Docker's `State.StartedAt`.
    pub generation: String,
    /// When it started, in Unix milliseconds.
    pub started_at: u64,
}

/// Whose move it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It runs, or it ended by itself and nobody brings it back: ours.
    Ours,
    /// The native supervisor is at it, for instance `activating`.
    Supervised(String),
    /// A person stopped it, for instance `exited with 143`.
    Stopped(String),
}

/// What goes with one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The component that is being repaired.
    pub component: String,
    /// The incident, `<component>@<first_failed_at>`.
    pub incident: String,
    /// Names this action and no other: who sees it twice has seen the same one.
    pub attempt: String,
    /// Grows with each change of who may act: who saw a greater one follows no lesser one.
    pub fencing: u64,
}

/// Why an action or a look has no good end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// There is no such target. Nothing was done.
    #[error("there is no such target: {0}")]
    Absent(String),
    /// It could not be reached, or we may not: nothing was done.
    #[error("it was refused: {0}")]
    Refused(String),
    /// It was done, or begun, and the target's side says that it failed.
    #[error("it failed: {0}")]
    Failed(String),
    /// There was no answer: it may have been done, and may yet be.
    #[error("what became of it is unknown: {0}")]
    Unknown(String),
}

/// The kind of that name.
///
/// # Errors
/// Names every kind there is.
pub fn kind(name: &str) -> Result<Kind, String> {
    KINDS.iter().find(|kind| kind.name == name).copied().ok_or_else(|| {
        let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        format!("`{name}` is no kind of target; expected one of {}", names.join(", "))
    })
}

/// The time that an action takes for itself: it ends a little before the caller's deadline, for its
/// own error says more.
fn own_time(deadline: Duration) -> Duration {
    deadline.saturating_sub((deadline / 10).min(Duration::from_millis(100)))
}

/// The key of the kinds whose targets a person can stop.
fn act_on_stopped(keys: &mut Keys<'_>) -> bool {
    keys.value(
        "act_on_stopped",
        false,
        "Whether it is restarted also when a person seems to have stopped it.",
    )
}
