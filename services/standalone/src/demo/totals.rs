//! What the demo's clients saw, for the line of totals.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts that go up while the demo runs.
#[derive(Debug, Default)]
pub struct Totals {
    calls: AtomicU64,
    errors: AtomicU64,
    cancelled: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
}

/// The totals at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Tool calls that came to an end, however they ended.
    pub calls: u64,
    /// Those that the server answered with an error; a timeout in the server is one.
    pub errors: u64,
    /// Those that the client gave up.
    pub cancelled: u64,
    /// Connections that the server refused for lack of a good token.
    pub refused: u64,
    /// Calls and connections that a server which is away cost.
    pub lost: u64,
}

impl Totals {
    /// The totals now.
    pub fn read(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            calls: read(&self.calls),
            errors: read(&self.errors),
            cancelled: read(&self.cancelled),
            refused: read(&self.refused),
            lost: read(&self.lost),
        }
    }

    pub(crate) fn answered(&self, is_error: bool) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.errors.fetch_add(u64::from(is_error), Ordering::Relaxed);
    }

    pub(super) fn cancelled(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.cancelled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }
}
