//! Remediation in simulated time against a model of the world: random sequences of failures, crashes,
//! people and time, and what must hold however they fall.
//!
//! The engine, the leases, the budgets and the audit are the real ones; the targets, the monitor and
//! the clock are the model's.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a broken assumption fails the test")]

mod flaky;
mod history;
mod invariants;
mod replica;
mod steps;
mod world;
