//! A stream of the memory backend, with what each of its groups is working on.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::store::{Entry, STREAM_ENTRIES, STREAM_READ};

#[derive(Debug, Default)]
pub(super) struct Stream {
    last: u64,
    entries: BTreeMap<u64, String>,
    groups: BTreeMap<String, Group>,
}

#[derive(Debug, Default)]
struct Group {
    /// The last entry that was given to anyone.
    delivered: u64,
    pending: BTreeMap<u64, Pending>,
}

#[derive(Debug)]
struct Pending {
    since: Instant,
    deliveries: u64,
}

impl Stream {
    pub(super) fn push(&mut self, value: &str) -> String {
        self.last += 1;
        self.entries.insert(self.last, value.to_owned());
        while self.entries.len() > STREAM_ENTRIES {
            self.entries.pop_first();
        }
        self.last.to_string()
    }

    /// What was given out longer than `patience` ago and never acknowledged.
    pub(super) fn claim(&mut self, group: &str, patience: Duration, now: Instant) -> Vec<Entry> {
        let group = self.groups.entry(group.to_owned()).or_default();
        // What the stream no longer keeps cannot be given out again.
        group.pending.retain(|id, _| self.entries.contains_key(id));
        let late = group.pending.iter_mut().filter(|(_, it)| now - it.since >= patience);
        late.take(STREAM_READ)
            .map(|(id, pending)| {
                *pending = Pending { since: now, deliveries: pending.deliveries + 1 };
                let value = self.entries[id].clone();
                Entry { id: id.to_string(), value, deliveries: pending.deliveries }
            })
            .collect()
    }

    pub(super) fn deliver(&mut self, group: &str, now: Instant) -> Vec<Entry> {
        let group = self.groups.entry(group.to_owned()).or_default();
        let new = self.entries.range(group.delivered + 1..).take(STREAM_READ);
        let new: Vec<_> = new.map(|(id, value)| (*id, value.clone())).collect();
        for (id, _) in &new {
            group.delivered = *id;
            group.pending.insert(*id, Pending { since: now, deliveries: 1 });
        }
        let entry = |(id, value): (u64, _)| Entry { id: id.to_string(), value, deliveries: 1 };
        new.into_iter().map(entry).collect()
    }

    pub(super) fn acknowledge(&mut self, group: &str, id: &str) {
        if let (Some(group), Ok(id)) = (self.groups.get_mut(group), id.parse()) {
            group.pending.remove(&id);
        }
    }
}
