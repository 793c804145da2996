//! What people are told: the outbox's step, the loop around it, and Slack at the other end.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a broken assumption fails the test")]

mod breaking;
mod model;
mod notifier;
mod outbox;
mod repairs;
mod replicas;
mod slack;
mod world;
