//! The handle that a server's author holds, and everything that can be reported through it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mcpmon_metrics::event::MAX_COUNT;
use mcpmon_metrics::label::{
    AuthFailure, GenerationStatus, LimitType, ProtocolVersion, SecurityEvent, Transport,
    ValidationType,
};
use mcpmon_metrics::{Event, ScrapeError};
use tokio::time::Instant;

use crate::active::Detail;
use crate::builder::MonitorBuilder;
use crate::core::{Core, Handles};
use crate::error::{Flushed, SdkError, Unsent};
use crate::guard::{CallGuard, QueuedGuard};
use crate::readings::{self, name};

/// A cheap handle to one server's monitoring. Recording never panics, blocks or fails the tool.
///
/// Dropping the last handle waits, blocking the thread, for the exporter to take what was recorded
/// so far: as long as that needs, at most 2 seconds. In async code, and to learn what became of the
/// events, use [`Monitor::shutdown_async`] or [`Monitor::shutdown`] instead. Dropping a guard never
/// waits: what guards record that outlive all handles is delivered by the background thread, which
/// the end of the process does not wait for.
#[derive(Clone, Debug)]
pub struct Monitor(Arc<Handles>);

impl Monitor {
    pub(crate) fn new(core: Core) -> Self {
        Self(Arc::new(Handles(Arc::new(core))))
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.0.0
    }

    /// Settings for the server of that name: 1 to 128 bytes without control characters.
    pub fn builder(server: impl Into<String>) -> MonitorBuilder {
        MonitorBuilder::new(server.into())
    }

    /// A monitor as the environment asks: with `MCP_EXPORTER_URL` events go to that exporter,
    /// with the token of `MCP_EXPORTER_TOKEN` or of the file `MCP_EXPORTER_TOKEN_FILE`; without
    /// it the numbers stay in this process.
    ///
    /// # Errors
    /// As [`MonitorBuilder::build`], and when both tokens are set.
    pub fn from_env(server: impl Into<String>) -> Result<Self, SdkError> {
        MonitorBuilder::from_vars(server.into(), |key| std::env::var(key).ok())?.build()
    }

    /// Opens a call of `tool` that runs from now on.
    pub fn call(&self, tool: &str) -> CallGuard {
        CallGuard::new(self.core().clone(), name(tool), Instant::now())
    }

    /// Opens a call of `tool` that was accepted and waits for its handler.
    pub fn queued(&self, tool: &str) -> QueuedGuard {
        QueuedGuard::new(self.core().clone(), name(tool))
    }

    /// Records any event. Messages in it are redacted and cut.
    pub fn record(&self, event: Event<'static>) {
        self.core().submit(event);
    }

    /// Reports an error of the tool.
    ///
    /// Inside a call of the same tool — one that was opened by this task, or by this thread
    /// where there is no task — it details that call: should the call end in error, this is its
    /// type and its reason, and the error is counted once. Should the call end otherwise, or
    /// should a second error be reported inside it, this one is counted by itself. Without a
    /// `tool` it details the innermost call that runs here. Where one task runs several calls of
    /// a tool side by side, use [`CallGuard::detail`].
    ///
    /// An `error_type` that is not in the catalogue is counted as `internal_error`, a `reason`
    /// that is not as `other`; what they said goes, redacted, to the log and into the event's
    /// message.
    pub fn error(&self, error_type: &str, tool: Option<&str>, reason: &str) {
        let detail = Detail::new(error_type, tool, reason);
        let (tool, bare) = match self.core().active.detail(tool, detail) {
            Ok(None) => return,
            Ok(Some((tool, replaced))) => (Some(tool), replaced),
            Err(detail) => (tool.map(name), detail),
        };
        self.core().submit(bare.into_event(tool));
    }

    /// Tokens that a language model took and gave.
    pub fn llm_tokens(&self, provider: &str, model: &str, input: u64, output: u64) {
        self.llm_tokens_cached(provider, model, input, output, 0, 0);
    }

    /// The same, with the tokens read from and written to the provider's cache.
    pub fn llm_tokens_cached(
        &self,
        provider: &str,
        model: &str,
        input: u64,
        output: u64,
        cache_read: u64,
        cache_write: u64,
    ) {
        self.record(Event::LlmTokens {
            provider: name(provider),
            model: name(model),
            input: input.min(MAX_COUNT),
            output: output.min(MAX_COUNT),
            cache_read: cache_read.min(MAX_COUNT),
            cache_write: cache_write.min(MAX_COUNT),
        });
    }

    /// An agent was used.
    pub fn agent_usage(&self, agent: &str, category: &str) {
        self.record(Event::AgentUsage { agent: name(agent), category: name(category), count: 1 });
    }

