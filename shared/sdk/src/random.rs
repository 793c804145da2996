//! Random numbers for names, keys and jitter. Not for secrets.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// 64 bits: a keyed hash of a counter, whose key the operating system gave.
pub(crate) fn bits() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    RandomState::new().hash_one(COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// A number from 0 up to, but not including, 1.
pub(crate) fn fraction() -> f64 {
    const STEPS: f64 = (1_u64 << 53) as f64;
    (bits() >> 11) as f64 / STEPS
}
