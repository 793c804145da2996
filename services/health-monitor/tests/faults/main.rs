//! The real program under faults: one to three replicas over a real Redis, scripted components, and
//! a receiver that behaves as Slack. Each recipe is followed by a look at the history: every
//! trouble was told once, every message had its end, and no check counted twice.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken assumption fails the test")]

mod absent;
mod chaos;
mod clock;
mod command;
mod listing;
mod message;
mod network;
mod process;
mod redis;
mod replicas;
mod secrets;
mod starved;
mod storm;
mod support;
mod target;
mod tls;
