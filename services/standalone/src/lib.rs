//! DevSkyy MCP Monitoring in one process: the services without Redis, and demo traffic if wanted.

pub mod demo;
mod demo_client;
mod events;
mod monitor;
mod repairs;
mod run;
mod screen;

pub use demo_client::{DemoClientArgs, drive_demo};
pub use run::{RunArgs, run};
