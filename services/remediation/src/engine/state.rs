//! What all replicas know, read at one moment.

use std::collections::{BTreeMap, BTreeSet};

use mcpmon_coordination::incident::{self, Failure};
use mcpmon_coordination::inventory::{self, Member};
use mcpmon_coordination::marks::Marks;
use mcpmon_coordination::typed::{self, Change, Placed, position_after};
use mcpmon_coordination::{Incident, Key, Store, budget, store};
use serde::{Deserialize, Serialize};

use crate::case::{self, Case};
use crate::policy::Guards;
use crate::words::milliseconds;

/// One moment.
#[derive(Debug)]
pub(crate) struct State {
    /// The oldest first.
    pub(crate) open: Vec<Incident>,
    pub(crate) cases: BTreeMap<String, Case>,
    pub(crate) inventory: BTreeMap<String, Member>,
    pub(crate) marks: Marks,
    pub(crate) circuits: BTreeSet<String>,
    pub(crate) storm: Option<Storm>,
}

/// A storm that is on, or was on lately: the document `storm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Storm {
    /// Unix milliseconds.
    pub(crate) since: u64,
    pub(crate) seen_at: u64,
}

impl State {
    pub(crate) async fn read(store: &dyn Store) -> Result<Self, store::Error> {
        let mut open = incident::last_incidents(store).await?;
        open.retain(|incident| incident.state == incident::State::Opened);
        open.sort_by(|a, b| (a.first_failed_at, &a.key).cmp(&(b.first_failed_at, &b.key)));
        Ok(Self {
            cases: case::all(store).await?,
            inventory: inventory::read(store).await?,
            marks: Marks::read(store).await?,
            circuits: budget::stopped(store).await?,
            storm: typed::read(store, &storm_key()).await?.map(|(_, storm)| storm),
            open,
        })
    }

    /// The open incident of the same component, with the failure that is asked about; without an open
    /// one, the incident itself.
    pub(crate) fn meant(&self, asked: Incident) -> Incident {
        match self.open.iter().find(|open| open.component == asked.component) {
            Some(open) => {
                let mut meant = open.clone();
                meant.failure = asked.failure;
                meant
            }
            None => asked,
        }
    }

    /// Until when nothing is repaired because of a storm that is over.
    pub(crate) fn calm_at(&self, guards: &Guards) -> Option<u64> {
        let storm = self.storm.as_ref()?;
        Some(storm.seen_at.saturating_add(milliseconds(guards.storm_cool_down)))
    }

    /// The tools that the component's server must offer after a repair: those that it did before,
    /// unless that they are missing is the trouble.
    pub(crate) fn tools(&self, incident: &Incident) -> Option<String> {
        if incident.failure == Failure::ToolsMissing {
            return None;
        }
        let member = self.inventory.get(&incident.component)?;
        member.tools_hash().map(|hash| format!("{hash:016x}"))
    }
}

/// Writes down that there is a storm, for `lasting` after it was last seen.
pub(crate) async fn storm_seen(
    store: &dyn Store,
    now: u64,
    lasting: std::time::Duration,
) -> Result<Storm, store::Error> {
    // At most every few seconds: a storm is no time to write much.
    let fresh = milliseconds(lasting).min(4_000) / 4;
    typed::change(store, &storm_key(), |stored: Option<Placed<Storm>>| {
        let (last, known) = stored.map_or((None, None), |(at, storm)| (Some(at), Some(storm)));
        match known {
            Some(known) if now < known.seen_at.saturating_add(fresh) => Change::Keep(known),
            known => {
                let since = known.map_or(now, |known| known.since);
                let value = Storm { since, seen_at: now };
                let position = position_after(last, now);
                // A second more, so that whoever reads it sees its end by the clock.
                let ttl = Some(lasting + std::time::Duration::from_secs(1));
                Change::Write { position, value: value.clone(), ttl, result: value }
            }
        }
    })
    .await
}

fn storm_key() -> Key {
    Key::new(&["storm"])
}
