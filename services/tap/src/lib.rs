//! A transparent observer in front of any MCP server.
//!
//! The path of a message: over stdio a pump ([`stdio`]) reads it, over [`http`] a body does; a copy
//! goes into the bounded [`queue`] and the message goes on; the [`worker`]'s thread feeds the copies to the [`observer`], which
//! pairs requests with replies and records events in a [`sink`]: the SDK's monitor, which sends
//! them to the exporter in batches. Nothing after the queue can delay or change a byte.
//! Beside that path, [`wrap`] edits clients' configurations.

pub mod app;
pub mod cli;
pub mod clock;
mod farewell;
pub mod health;
pub mod http;
pub mod observer;
pub mod queue;
pub mod rules;
mod server_name;
pub mod sink;
pub mod stdio;
pub mod worker;
pub mod wrap;
