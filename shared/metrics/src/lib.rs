//! The metric catalogue of DevSkyy MCP Monitoring, and the recorder behind it.
//!
//! The only crate that names `opentelemetry` or `prometheus`.

pub mod event;
pub mod label;
pub mod name;
pub mod outcome;

pub use event::{Event, Origin, Seconds, ToolCall, TraceId};
pub use name::Name;
pub use outcome::{Ending, Outcome};
