//! A tool call from its start to its end: written once, whatever way it ends.

use std::borrow::Cow;
use std::sync::Arc;
use std::thread;

use mcpmon_metrics::event::{ToolCall, TraceId};
use mcpmon_metrics::label::{ErrorType, ProtocolVersion, Reason, Transport};
use mcpmon_metrics::{Ending, Event, Name, Outcome};
use tokio::time::Instant;

use crate::active::{ActiveCall, Detail};
use crate::core::Core;
use crate::gauges::Raised;

/// A call that was accepted and whose handler has not started.
///
/// Dropped without [`QueuedGuard::start`] it leaves the queue and is not counted as a call.
#[derive(Debug)]
#[must_use = "the call leaves the queue when the guard is dropped"]
pub struct QueuedGuard {
    core: Arc<Core>,
    tool: Name<'static>,
    accepted: Instant,
    _queued: Raised,
}

/// A running call.
///
/// It ends by one of the methods that take it. Dropped without a word it is counted as
/// cancelled — the future was dropped — or, during a panic, as an error of the type
/// `internal_error` and the reason `panic`. To end or to be dropped never waits for the exporter,
/// not even when every [`Monitor`](crate::Monitor) is gone.
#[derive(Debug)]
#[must_use = "the call is counted as cancelled when the guard is dropped"]
pub struct CallGuard {
    core: Arc<Core>,
    active: Arc<ActiveCall>,
    inflight: Option<Raised>,
    started: Instant,
    /// A call opened during a panic must not be blamed for it.
    born_panicking: bool,
    request_bytes: Option<u64>,
    response_bytes: Option<u64>,
    message: Option<String>,
    trace_id: Option<TraceId>,
    transport: Option<Transport>,
    protocol_version: Option<ProtocolVersion>,
}

impl QueuedGuard {
    pub(crate) fn new(core: Arc<Core>, tool: Name<'static>) -> Self {
        let _queued = core.readings.gauges.queued(&tool);
        Self { core, tool, accepted: Instant::now(), _queued }
    }

    /// The handler starts. The call's duration includes the time that it waited.
    pub fn start(self) -> CallGuard {
        CallGuard::new(self.core, self.tool, self.accepted)
    }
}

impl CallGuard {
    pub(crate) fn new(core: Arc<Core>, tool: Name<'static>, started: Instant) -> Self {
        Self {
            inflight: Some(core.readings.gauges.inflight(&tool)),
            active: core.active.enter(tool),
            core,
            started,
            born_panicking: thread::panicking(),
            request_bytes: None,
            response_bytes: None,
            message: None,
            trace_id: None,
            transport: None,
            protocol_version: None,
        }
    }

    /// The tool answered.
    pub fn success(self) {
        self.finish(Outcome::Success);
    }

    /// The tool failed. An error that was reported inside the call with
    /// [`Monitor::error`](crate::Monitor::error) or [`CallGuard::detail`] says it more exactly
    /// and takes precedence.
    ///
    /// Nothing else is counted: a limit that was hit and a caller that was refused are reported
    /// beside it, with [`Monitor::rate_limit`](crate::Monitor::rate_limit) and
    /// [`Monitor::auth_failure`](crate::Monitor::auth_failure).
    pub fn error(self, error_type: ErrorType, reason: Reason) {
        self.finish(Outcome::Error(error_type, reason));
    }

    /// A deadline passed.
    pub fn timeout(self) {
        self.finish(Outcome::Timeout);
    }

    /// The client withdrew the call.
    pub fn cancelled(self) {
        self.finish(Outcome::Cancelled);
    }

    /// The call ended in that way.
    pub fn finish(mut self, outcome: Outcome) {
        self.write(outcome);
    }

    /// The size of the request message in bytes.
    pub fn request_bytes(&mut self, bytes: u64) -> &mut Self {
        self.request_bytes = Some(bytes);
        self
    }

    /// The size of the reply message in bytes.
    pub fn response_bytes(&mut self, bytes: u64) -> &mut Self {
        self.response_bytes = Some(bytes);
        self
    }

    /// The trace that the call belongs to.
    pub fn trace_id(&mut self, trace_id: TraceId) -> &mut Self {
        self.trace_id = Some(trace_id);
        self
    }

    /// How the client is connected.
    pub fn transport(&mut self, transport: Transport) -> &mut Self {
        self.transport = Some(transport);
        self
    }

    /// The revision that client and server speak.
    pub fn protocol_version(&mut self, version: ProtocolVersion) -> &mut Self {
        self.protocol_version = Some(version);
        self
    }

    /// Details the call as [`Monitor::error`](crate::Monitor::error) does, but this call and no
    /// other. For calls that run side by side in one task (`join!`, `FuturesUnordered`): those of
    /// one tool cannot be told apart by where they run.
    pub fn detail(&self, error_type: &str, reason: &str) {
        let tool = &self.active.tool;
        let detail = Detail::new(error_type, Some(tool.as_str()), reason);
        if let Some(replaced) = self.active.detail(detail) {
            self.core.submit(replaced.into_event(Some(tool.clone())));
        }
    }

    /// What the error said. It is redacted, cut to 512 bytes, and never becomes a label.
    pub fn message(&mut self, message: impl Into<String>) -> &mut Self {
        self.message = Some(message.into());
        self
    }

    fn write(&mut self, outcome: Outcome) {
        // Taken once: a guard that was finished has nothing left to say when it is dropped.
        let Some(inflight) = self.inflight.take() else { return };
        drop(inflight);
        self.core.active.leave(&self.active);
        let mut message = self.message.take();
        let outcome = match (outcome, self.active.take_detail()) {
            (Outcome::Error(..), Some(detail)) => {
                message = message.or(detail.message);
                Outcome::Error(detail.error_type, detail.reason)
            }
            (outcome, Some(detail)) => {
                self.core.submit(detail.into_event(Some(self.active.tool.clone())));
                outcome
            }
            (outcome, None) => outcome,
        };
        self.core.submit(Event::ToolCall(ToolCall {
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            message: message.map(Cow::Owned),
            trace_id: self.trace_id,
            transport: self.transport,
            protocol_version: self.protocol_version,
            ..ToolCall::new(self.active.tool.clone(), outcome, self.started.elapsed())
        }));
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        let panicked = thread::panicking() && !self.born_panicking;
        let ending = if panicked { Ending::Panicked } else { Ending::Cancelled };
        self.write(ending.into());
    }
}
