//! DevSkyy MCP Monitoring in one process: the services without Redis, and demo traffic if wanted.

pub mod demo;
mod run;
mod screen;

pub use run::{RunArgs, run};
