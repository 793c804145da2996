//! The SDK against real sockets: what reaches the exporter, and what its failures cost.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without, it fails for")]

mod calls;
mod default;
mod remote;
mod scrape;
mod shutdown;
mod support;
