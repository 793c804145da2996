//! The exporter as its clients see it: the real application over real sockets, and the real
//! program where memory, signals and exit codes count.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken assumption fails the test")]

mod access;
mod configuration;
mod connections;
mod events;
mod limits;
mod losses;
mod memory;
mod monitor;
mod page;
mod program;
mod readings;
mod repairs;
mod replays;
mod reports;
mod scrape;
mod shutdown;
mod support;
