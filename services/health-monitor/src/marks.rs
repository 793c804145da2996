//! What people and remediation say about components, in the shared store: maintenance windows,
//! acknowledgements, and that a component is being repaired.
//!
//! Each is a document that ends by itself: `maintenance:<component>`, `ack:<component>`,
//! `repairing:<component>`. The name `_all` of a window stands for every component.

use std::collections::BTreeMap;
use std::time::Duration;

use mcpmon_coordination::typed::{self, Change, position_after};
use mcpmon_coordination::{Key, Store, store};
use serde::{Deserialize, Serialize};

use crate::snapshot::Maintenance;

/// The window that is for every component.
pub const ALL: &str = "_all";

/// Nobody is reminded of what was acknowledged, but a new incident is news.
const ACKNOWLEDGED_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

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
    pub maintenance: BTreeMap<String, Maintenance>,
    pub acknowledged: BTreeMap<String, Acknowledgement>,
    /// Written by remediation, with its fencing number.
    pub repairing: BTreeMap<String, serde_json::Value>,
}

impl Marks {
    /// Reads every mark.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn read(store: &dyn Store) -> Result<Self, store::Error> {
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
pub async fn is_repairing(store: &dyn Store, component: &str) -> Result<bool, store::Error> {
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
) -> Result<bool, store::Error> {
    for name in [component, ALL] {
        let key = Key::new(&["maintenance", name]);
        let window = typed::read::<Maintenance>(store, &key).await?;
        if window.is_some_and(|(_, window)| window.until > now) {
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
) -> Result<(), store::Error> {
    let ttl = Duration::from_millis(window.until.saturating_sub(now));
    mark(store, &Key::new(&["maintenance", component]), window, ttl, now).await
}

/// Closes a maintenance window; says whether one was open.
///
/// # Errors
/// When the store cannot be asked.
pub async fn end_maintenance(store: &dyn Store, component: &str) -> Result<bool, store::Error> {
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
) -> Result<(), store::Error> {
    let acknowledgement = Acknowledgement { first_failed_at, at: now };
    mark(store, &Key::new(&["ack", component]), &acknowledgement, ACKNOWLEDGED_FOR, now).await
}

async fn mark<T: Clone + PartialEq + Serialize + serde::de::DeserializeOwned>(
    store: &dyn Store,
    key: &Key,
    value: &T,
    ttl: Duration,
    now: u64,
) -> Result<(), store::Error> {
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
    use mcpmon_coordination::Memory;

    use super::*;

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
}
