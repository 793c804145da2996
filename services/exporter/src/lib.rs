//! `mcp-exporter`: events in, Prometheus text out, a status page for people.
//!
//! [`Config`] says what is wanted, [`Application`] builds and runs it; the other modules are its
//! parts, from the request in `http` to the numbers.

mod alerts;
mod application;
mod config;
mod failures;
mod http;
mod ingest;
mod monitor;
mod overview;
mod peer;
mod remediation;
mod state;
mod summary;
mod verdict;
mod window;

pub use application::{Application, BuildError};
pub use config::{Config, SECTIONS};
pub use overview::{Counted, Overview};
