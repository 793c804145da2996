//! Admitted names and what belongs to each: looked up at every call, grown once for each new name.
//!
//! Nothing ever leaves such a table, so a reader needs no lock, no count and no copy to be safe
//! from a writer: it follows links that are set once. A map that is replaced as a whole costs its
//! readers two locked instructions for each look-up, which is as much as counting the call.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use foldhash::fast::RandomState;

/// The most chains of one table. Beyond as many names, chains grow longer than one.
const MAX_CHAINS: usize = 4096;

/// A table of names that only grows.
#[derive(Debug)]
pub(super) struct Names<T> {
    hasher: RandomState,
    // As many as a power of two, so that a part of the hash is a place in the list.
    chains: Box<[Link<T>]>,
    len: AtomicUsize,
}

type Link<T> = OnceLock<Box<Entry<T>>>;

#[derive(Debug)]
struct Entry<T> {
    hash: u64,
    name: Arc<str>,
    value: T,
    next: Link<T>,
}

impl<T> Names<T> {
    /// A table for about `expected` names.
    pub(super) fn new(expected: usize) -> Self {
        let chains = expected.clamp(1, MAX_CHAINS).next_power_of_two();
        Self {
            hasher: RandomState::default(),
            chains: (0..chains).map(|_| Link::new()).collect(),
            len: AtomicUsize::new(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    pub(super) fn get(&self, name: &str) -> Option<&T> {
        let hash = self.hash(name);
        let mut link = self.chain(hash);
        while let Some(entry) = link.get() {
            if entry.hash == hash && *entry.name == *name {
                return Some(&entry.value);
            }
            link = &entry.next;
        }
        None
    }

    /// Adds a name that the table lacks. Whoever adds holds the lock of admission, so that no two
    /// threads do.
    pub(super) fn add(&self, name: Arc<str>, value: T) -> &T {
        let hash = self.hash(&name);
        let mut link = self.chain(hash);
        while let Some(entry) = link.get() {
            link = &entry.next;
        }
        self.len.fetch_add(1, Ordering::Relaxed);
        &link.get_or_init(|| Box::new(Entry { hash, name, value, next: Link::new() })).value
    }

    fn chain(&self, hash: u64) -> &Link<T> {
        &self.chains[hash as usize & (self.chains.len() - 1)]
    }

    /// Without the length or the end that a map would hash with it: there is nothing beside it.
    fn hash(&self, name: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name.as_bytes());
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_finds_what_was_added_however_long_its_chains() {
        for expected in [0, 1, 50, 300, usize::MAX] {
            let names = Names::new(expected);
            for number in 0..300 {
                assert_eq!(names.get(&format!("tool_{number}")), None);
                names.add(format!("tool_{number}").into(), number);
            }
            assert_eq!(names.len(), 300);
            for number in 0..300 {
                assert_eq!(names.get(&format!("tool_{number}")), Some(&number));
            }
            assert_eq!(names.get("tool_300"), None);
            assert_eq!(names.get(""), None);
        }
    }

    #[test]
    fn readers_see_each_name_whole_while_names_are_added() {
        let names = Names::new(8);
        std::thread::scope(|scope| {
            let reader = || {
                while names.len() < 1_000 {
                    for number in 0..1_000_usize {
                        if let Some(value) = names.get(&number.to_string()) {
                            assert_eq!(*value, vec![number; 3]);
                        }
                    }
                }
            };
            scope.spawn(reader);
            scope.spawn(reader);
            for number in 0..1_000 {
                names.add(number.to_string().into(), vec![number; 3]);
                assert_eq!(names.get(&number.to_string()), Some(&vec![number; 3]));
            }
        });
        assert!((0..1_000).all(|number| names.get(&number.to_string()).is_some()));
    }
}
