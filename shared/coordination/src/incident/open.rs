//! The one open incident of a component.
//!
//! Two steps that cannot be one: the document, then the stream. The document remembers whether the
//! stream has it, and whoever comes next makes up for a step that was lost; so the caller reports
//! on every check while the trouble lasts.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Incident, Origin, State, expiry, publish};
use crate::store::{Error, Key, Store};
use crate::typed::{self, Change, position_after};

/// How long a resolved incident is remembered, so that a late report does not open it again.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a report that says nothing new is written down, in milliseconds: one comes with every
/// check.
const REFRESHED: u64 = 60_000;

/// The document of a component's last incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Last {
    incident: Incident,
    /// Everybody who reported it.
    origins: BTreeSet<Origin>,
    /// Whether the stream has it in its present state.
    published: bool,
}

/// What became of a report.
#[derive(Debug, Clone, PartialEq)]
pub enum Opened {
    /// It is the component's open incident.
    New(Incident),
    /// The component had this open incident already.
    Joined(Incident),
    /// This trouble was resolved before; the report came late.
    Over,
}

/// Reports trouble: opens the component's incident and sends it, or joins the open one.
///
/// # Errors
/// When the store cannot be asked. The same call again is safe.
pub async fn open(store: &dyn Store, incident: &Incident) -> Result<Opened, Error> {
    let key = key(&incident.component);
    let (opened, unpublished) = typed::change(store, &key, |stored: Option<(u64, Last)>| {
        let (last, stored) = stored.map_or((None, None), |(at, last)| (Some(at), Some(last)));
        let position = position_after(last, incident.slot);
        match stored {
            Some(mut known) if known.incident.state == State::Opened => {
                let is_news = known.origins.insert(incident.origin) | refresh(&mut known, incident);
                let joined = known.incident.clone();
                let opened = Opened::Joined(joined.clone());
                let result = (opened, (!known.published).then_some(joined));
                if is_news {
                    Change::Write { position, value: known, ttl: None, result }
                } else {
                    Change::Keep(result)
                }
            }
            Some(over) if incident.first_failed_at <= over.incident.first_failed_at => {
                Change::Keep((Opened::Over, (!over.published).then_some(over.incident)))
            }
            _ => {
                let origins = BTreeSet::from([incident.origin]);
                let value = Last { incident: incident.clone(), origins, published: false };
                let result = (Opened::New(incident.clone()), Some(incident.clone()));
                Change::Write { position, value, ttl: None, result }
            }
        }
    })
    .await?;
    if let Some(unpublished) = unpublished {
        send(store, &unpublished, incident.slot).await?;
    }
    Ok(opened)
}

/// Takes over what a later report knows better. The monitor's check says what fails now; anybody's
/// report says that it is not over.
fn refresh(known: &mut Last, report: &Incident) -> bool {
    let known = &mut known.incident;
    let seen_by_check = report.origin == Origin::Monitor;
    let fails_otherwise = seen_by_check && known.failure != report.failure;
    if report.slot < known.slot || !(fails_otherwise || report.slot >= known.slot + REFRESHED) {
        return false;
    }
    if seen_by_check {
        known.failure = report.failure;
        known.evidence.clone_from(&report.evidence);
    }
    (known.slot, known.expires_at) = (report.slot, expiry(report.slot));
    true
}

/// Says that the component is well again: closes its open incident and sends that. Gives the
/// incident when there was one to close.
///
/// # Errors
/// When the store cannot be asked. The same call again is safe.
pub async fn resolve(
    store: &dyn Store,
    component: &str,
    slot: u64,
) -> Result<Option<Incident>, Error> {
    close(store, component, slot, |_| true).await
}

/// [`resolve`], unless the open incident is one that `origin` has not reported: what somebody else
/// saw is not over because we see nothing. Costs one read where there is nothing to close.
///
/// # Errors
/// When the store cannot be asked. The same call again is safe.
pub async fn resolve_own(
    store: &dyn Store,
    component: &str,
    slot: u64,
    origin: Origin,
) -> Result<Option<Incident>, Error> {
    close(store, component, slot, |origins| origins.contains(&origin)).await
}

/// [`resolve`], if nobody but `origin` has reported the open incident.
///
/// # Errors
/// When the store cannot be asked. The same call again is safe.
pub async fn resolve_sole(
    store: &dyn Store,
    component: &str,
    slot: u64,
    origin: Origin,
) -> Result<Option<Incident>, Error> {
    close(store, component, slot, |origins| origins.iter().all(|other| *other == origin)).await
}

async fn close(
    store: &dyn Store,
    component: &str,
    slot: u64,
    is_ours: impl Fn(&BTreeSet<Origin>) -> bool,
) -> Result<Option<Incident>, Error> {
    let key = key(component);
    let (closed, unpublished) = typed::change(store, &key, |stored: Option<(u64, Last)>| {
        let Some((last, mut known)) = stored else { return Change::Keep((None, None)) };
        if known.incident.state == State::Resolved {
            return Change::Keep((None, (!known.published).then_some(known.incident)));
        }
        if !is_ours(&known.origins) {
            return Change::Keep((None, None));
        }
        known.incident.state = State::Resolved;
        known.incident.slot = slot;
        known.incident.expires_at = expiry(slot);
        known.published = false;
        let closed = known.incident.clone();
        let (position, ttl) = (position_after(Some(last), slot), Some(REMEMBERED));
        let result = (Some(closed.clone()), Some(closed));
        Change::Write { position, value: known, ttl, result }
    })
    .await?;
    if let Some(unpublished) = unpublished {
        send(store, &unpublished, slot).await?;
    }
    Ok(closed)
}

/// The component's open incident.
///
/// # Errors
/// When the store cannot be asked, or what it holds is no incident.
pub async fn open_incident(store: &dyn Store, component: &str) -> Result<Option<Incident>, Error> {
    let stored = typed::read::<Last>(store, &key(component)).await?;
    let incident = stored.map(|(_, last)| last.incident);
    Ok(incident.filter(|incident| incident.state == State::Opened))
}

/// The component's last incident, also one that was resolved within the last day.
///
/// # Errors
/// When the store cannot be asked, or what it holds is no incident.
pub async fn last_incident(store: &dyn Store, component: &str) -> Result<Option<Incident>, Error> {
    let stored = typed::read::<Last>(store, &key(component)).await?;
    Ok(stored.map(|(_, last)| last.incident))
}

/// The last incident of every component that had one within the last day.
///
/// # Errors
/// When the store cannot be asked.
pub async fn last_incidents(store: &dyn Store) -> Result<Vec<Incident>, Error> {
    let stored = typed::list::<Last>(store, &Key::new(&["incident"])).await?;
    Ok(stored.into_values().map(|last| last.incident).collect())
}

/// Publishes, then notes that: in this order it is sent at least once.
async fn send(store: &dyn Store, incident: &Incident, slot: u64) -> Result<(), Error> {
    publish(store, incident).await?;
    typed::change(store, &key(&incident.component), |stored: Option<(u64, Last)>| match stored {
        Some((last, mut known)) if known.incident == *incident && !known.published => {
            known.published = true;
            let ttl = (incident.state == State::Resolved).then_some(REMEMBERED);
            let position = position_after(Some(last), slot);
            Change::Write { position, value: known, ttl, result: () }
        }
        _ => Change::Keep(()),
    })
    .await
}

fn key(component: &str) -> Key {
    Key::new(&["incident", component])
}
