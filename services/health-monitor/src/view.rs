//! Keeps the snapshot: what this replica's own checks just found, and every few seconds what is in
//! the shared store, so that all replicas show the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mcpmon_coordination::Store;
use mcpmon_coordination::marks::Marks;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::clock;
use crate::component::Component;
use crate::doubt::Doubts;
use crate::engine::Done;
use crate::metrics::Counts;
use crate::record::{self, Record};
use crate::snapshot::{OwnTrouble, Snapshot, Watched};

/// How old another replica's result may be before this one shows it.
const REFRESH: Duration = Duration::from_secs(3);
const REFRESH_AT_MOST: Duration = Duration::from_secs(1);

/// How long results are collected into one snapshot. With a thousand components a snapshot, with the
/// report and the messages that follow from it, costs as much as several checks.
const COLLECT: Duration = Duration::from_millis(500);

/// So many checks in a row in which our own side failed are more than a hiccup.
const OWN_FAILURES: u32 = 3;

/// What the snapshot is made from.
#[derive(Debug)]
pub struct View {
    store: Arc<dyn Store>,
    components: Arc<Vec<Component>>,
    records: BTreeMap<String, Record>,
    marks: Marks,
}

impl View {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, components: Arc<Vec<Component>>) -> Self {
        Self { store, components, records: BTreeMap::new(), marks: Marks::default() }
    }

    /// Reads what is in the store.
    pub async fn refresh(&mut self) {
        match tokio::try_join!(record::all(&*self.store), Marks::read(&*self.store)) {
            Ok((records, marks)) => (self.records, self.marks) = (records, marks),
            // What was known stays; its age shows.
            Err(error) => tracing::error!(%error, "the shared records cannot be read"),
        }
    }

    /// Takes the record of a check that was just made.
    pub fn take(&mut self, component: &str, record: Record) {
        self.records.insert(component.to_owned(), record);
    }

    /// What follows from what is known now for the next checks.
    #[must_use]
    pub fn doubts(&self) -> Doubts {
        Doubts::new(&self.components, &self.records)
    }

    /// How often to read what other replicas found: before it is confirmed.
    fn refresh_every(&self) -> Duration {
        let soonest = self.components.iter().map(|component| component.recheck).min();
        soonest.unwrap_or(REFRESH).clamp(REFRESH_AT_MOST, REFRESH)
    }

    /// What is known now.
    #[must_use]
    pub fn snapshot(&self, coordination_up: bool) -> Snapshot {
        let taken_at = clock::now();
        let watched = |component: &Component| {
            let record = self.records.get(&component.name).cloned();
            let acknowledged = self.marks.acknowledged.get(&component.name);
            let began = record.as_ref().and_then(|record| record.first_failed_at);
            Watched {
                maintenance: self.marks.maintenance_of(&component.name, taken_at).cloned(),
                acknowledged: acknowledged.is_some_and(|ack| Some(ack.first_failed_at) == began),
                repairing: self.marks.repairing.contains_key(&component.name),
                component: component.clone(),
                record,
            }
        };
        let components: Vec<_> = self.components.iter().map(watched).collect();
        Snapshot { taken_at, own_trouble: own_trouble(&components), components, coordination_up }
    }
}

/// Publishes snapshots until nobody checks any more.
pub async fn follow(
    mut view: View,
    mut done: mpsc::UnboundedReceiver<Done>,
    mut components: watch::Receiver<Arc<Vec<Component>>>,
    coordination_up: watch::Receiver<bool>,
    counts: Counts,
    snapshots: watch::Sender<Arc<Snapshot>>,
    doubts: watch::Sender<Doubts>,
) {
    let mut refresh_at = Instant::now();
    let mut publish_at: Option<Instant> = None;
    loop {
        let publish = async {
            match publish_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            next = done.recv() => {
                let Some(Done { component, checked, missed }) = next else { return };
                counts.checked(&component, &checked, missed);
                let fails_anew = checked.record.consecutive_failures == 1;
                view.take(&component.name, checked.record);
                if fails_anew {
                    publish_doubts(&view, &doubts);
                }
                publish_at.get_or_insert_with(|| Instant::now() + COLLECT);
            }
            () = sleep_until(refresh_at) => {
                view.refresh().await;
                publish_doubts(&view, &doubts);
                refresh_at = Instant::now() + view.refresh_every();
                publish_at = Some(Instant::now());
            }
            Ok(()) = components.changed() => {
                view.components = components.borrow_and_update().clone();
                publish_at = Some(Instant::now());
            }
            () = publish => {
                publish_at = None;
                let up = *coordination_up.borrow();
                snapshots.send_replace(Arc::new(view.snapshot(up)));
            }
        }
    }
}

/// Wakes who must look out of turn, and nobody when nothing is new.
fn publish_doubts(view: &View, doubts: &watch::Sender<Doubts>) {
    let now = view.doubts();
    doubts.send_if_modified(|known| {
        let is_new = *known != now;
        *known = now;
        is_new
    });
}

/// What is wrong on our own side, when it lasts.
fn own_trouble(components: &[Watched]) -> Option<OwnTrouble> {
    let blind = |watched: &&Watched| {
        let record = watched.record.as_ref();
        record.is_some_and(|record| record.consecutive_unknown >= OWN_FAILURES)
    };
    let blind: Vec<&Watched> = components.iter().filter(blind).collect();
    let records = blind.iter().filter_map(|watched| watched.record.as_ref());
    let since = records.clone().map(|record| record.since).min()?;
    let error = records.filter_map(|record| record.error.as_deref()).next().unwrap_or_default();
    let why =
        format!("nothing is known of {} of {} components: {error}", blind.len(), components.len());
    Some(OwnTrouble { since, why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::tests::component;
    use crate::finding::{Outcome, Unknown};
    use crate::record::tests::record;

    fn watched(consecutive_unknown: u32) -> Watched {
        let mut record = record(1_000, Outcome::Unknown(Unknown::OurSide));
        record.consecutive_unknown = consecutive_unknown;
        record.error = Some("too many open files".into());
        Watched {
            component: component("api"),
            record: Some(record),
            maintenance: None,
            acknowledged: false,
            repairing: false,
        }
    }

    #[test]
    fn one_blind_check_is_a_hiccup_and_three_are_trouble() {
        assert_eq!(own_trouble(&[watched(2)]), None);
        let trouble = own_trouble(&[watched(0), watched(3)]).unwrap();
        assert_eq!(trouble.since, 1_000);
        assert_eq!(trouble.why, "nothing is known of 1 of 2 components: too many open files");
    }
}
