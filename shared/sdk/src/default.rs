//! Free functions over the process's default monitor, for tools that hold no handle.
//!
//! Without [`init`] the first call builds it from the environment, named after
//! `MCP_SERVER_NAME`, else after the executable.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use mcpmon_metrics::label::{
    AuthFailure, GenerationStatus, LimitType, SecurityEvent, Transport, ValidationType,
};

use crate::error::{Flushed, SdkError, Unsent};
use crate::guard::CallGuard;
use crate::monitor::Monitor;

static DEFAULT: OnceLock<Monitor> = OnceLock::new();

/// Makes `monitor` the default. Call it once, before anything is recorded.
///
/// # Errors
/// When there is a default already.
pub fn init(monitor: Monitor) -> Result<(), SdkError> {
    DEFAULT.set(monitor).map_err(|_| SdkError::AlreadyInitialised)
}

/// The default monitor. A wrong environment is logged, and the numbers then stay in this
/// process: a tool does not fail for its monitoring.
pub fn monitor() -> &'static Monitor {
    DEFAULT.get_or_init(|| {
        let server = server_name();
        Monitor::from_env(&*server).unwrap_or_else(|error| {
            tracing::error!(%error, "monitoring stays in this process");
            let builder = Monitor::builder("unnamed");
            builder.build().expect("the defaults of an in-process monitor are right")
        })
    })
}

fn server_name() -> String {
    let given = std::env::var("MCP_SERVER_NAME").ok().filter(|name| !name.trim().is_empty());
    given.unwrap_or_else(|| {
        let executable = std::env::current_exe().ok();
        let stem = executable.as_deref().and_then(Path::file_stem);
        stem.map_or_else(|| "unnamed".into(), |stem| stem.to_string_lossy().into_owned())
    })
}

/// [`Monitor::call`] of the default monitor.
pub fn record_tool_call(tool: &str) -> CallGuard {
    monitor().call(tool)
}

/// [`Monitor::error`] of the default monitor.
pub fn record_error(error_type: &str, tool: Option<&str>, reason: &str) {
    monitor().error(error_type, tool, reason);
}

/// [`Monitor::llm_tokens`] of the default monitor.
pub fn record_llm_tokens(provider: &str, model: &str, input: u64, output: u64) {
    monitor().llm_tokens(provider, model, input, output);
}

/// [`Monitor::agent_usage`] of the default monitor.
pub fn record_agent_usage(agent: &str, category: &str) {
    monitor().agent_usage(agent, category);
}

/// [`Monitor::generation_3d`] of the default monitor.
pub fn record_3d_generation(status: GenerationStatus) {
    monitor().generation_3d(status);
}

/// [`Monitor::auth_failure`] of the default monitor.
pub fn record_auth_failure(reason: AuthFailure) {
    monitor().auth_failure(reason);
}

/// [`Monitor::validation_failure`] of the default monitor.
pub fn record_validation_failure(tool: &str, validation_type: ValidationType) {
    monitor().validation_failure(tool, validation_type);
}

/// [`Monitor::security_event`] of the default monitor.
pub fn record_security_event(event_type: SecurityEvent) {
    monitor().security_event(event_type);
}

/// [`Monitor::rate_limit`] of the default monitor.
pub fn record_rate_limit(tool: Option<&str>, limit_type: LimitType) {
    monitor().rate_limit(tool, limit_type);
}

/// [`Monitor::set_connections`] of the default monitor.
pub fn set_connections(transport: Transport, value: u64) {
    monitor().set_connections(transport, value);
}

/// [`Monitor::declare_tools`] of the default monitor.
pub fn declare_tools(tools: &[&str]) {
    monitor().declare_tools(tools);
}

/// [`Monitor::start_metrics_server`] of the default monitor.
///
/// # Errors
/// When the port is taken, or the background thread cannot start.
pub fn start_metrics_server_background(port: u16) -> Result<SocketAddr, SdkError> {
    monitor().start_metrics_server(port)
}

/// [`Monitor::flush`] of the default monitor.
pub fn flush(deadline: Duration) -> Flushed {
    monitor().flush(deadline)
}

/// [`Monitor::shutdown`] of the default monitor. The default is never dropped, so a program
/// that uses it calls this before it ends; otherwise up to a second of events is lost.
///
/// # Errors
/// How many events no exporter has acknowledged.
pub fn shutdown(deadline: Duration) -> Result<(), Unsent> {
    monitor().clone().shutdown(deadline)
}
