//! Notices: what people were told of each incident and of each repair. Component states, the
//! monitor's own troubles and remediation's news go to Slack from here, and nowhere else.
//!
//! The incidents of the coordination store are the truth; a notice, the document
//! `notice:<component>@<first_failed_at>`, says what was told of one. [`step`] compares the two and
//! says what to send; [`Notifier`] sends it, and only when it has arrived the notice says so. A
//! crash in between repeats a message with the same key and loses none.

pub mod channel;
mod growing;
pub mod message;
mod notifier;
mod patience;
mod repairs;
mod retry;
pub mod step;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use mcpmon_coordination::incident::{self, Failure};
use mcpmon_coordination::repair::{self, News};
use mcpmon_coordination::typed::{self, Change, position_after};
use mcpmon_coordination::{Incident, Key, Store, store};
use serde::{Deserialize, Serialize};

pub use self::notifier::{Flushed, Notifier};

/// How long it is remembered that everything was said: longer than a resolved incident is, or it
/// would be told again.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Of a repair, longer than its news is there.
const REPAIR_REMEMBERED: Duration = repair::TTL.saturating_mul(2);

/// What people were told of one incident. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub about: About,
    /// The component's name; `monitor` for the monitor itself.
    pub component: String,
    /// Of a repair, when it happened.
    pub first_failed_at: u64,
    /// What failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What was seen, redacted, on one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<u64>,
    /// It began in maintenance: nothing is said unless it outlasts it. Of a repair nothing is said.
    #[serde(default, skip_serializing_if = "is_false")]
    pub quiet: bool,
    /// Since when something waits to be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_sent: Option<u64>,
    /// When people were last reminded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminded: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered_sent: Option<u64>,
    /// Outages before this one of which nothing could be said, and which are told with it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub earlier: u32,
    /// Of a repair: what there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<Box<News>>,
}

/// Whose trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    Component,
    /// Ours: nothing is known of some components.
    Monitor,
    /// A component's, of which remediation says something.
    Repair,
}

/// Every notice, by its key.
pub type Notices = BTreeMap<String, Notice>;

impl Notice {
    /// Nothing was said yet.
    #[must_use]
    pub fn new(about: About, component: &str, first_failed_at: u64) -> Self {
        Self {
            about,
            component: component.to_owned(),
            first_failed_at,
            failure: None,
            error: None,
            resolved_at: None,
            quiet: false,
            waiting_since: None,
            opened_sent: None,
            reminded: None,
            recovered_sent: None,
            earlier: 0,
            repair: None,
        }
    }

    /// The key of the incident, or of the news: the same for every message about it.
    #[must_use]
    pub fn key(&self) -> String {
        match &self.repair {
            Some(news) => repairs::key(&news.id),
            None => format!("{}@{}", self.component, self.first_failed_at),
        }
    }

    /// Whether nothing more will be said.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match self.about {
            About::Repair => self.quiet || self.opened_sent.is_some(),
            _ => self.resolved_at.is_some() && (self.quiet || self.recovered_sent.is_some()),
        }
    }

    /// Both of what two processes know: what was said stays said.
    fn with(self, stored: &Self) -> Self {
        let quiet = match self.about {
            About::Repair => stored.quiet || self.quiet,
            _ => stored.quiet && self.quiet,
        };
        Self {
            resolved_at: stored.resolved_at.or(self.resolved_at),
            quiet,
            opened_sent: stored.opened_sent.max(self.opened_sent),
            reminded: stored.reminded.max(self.reminded),
            recovered_sent: stored.recovered_sent.max(self.recovered_sent),
            earlier: stored.earlier.max(self.earlier),
            ..self
        }
    }
}

/// What is in the store: what happened, and what was told of it.
struct Known {
    incidents: Vec<Incident>,
    news: Vec<News>,
    notices: Notices,
}

impl Known {
    async fn read(store: &dyn Store) -> Result<Self, store::Error> {
        Ok(Self {
            incidents: incident::last_incidents(store).await?,
            news: repair::list(store).await?,
            notices: all(store).await?,
        })
    }
}

/// Every notice.
///
/// # Errors
/// When the store cannot be asked.
pub async fn all(store: &dyn Store) -> Result<Notices, store::Error> {
    typed::list(store, &Key::new(&["notice"])).await
}

async fn write(store: &dyn Store, notice: &Notice, now: u64) -> Result<(), store::Error> {
    typed::change(store, &document(&notice.key()), |stored: Option<(u64, Notice)>| {
        let last = stored.as_ref().map(|(last, _)| *last);
        let value = match &stored {
            Some((_, stored)) => notice.clone().with(stored),
            None => notice.clone(),
        };
        if stored.is_some_and(|(_, stored)| stored == value) {
            return Change::Keep(());
        }
        let remembered = if value.about == About::Repair { REPAIR_REMEMBERED } else { REMEMBERED };
        let ttl = value.is_over().then_some(remembered);
        Change::Write { position: position_after(last, now), value, ttl, result: () }
    })
    .await
}

async fn remove(store: &dyn Store, key: &str) -> Result<(), store::Error> {
    let key = document(key);
    if let Some(stored) = store.get(&key).await? {
        // Whoever changed it meanwhile needs it; the next step looks again.
        store.remove(&key, stored.position).await?;
    }
    Ok(())
}

fn document(key: &str) -> Key {
    Key::new(&["notice", key])
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}
