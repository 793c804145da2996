//! Monitoring for MCP servers written in Rust: what a server's author depends on.
//!
//! A [`Monitor`] takes what happens in a tool and passes it on: to an exporter, in batches from
//! a background thread, or into numbers of this process that it serves itself. Whatever becomes
//! of the exporter, the tool goes on: recording never panics, blocks or fails. Only the end of the
//! [`Monitor`] itself waits, and not for long.
//!
//! ```
//! use mcpmon_sdk::{Monitor, label::{ErrorType, Reason}};
//!
//! # fn main() -> Result<(), mcpmon_sdk::SdkError> {
//! let monitor = Monitor::builder("boutique").build()?;
//!
//! let mut call = monitor.call("search_catalogue");
//! call.request_bytes(180);
//! match "42".parse::<u32>() {
//!     Ok(_) => call.success(),
//!     Err(_) => call.error(ErrorType::ApiError, Reason::Parse),
//! }
//! monitor.llm_tokens("anthropic", "claude-sonnet", 1_000, 500);
//!
//! let addr = monitor.start_metrics_server(0)?;
//! println!("http://{addr}/metrics");
//! # Ok(())
//! # }
//! ```
//!
//! With `MCP_EXPORTER_URL` set, [`Monitor::from_env`] sends events there instead.

mod active;
mod builder;
mod core;
mod default;
mod error;
mod gauges;
mod guard;
mod monitor;
mod page;
mod random;
mod readings;
mod remote;
mod server;
mod worker;

pub use mcpmon_metrics::{
    Ending, Event, Name, Outcome, Seconds, ToolCall, TraceId, event, label, redact,
};
pub use secrecy::SecretString;

pub use self::builder::MonitorBuilder;
pub use self::default::{
    declare_tools, flush, init, monitor, record_3d_generation, record_agent_usage,
    record_auth_failure, record_error, record_llm_tokens, record_rate_limit, record_security_event,
    record_tool_call, record_validation_failure, set_connections, shutdown,
    start_metrics_server_background,
};
pub use self::error::{Flushed, SdkError, Unsent};
pub use self::guard::{CallGuard, QueuedGuard};
pub use self::monitor::Monitor;
