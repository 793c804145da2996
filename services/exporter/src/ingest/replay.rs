//! Batches that were counted before: a client that got no reply sends the same key again.
//!
//! The last 128 keys of a source are remembered, 65,536 in all, in shards of sources. A shard is
//! locked while a batch is recorded, so that a retry which overtakes its first try waits for it.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use actix_web::web::Bytes;

const SHARDS: usize = 16;
const KEYS_PER_SOURCE: usize = 128;
const KEYS_PER_SHARD: usize = 65_536 / SHARDS;
const REPLY_BYTES_PER_SHARD: usize = 1 << 20;

/// The replies to give again.
#[derive(Debug)]
pub(super) struct Replays {
    // Seeded: nobody can choose sources that all fall into one shard.
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    sources: HashMap<Box<str>, VecDeque<Replay>>,
    // The source of each key, oldest first.
    order: VecDeque<Box<str>>,
    bytes: usize,
}

#[derive(Debug)]
struct Replay {
    key: u128,
    reply: Bytes,
    events: usize,
}

impl Default for Replays {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: Default::default() }
    }
}

impl Replays {
    /// Runs `apply` unless the source sent this key before.
    ///
    /// # Errors
    /// With the first reply, and the number of events that it accepted, when the key is known.
    pub(super) fn once(
        &self,
        source: &str,
        key: &str,
        apply: impl FnOnce() -> (Bytes, usize),
    ) -> Result<Bytes, (Bytes, usize)> {
        let place = self.hasher.hash_one(source) as usize % SHARDS;
        let mut shard = self.shards[place].lock().unwrap_or_else(PoisonError::into_inner);
        // Two seeded hashes stand for the key, so a long key costs no memory.
        let high = u128::from(self.hasher.hash_one((0_u8, key))) << 64;
        let key = high | u128::from(self.hasher.hash_one((1_u8, key)));
        if let Some(replay) = shard.find(source, key) {
            return Err((replay.reply.clone(), replay.events));
        }
        let (reply, events) = apply();
        shard.remember(source, Replay { key, reply: reply.clone(), events });
        Ok(reply)
    }
}

impl Shard {
    fn find(&self, source: &str, key: u128) -> Option<&Replay> {
        self.sources.get(source)?.iter().rev().find(|replay| replay.key == key)
    }

    fn remember(&mut self, source: &str, replay: Replay) {
        self.bytes += replay.reply.len();
        self.order.push_back(source.into());
        let replays = self.sources.entry(source.into()).or_default();
        replays.push_back(replay);
        if replays.len() > KEYS_PER_SOURCE {
            let place = self.order.iter().position(|s| **s == *source);
            self.forget(place.unwrap_or(0));
        }
        while self.order.len() > KEYS_PER_SHARD
            || (self.bytes > REPLY_BYTES_PER_SHARD && self.order.len() > 1)
        {
            self.forget(0);
        }
    }

    /// Forgets the oldest key of the source at that place of the order.
    fn forget(&mut self, place: usize) {
        let Some(source) = self.order.remove(place) else { return };
        let Some(replays) = self.sources.get_mut(&source) else { return };
        self.bytes -= replays.pop_front().map_or(0, |replay| replay.reply.len());
        if replays.is_empty() {
            self.sources.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(replays: &Replays, source: &str, key: &str) -> bool {
        replays.once(source, key, || (Bytes::from_static(b"reply"), 1)).is_ok()
    }

    #[test]
    fn a_key_is_counted_once_for_its_source() {
        let replays = Replays::default();
        assert!(send(&replays, "a", "1"));
        assert!(!send(&replays, "a", "1"));
        assert!(send(&replays, "b", "1"));
        let again = replays.once("a", "1", || unreachable!("the key is known"));
        assert_eq!(again, Err((Bytes::from_static(b"reply"), 1)));
    }

    #[test]
    fn the_last_128_keys_of_a_source_are_known() {
        let replays = Replays::default();
        for key in 0..=KEYS_PER_SOURCE {
            assert!(send(&replays, "a", &key.to_string()));
        }
        assert!(!send(&replays, "a", "1"));
        assert!(send(&replays, "a", "0"));
    }

    #[test]
    fn a_shard_is_bounded_in_keys_and_in_bytes() {
        let mut shard = Shard::default();
        for source in 0..2 * KEYS_PER_SHARD {
            let reply = Bytes::from_static(b"reply");
            shard.remember(&source.to_string(), Replay { key: 0, reply, events: 0 });
        }
        assert_eq!(shard.order.len(), KEYS_PER_SHARD);
        assert_eq!(shard.sources.len(), KEYS_PER_SHARD);
        let reply = Bytes::from(vec![0; REPLY_BYTES_PER_SHARD + 1]);
        shard.remember("large", Replay { key: 0, reply, events: 0 });
        assert_eq!(shard.order, [Box::from("large")]);
        assert_eq!(shard.bytes, REPLY_BYTES_PER_SHARD + 1);
    }
}
