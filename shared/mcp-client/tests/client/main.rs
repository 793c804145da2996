//! The client against real servers of both eras, and against peers that do everything wrong.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken assumption fails the test")]

mod children;
mod faults;
mod listings;
mod real;
mod slow;
mod support;
