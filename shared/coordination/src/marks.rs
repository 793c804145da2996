//! What people and remediation say about components, for whoever checks, tells or acts:
//! maintenance windows, acknowledgements, and that a component is being repaired.
//!
//! Each is a document that ends by itself: `maintenance:<component>`, `ack:<component>`,
//! `repairing:<component>`. The name `_all` of a window stands for every component. All times are
//! Unix milliseconds.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::store::{Error, Key, Store};
use crate::typed::{self, Change, position_after};

/// The window that is for every component.
pub const ALL: &str = "_all";

/// Nobody is reminded of what was acknowledged, but a new incident is news.
const ACKNOWLEDGED_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A maintenance window that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// Unix milliseconds.
    pub until: u64,
    /// In a person's words.
    pub reason: String,
}

/// Remediation is repairing a component: it is checked and nothing counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repairing {
    /// The number of the lease under which it is repaired.
    pub fencing: u64,
    /// The name of the attempt, as in the audit.
    pub attempt: String,
    /// Unix milliseconds.
    pub since: u64,
}

/// An acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// The first failure of the incident that is known.
    pub first_failed_at: u64,
    /// Unix milliseconds.
    pub at: u64,
}

/// All that is marked at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Marks {
    /// Open windows by component, or by [`ALL`].
    pub maintenance: BTreeMap<String, Maintenance>,
    /// What people know of, by component.
    pub acknowledged: BTreeMap<String, Acknowledgement>,
    /// What remediation works on, by component.
    pub repairing: BTreeMap<String, Repairing>,
}

impl Marks {
    /// Reads every mark.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn read(store: &dyn Store) -> Result<Self, Error> {
        Ok(Self {
            maintenance: typed::list(store, &Key::new(&["maintenance"])).await?,
            acknowledged: typed::list(store, &Key::new(&["ack"])).await?,
            repairing: typed::list(store, &Key::new(&["repairing"])).await?,
        })
    }

    /// The window that is open for the component: its own, or the one for all.
    #[must_use]
    pub fn maintenance_of(&self, component: &str, now: u64) -> Option<&Maintenance> {
        let windows = [component, ALL].map(|name| self.maintenance.get(name));
        windows.into_iter().flatten().find(|window| window.until > now)
    }
}

/// Whether remediation is repairing the component.
///
/// # Errors
/// When the store cannot be asked.
pub async fn is_repairing(store: &dyn Store, component: &str) -> Result<bool, Error> {
    Ok(store.get(&Key::new(&["repairing", component])).await?.is_some())
}