    /// A 3D generation reached that status.
    pub fn generation_3d(&self, status: GenerationStatus) {
        self.record(Event::Generation3d { status, count: 1 });
    }

    /// A caller was refused. A call that ends as `auth_error` does not say so by itself.
    pub fn auth_failure(&self, reason: AuthFailure) {
        self.record(Event::AuthFailure { reason, count: 1 });
    }

    /// An input of `tool` was refused.
    pub fn validation_failure(&self, tool: &str, validation_type: ValidationType) {
        self.record(Event::ValidationFailure { tool: name(tool), validation_type, count: 1 });
    }

    /// A security check saw something.
    pub fn security_event(&self, event_type: SecurityEvent) {
        self.record(Event::SecurityEvent { event_type, count: 1 });
    }

    /// A rate limit refused something. A call that ends as `rate_limited` does not say so by
    /// itself, for only the tool knows whose limit it was.
    pub fn rate_limit(&self, tool: Option<&str>, limit_type: LimitType) {
        self.record(Event::RateLimit { limit_type, tool: tool.map(name), count: 1 });
    }

    /// How many connections of `transport` are open now. A change is sent at once, further
    /// ones once a second; however many there are, they take no room in the queue. Repeated at
    /// every heartbeat.
    pub fn set_connections(&self, transport: Transport, value: u64) {
        self.record(Event::Connections { transport, value: value.min(MAX_COUNT) });
    }

    /// The tools that the server offers, all of them. Declared tools are counted from 0.
    pub fn declare_tools(&self, tools: &[&str]) {
        self.record(readings::declaration(tools));
    }

    /// How the server names itself to its clients. Repeated at every heartbeat.
    pub fn server_info(
        &self,
        server_name: &str,
        version: &str,
        protocol_version: Option<ProtocolVersion>,
    ) {
        self.record(Event::ServerStarted {
            name: Some(name(server_name)),
            version: Some(name(version)),
            protocol_version,
            uptime: self.core().readings.uptime().into(),
        });
    }

    /// The name under which this process reports.
    pub fn source(&self) -> &str {
        self.core().origin.source.as_str()
    }

    /// Events that no number will show: the queue was full, the exporter refused them, or the
    /// monitor was shut down. Always 0 in-process.
    pub fn dropped_events(&self) -> u64 {
        self.core().dropped_events()
    }

    /// Waits, blocking the thread, until everything recorded so far is settled, at most for
    /// `deadline`.
    pub fn flush(&self, deadline: Duration) -> Flushed {
        self.core().flush(deadline)
    }

    /// [`Monitor::flush`] for async code, in any runtime.
    pub async fn flush_async(&self, deadline: Duration) -> Flushed {
        self.core().flush_async(deadline).await
    }

    /// Takes nothing more, delivers what waits, blocking at most for `deadline`, and stops the
    /// background thread. Holds for all clones: what they record afterwards is dropped and
    /// counted.
    ///
    /// # Errors
    /// How many events no exporter has acknowledged. One request may have been under way; its
    /// events are among them.
    pub fn shutdown(self, deadline: Duration) -> Result<(), Unsent> {
        self.core().shut_down(deadline)
    }

    /// [`Monitor::shutdown`] for async code, in any runtime.
    ///
    /// # Errors
    /// As [`Monitor::shutdown`].
    pub async fn shutdown_async(self, deadline: Duration) -> Result<(), Unsent> {
        self.core().shut_down_async(deadline).await
    }

    /// Serves `/metrics` and `/health` on 127.0.0.1 from the background thread, until the
    /// monitor is shut down or its last handle and guard are dropped. Port 0 takes any free port; the bound
    /// address comes back. With an exporter `/metrics` shows the SDK's own numbers only.
    ///
    /// # Errors
    /// When the port is taken, or the background thread cannot start.
    pub fn start_metrics_server(&self, port: u16) -> Result<SocketAddr, SdkError> {
        self.serve_metrics((Ipv4Addr::LOCALHOST, port).into(), &[])
    }

    /// [`Monitor::start_metrics_server`] on any address. It asks for no token, so an address that
    /// others reach shows the numbers to them.
    ///
    /// It answers to localhost, to addresses, and to `names` (`host` or `host:port`): a web page
    /// that makes a browser ask under a name of its own learns nothing.
    ///
    /// # Errors
    /// When the address is taken or not this machine's, or the background thread cannot start.
    pub fn serve_metrics(
        &self,
        addr: SocketAddr,
        names: &[String],
    ) -> Result<SocketAddr, SdkError> {
        self.core().serve(addr, names.to_vec())
    }

    /// The text that `/metrics` serves, for a server that has an HTTP endpoint of its own.
    ///
    /// # Errors
    /// When the pipeline gives nothing.
    pub fn metrics_text(&self) -> Result<String, ScrapeError> {
        self.core().page().metrics()
    }
}
