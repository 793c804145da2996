//! Actions on real parts: programs, servers, a Docker engine of the tests' own, a systemd in a
//! container of it, and a bus with a scripted manager for what a real one will not do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken assumption fails the test")]

mod bus;
mod command;
mod docker;
mod docker_faults;
mod engine;
mod http;
mod support;
mod systemd;
