//! The last failures of each tool, for a person who asks what went wrong.
//!
//! Here is what labels may not hold: the time, the trace, and with `keep_error_text` the text.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use mcpmon_metrics::label::{ErrorType, Reason, Status};
use mcpmon_metrics::redact::redact;
use mcpmon_metrics::{Event, NO_TOOL, Name, Outcome, ServerMetrics, TraceId};
use serde::Serialize;

const PER_TOOL: usize = 50;
const MAX_TEXT_CHARS: usize = 200;

/// One call that did not succeed, or one error outside a call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Failure {
    /// The server's label.
    pub(crate) server: Arc<str>,
    /// The tool's label.
    pub(crate) tool: Arc<str>,
    /// When it arrived, in Unix seconds.
    pub(crate) time: f64,
    /// How the call ended.
    pub(crate) status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_type: Option<ErrorType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<Reason>,
    /// None for an error outside a call.
    pub(crate) duration_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<TraceId>,
    /// What the error said, without secrets; kept only with `keep_error_text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

/// The rings of all tools; as many as there are admitted tools.
#[derive(Debug, Clone)]
pub(crate) struct Failures(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keep_text: bool,
    rings: Mutex<HashMap<Labels, VecDeque<Failure>>>,
}

/// A server's and a tool's.
type Labels = (Arc<str>, Arc<str>);

impl Failures {
    /// Empty rings.
    pub(crate) fn new(keep_text: bool) -> Self {
        Self(Arc::new(Inner { keep_text, rings: Mutex::default() }))
    }

    /// Keeps the event if it is a failure.
    pub(crate) fn keep(&self, recorder: &ServerMetrics, event: &Event<'_>) {
        let (tool, outcome, duration, trace_id, text) = match event {
            Event::ToolCall(call) if call.outcome != Outcome::Success => {
                let duration = Some(call.duration.get());
                (Some(&call.tool), call.outcome, duration, call.trace_id, &call.message)
            }
            Event::Error { error_type, reason, tool, message, .. } => {
                (tool.as_ref(), Outcome::Error(*error_type, *reason), None, None, message)
            }
            _ => return,
        };
        let (error_type, reason) = match outcome {
            Outcome::Error(error_type, reason) => (Some(error_type), Some(reason)),
            _ => (None, None),
        };
        let label = |tool: &Name<'_>| recorder.tool_label(tool);
        let failure = Failure {
            server: recorder.label().clone(),
            tool: tool.map_or_else(|| NO_TOOL.into(), label),
            time: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64()),
            status: outcome.status(),
            error_type,
            reason,
            duration_seconds: duration,
            trace_id,
            message: text.as_deref().filter(|_| self.0.keep_text).map(redacted),
        };
        let mut rings = self.0.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = rings.entry((failure.server.clone(), failure.tool.clone())).or_default();
        if ring.len() == PER_TOOL {
            ring.pop_front();
        }
        ring.push_back(failure);
    }

    /// The last failures of the given server and tool, or of all, newest first.
    pub(crate) fn list(
        &self,
        server: Option<&str>,
        tool: Option<&str>,
        limit: usize,
    ) -> Vec<Failure> {
        let rings = self.0.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |(s, t): &Labels| {
            server.is_none_or(|server| **s == *server) && tool.is_none_or(|tool| **t == *tool)
        };
        let rings = rings.iter().filter(|(key, _)| wanted(key));
        // Newest first already within a ring, which a stable sort keeps for equal times.
        let mut failures: Vec<_> = rings.flat_map(|(_, ring)| ring.iter().rev()).collect();
        failures.sort_by(|a, b| b.time.total_cmp(&a.time));
        failures.into_iter().take(limit).cloned().collect()
    }
}

fn redacted(text: &str) -> String {
    redact(text).chars().take(MAX_TEXT_CHARS).collect()
}
