//! Test support: metric matchers, real processes, hostile peers

#![allow(clippy::panic, clippy::unwrap_used, reason = "a broken assumption fails the test")]

pub mod breaker;
pub mod deaf;
pub mod http_script;
pub mod metric;
pub mod program;
pub mod redis_server;