/// Whether a window is open for the component, its own or the one for all.
///
/// # Errors
/// When the store cannot be asked.
pub async fn is_in_maintenance(
    store: &dyn Store,
    component: &str,
    now: u64,
) -> Result<bool, Error> {
    for name in [component, ALL] {
        let key = Key::new(&["maintenance", name]);
        let window = typed::read::<Maintenance>(store, &key).await?;
        if window.is_some_and(|(_, window)| window.until > now) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Says that the component is being repaired, for `ttl` from now; the same call again is how it is
/// renewed. False when somebody with a greater number does: whoever calls must not act.
///
/// The number is kept no longer than the mark, so it does not replace the lease.
///
/// # Errors
/// When the store cannot be asked, or whether it was written is unknown.
pub async fn start_repairing(
    store: &dyn Store,
    component: &str,
    repairing: &Repairing,
    ttl: Duration,
    now: u64,
) -> Result<bool, Error> {
    let key = Key::new(&["repairing", component]);
    typed::change(store, &key, |stored: Option<typed::Placed<Repairing>>| {
        let position = position_after(stored.as_ref().map(|(position, _)| *position), now);
        if stored.is_some_and(|(_, other)| other.fencing > repairing.fencing) {
            return Change::Keep(false);
        }
        Change::Write { position, value: repairing.clone(), ttl: Some(ttl), result: true }
    })
    .await
}

/// Says that the repair with this number is over; false when the component has no mark of it.
///
/// # Errors
/// When the store cannot be asked, or what it holds is no such mark.
pub async fn end_repairing(
    store: &dyn Store,
    component: &str,
    fencing: u64,
) -> Result<bool, Error> {
    let key = Key::new(&["repairing", component]);
    while let Some((position, mark)) = typed::read::<Repairing>(store, &key).await? {
        if mark.fencing != fencing {
            return Ok(false);
        }
        if store.remove(&key, position).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Opens a maintenance window, or changes the one that is open.
///
/// # Errors
/// When the store cannot be asked.
pub async fn start_maintenance(
    store: &dyn Store,
    component: &str,
    window: &Maintenance,
    now: u64,
) -> Result<(), Error> {
    let ttl = Duration::from_millis(window.until.saturating_sub(now));
    mark(store, &Key::new(&["maintenance", component]), window, ttl, now).await
}

/// Closes a maintenance window; says whether one was open.
///
/// # Errors
/// When the store cannot be asked.
pub async fn end_maintenance(store: &dyn Store, component: &str) -> Result<bool, Error> {
    let key = Key::new(&["maintenance", component]);
    while let Some(document) = store.get(&key).await? {
        if store.remove(&key, document.position).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Says that the present trouble of a component is known.
///
/// # Errors
/// When the store cannot be asked.
pub async fn acknowledge(
    store: &dyn Store,
    component: &str,
    first_failed_at: u64,
    now: u64,
) -> Result<(), Error> {
    let acknowledgement = Acknowledgement { first_failed_at, at: now };
    mark(store, &Key::new(&["ack", component]), &acknowledgement, ACKNOWLEDGED_FOR, now).await
}

async fn mark<T: Clone + PartialEq + Serialize + DeserializeOwned>(
    store: &dyn Store,
    key: &Key,
    value: &T,
    ttl: Duration,
    now: u64,
) -> Result<(), Error> {
    typed::change(store, key, |stored: Option<typed::Placed<T>>| {
        let position = position_after(stored.as_ref().map(|(position, _)| *position), now);
        match stored {
            // After a lost reply the same call finds what it wrote.
            Some((_, stored)) if stored == *value => Change::Keep(()),
            _ => Change::Write { position, value: value.clone(), ttl: Some(ttl), result: () },
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Memory;

    #[tokio::test(start_paused = true)]
    async fn a_window_ends_by_itself_or_by_a_person() {
        let store = Memory::new();
        let window = Maintenance { until: 61_000, reason: "upgrade".into() };
        start_maintenance(&store, "api", &window, 1_000).await.unwrap();
        start_maintenance(&store, "api", &window, 1_000).await.unwrap();
        let marks = Marks::read(&store).await.unwrap();
        assert_eq!(marks.maintenance_of("api", 2_000), Some(&window));
        assert_eq!(marks.maintenance_of("api", 61_000), None);
        assert_eq!(marks.maintenance_of("other", 2_000), None);
        assert!(end_maintenance(&store, "api").await.unwrap());
        assert!(!end_maintenance(&store, "api").await.unwrap());

        start_maintenance(&store, ALL, &window, 1_000).await.unwrap();
        let marks = Marks::read(&store).await.unwrap();
        assert_eq!(marks.maintenance_of("other", 2_000), Some(&window));
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(Marks::read(&store).await.unwrap(), Marks::default());
    }
    #[tokio::test(start_paused = true)]
    async fn a_repair_gives_way_to_a_greater_number_and_ends_its_own_mark_alone() {
        let (store, ttl) = (Memory::new(), Duration::from_secs(30));
        let by = |fencing| Repairing { fencing, attempt: format!("api/{fencing}"), since: 1_000 };
        assert!(start_repairing(&store, "api", &by(2), ttl, 1_000).await.unwrap());
        assert!(!start_repairing(&store, "api", &by(1), ttl, 2_000).await.unwrap());
        assert!(!end_repairing(&store, "api", 1).await.unwrap());
        tokio::time::advance(ttl * 2 / 3).await;
        // Renewed, even by a clock that was set back.
        assert!(start_repairing(&store, "api", &by(2), ttl, 500).await.unwrap());
        tokio::time::advance(ttl * 2 / 3).await;
        assert!(is_repairing(&store, "api").await.unwrap());
        assert_eq!(Marks::read(&store).await.unwrap().repairing["api"], by(2));
        assert!(start_repairing(&store, "api", &by(3), ttl, 3_000).await.unwrap());
        assert!(!end_repairing(&store, "api", 2).await.unwrap());
        assert!(end_repairing(&store, "api", 3).await.unwrap());
        assert!(!end_repairing(&store, "api", 3).await.unwrap());
        assert!(start_repairing(&store, "api", &by(1), ttl, 4_000).await.unwrap());
        tokio::time::advance(ttl * 2).await;
        assert!(!is_repairing(&store, "api").await.unwrap());
    }
}
