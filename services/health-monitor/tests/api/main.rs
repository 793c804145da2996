//! The monitor as its clients see it: the real application over real sockets.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken assumption fails the test")]

mod access;
mod configuration;
mod look;
mod operate;
mod support;
