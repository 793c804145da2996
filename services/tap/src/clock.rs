//! The tap's clock: times since its start, so that the observer needs no clock of its own.

use std::time::Duration;

use tokio::time::Instant;

/// A clock that began at zero.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub fn now(self) -> Duration {
        self.0.elapsed()
    }
}
