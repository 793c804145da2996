//! A bounded table that knows which entry is the oldest.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Duration;

/// At most `capacity` entries, each with its place in the order of insertion.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    capacity: usize,
    entries: HashMap<K, Entry<V>>,
    order: BTreeMap<u64, K>,
    next: u64,
}

#[derive(Debug)]
struct Entry<V> {
    place: u64,
    since: Duration,
    value: V,
}

impl<K: Clone + Eq + Hash, V> Table<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, entries: HashMap::new(), order: BTreeMap::new(), next: 0 }
    }

    /// Adds an entry and returns the one that had to go: the key's former, or the oldest.
    pub(super) fn insert(&mut self, key: K, since: Duration, value: V) -> Option<V> {
        let evicted = match self.remove(&key) {
            Some(former) => Some(former),
            None if self.entries.len() >= self.capacity => self.pop_oldest(),
            None => None,
        };
        let place = self.next;
        self.next += 1;
        self.order.insert(place, key.clone());
        self.entries.insert(key, Entry { place, since, value });
        evicted
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&entry.place);
        Some(entry.value)
    }

    /// Makes the entry the youngest.
    pub(super) fn touch(&mut self, key: &K, now: Duration) {
        if let Some(value) = self.remove(key) {
            self.insert(key.clone(), now, value);
        }
    }

    /// Takes out one entry that is older than `age`.
    pub(super) fn pop_expired(&mut self, now: Duration, age: Duration) -> Option<V> {
        let (_, key) = self.order.first_key_value()?;
        if self.entries[key].since + age > now { None } else { self.pop_oldest() }
    }

    /// Takes out every entry that `unwanted` names, oldest first.
    pub(super) fn take_if(&mut self, unwanted: impl Fn(&V) -> bool) -> Vec<V> {
        let keys = self.order.values().filter(|key| unwanted(&self.entries[*key].value));
        let keys: Vec<K> = keys.cloned().collect();
        keys.iter().filter_map(|key| self.remove(key)).collect()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut().map(|entry| &mut entry.value)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn pop_oldest(&mut self) -> Option<V> {
        let (_, key) = self.order.pop_first()?;
        self.entries.remove(&key).map(|entry| entry.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_full_table_gives_up_its_oldest_entry() {
        let mut table = Table::new(2);
        assert_eq!(table.insert("a", at(0), 1), None);
        assert_eq!(table.insert("b", at(1), 2), None);
        assert_eq!(table.insert("c", at(2), 3), Some(1));
        assert_eq!(table.remove(&"b"), Some(2));
        assert_eq!(table.remove(&"b"), None);
    }

    #[test]
    fn a_reused_key_gives_up_its_former_entry_only() {
        let mut table = Table::new(2);
        table.insert("a", at(0), 1);
        table.insert("b", at(0), 2);
        assert_eq!(table.insert("b", at(1), 3), Some(2));
        assert_eq!(table.remove(&"a"), Some(1));
    }

    #[test]
    fn entries_expire_oldest_first_unless_touched() {
        let mut table = Table::new(9);
        table.insert("a", at(0), 1);
        table.insert("b", at(1), 2);
        table.touch(&"a", at(5));
        assert_eq!(table.pop_expired(at(10), at(9)), Some(2));
        assert_eq!(table.pop_expired(at(10), at(9)), None);
        assert_eq!(table.take_if(|_| true), [1]);
        assert!(table.is_empty());
    }
}
