//! Remediation as its clients see it: the real application over real sockets.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken assumption fails the test")]

mod access;
mod alerts;
mod approval;
mod explain;
mod look;
mod monitored;
mod operate;
mod support;
mod wire;
