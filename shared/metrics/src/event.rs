//! What can happen: the events of `POST /v1/events`, as domain types.
//!
//! [`Event`] serialises to the wire; [`crate::wire`] parses and checks the way back.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::label::{
    AuthFailure, ErrorType, GenerationStatus, LimitType, Method, Observer, ProtocolVersion, Reason,
    SecurityEvent, Transport, ValidationType,
};
use crate::name::Name;
use crate::outcome::Outcome;

/// The largest size in an event: whole numbers above 2^53 are not exact in JSON.
pub const MAX_BYTES: u64 = 1 << 53;

/// The largest count in one event, and the most tokens: so many that no counter ever wraps.
pub const MAX_COUNT: u64 = 1_000_000_000;

/// The longest duration in an event, in seconds; some 30 years.
pub const MAX_SECONDS: f64 = 1e9;

/// A duration in seconds, from 0 to [`MAX_SECONDS`].
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Seconds(f64);

impl Seconds {
    /// Checks that `value` is within the range.
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=MAX_SECONDS).contains(&value).then_some(Self(value))
    }

    /// The number of seconds.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl From<std::time::Duration> for Seconds {
    fn from(duration: std::time::Duration) -> Self {
        Self(duration.as_secs_f64().min(MAX_SECONDS))
    }
}

/// A W3C trace id: 16 bytes, not all zero, 32 hexadecimal digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// A text that is no trace id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a trace id; expected 32 hexadecimal digits, not all zero")]
pub struct InvalidTraceId;

impl FromStr for TraceId {
    type Err = InvalidTraceId;

    fn from_str(text: &str) -> Result<Self, InvalidTraceId> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidTraceId);
        }
        let value = u128::from_str_radix(text, 16).map_err(|_| InvalidTraceId)?;
        if value == 0 { Err(InvalidTraceId) } else { Ok(Self(value.to_be_bytes())) }
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where a batch of events comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin<'a> {
    /// The MCP server that the events are about.
    pub server: Name<'a>,
    /// The process that reports; gauges belong to it.
    pub source: Name<'a>,
    /// What kind of observer the process is.
    pub observer: Observer,
}

/// A finished `tools/call`.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall<'a> {
    /// The tool that was called.
    pub tool: Name<'a>,
    /// How it ended.
    pub outcome: Outcome,
    /// From the request's arrival to the reply's departure.
    pub duration: Seconds,
    /// The request message's bytes, without framing.
    pub request_bytes: Option<u64>,
    /// The reply message's bytes, without framing.
    pub response_bytes: Option<u64>,
    /// What the error said; goes to the failure ring, never to a label.
    pub message: Option<Cow<'a, str>>,
    /// The trace that the call belongs to.
    pub trace_id: Option<TraceId>,
    /// How client and server are connected.
    pub transport: Option<Transport>,
    /// The revision that they speak.
    pub protocol_version: Option<ProtocolVersion>,
}

impl<'a> ToolCall<'a> {
    /// A call with nothing known but the tool, the outcome and the duration.
    pub fn new(tool: Name<'a>, outcome: Outcome, duration: impl Into<Seconds>) -> Self {
        Self {
            tool,
            outcome,
            duration: duration.into(),
            request_bytes: None,
            response_bytes: None,
            message: None,
            trace_id: None,
            transport: None,
            protocol_version: None,
        }
    }
}

/// One thing that happened, or one absolute reading.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// A tool call ended.
    ToolCall(ToolCall<'a>),
    /// Any other JSON-RPC request ended.
    Operation {
        method: Method,
        outcome: Outcome,
        duration: Seconds,
        transport: Transport,
        protocol_version: Option<ProtocolVersion>,
    },
    /// An error outside a finished call.
    Error {
        error_type: ErrorType,
        reason: Reason,
        tool: Option<Name<'a>>,
        message: Option<Cow<'a, str>>,
        count: u64,
    },
    /// A rate limit refused something.
    RateLimit { limit_type: LimitType, tool: Option<Name<'a>>, count: u64 },
    /// Open connections now.
    Connections { transport: Transport, value: u64 },
    /// Calls accepted whose handler has not started, now.
    QueueDepth { tool: Name<'a>, value: u64 },
    /// Calls being handled now.
    Inflight { tool: Name<'a>, value: u64 },
    /// A server lives; sent at its start and repeated while it lives.
    ServerStarted {
        name: Option<Name<'a>>,
        version: Option<Name<'a>>,
        protocol_version: Option<ProtocolVersion>,
        uptime: Seconds,
    },
    /// A `tools/list` reply, or the tools that a program declares.
    ToolsListed {
        tools: Vec<Name<'a>>,
        schema_hash: Cow<'a, str>,
        complete: bool,
        bytes: Option<u64>,
    },
    /// An agent was used.
    AgentUsage { agent: Name<'a>, category: Name<'a>, count: u64 },
    /// Tokens that a language model took and gave.
    LlmTokens {
        provider: Name<'a>,
        model: Name<'a>,
        input: u64,
        output: u64,
        cache_read: u64,
        cache_write: u64,
    },
    /// A 3D generation changed its status.
    Generation3d { status: GenerationStatus, count: u64 },
    /// An observer dropped what it should have observed, rather than delay the traffic.
    ObservationsDropped { count: u64 },
    /// A caller was refused.
    AuthFailure { reason: AuthFailure, count: u64 },
    /// An input was refused.
    ValidationFailure { tool: Name<'a>, validation_type: ValidationType, count: u64 },
    /// A security check saw something.
    SecurityEvent { event_type: SecurityEvent, count: u64 },
}

impl Serialize for Event<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields(serializer.serialize_map(None)?);
        fields.write(self)?;
        fields.0.end()
    }
}

struct Fields<M>(M);

impl<M: SerializeMap> Fields<M> {
    fn put<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), M::Error> {
        self.0.serialize_entry(key, value)
    }

    fn maybe<T: Serialize>(
        &mut self,
        key: &'static str,
        value: &Option<T>,
    ) -> Result<(), M::Error> {
        value.as_ref().map_or(Ok(()), |value| self.put(key, value))
    }

    fn count(&mut self, count: u64) -> Result<(), M::Error> {
        if count == 1 { Ok(()) } else { self.put("count", &count) }
    }

    fn tokens(&mut self, key: &'static str, tokens: u64) -> Result<(), M::Error> {
        if tokens == 0 { Ok(()) } else { self.put(key, &tokens) }
    }

    fn call(&mut self, call: &ToolCall<'_>) -> Result<(), M::Error> {
        self.put("tool", &call.tool)?;
        self.put("status", &call.outcome.status())?;
        self.put("duration_seconds", &call.duration)?;
        if let Outcome::Error(error_type, reason) = call.outcome {
            self.put("error_type", &error_type)?;
            self.put("reason", &reason)?;
        }
        self.maybe("request_bytes", &call.request_bytes)?;
        self.maybe("response_bytes", &call.response_bytes)?;
        self.maybe("message", &call.message)?;
        self.maybe("trace_id", &call.trace_id)?;
        self.maybe("transport", &call.transport)?;
        self.maybe("protocol_version", &call.protocol_version)
    }

    fn write(&mut self, event: &Event<'_>) -> Result<(), M::Error> {
        self.put("type", event.kind())?;
        match event {
            Event::ToolCall(call) => self.call(call),
            Event::Operation { method, outcome, duration, transport, protocol_version } => {
                self.put("method", method)?;
                self.put("duration_seconds", duration)?;
                self.maybe("error_type", &outcome.error_type())?;
                self.put("transport", transport)?;
                self.maybe("protocol_version", protocol_version)
            }
            Event::Error { error_type, reason, tool, message, count } => {
                self.put("error_type", error_type)?;
                self.put("reason", reason)?;
                self.maybe("tool", tool)?;
                self.maybe("message", message)?;
                self.count(*count)
            }
            Event::RateLimit { limit_type, tool, count } => {
                self.put("limit_type", limit_type)?;
                self.maybe("tool", tool)?;
                self.count(*count)
            }
            Event::Connections { transport, value } => {
                self.put("transport", transport)?;
                self.put("value", value)
            }
            Event::QueueDepth { tool, value } | Event::Inflight { tool, value } => {
                self.put("tool", tool)?;
                self.put("value", value)
            }
            Event::ServerStarted { name, version, protocol_version, uptime } => {
                self.maybe("name", name)?;
                self.maybe("version", version)?;
                self.maybe("protocol_version", protocol_version)?;
                self.put("uptime_seconds", uptime)
            }
            Event::ToolsListed { tools, schema_hash, complete, bytes } => {
                self.put("tools", tools)?;
                self.put("schema_hash", schema_hash)?;
                self.put("complete", complete)?;
                self.maybe("bytes", bytes)
            }
            Event::AgentUsage { agent, category, count } => {
                self.put("agent", agent)?;
                self.put("category", category)?;
                self.count(*count)
            }
            Event::LlmTokens { provider, model, input, output, cache_read, cache_write } => {
                self.put("provider", provider)?;
                self.put("model", model)?;
                self.tokens("input", *input)?;
                self.tokens("output", *output)?;
                self.tokens("cache_read", *cache_read)?;
                self.tokens("cache_write", *cache_write)
            }
            Event::Generation3d { status, count } => {
                self.put("status", status)?;
                self.count(*count)
            }
            Event::ObservationsDropped { count } => self.put("count", count),
            Event::AuthFailure { reason, count } => {
                self.put("reason", reason)?;
                self.count(*count)
            }
            Event::ValidationFailure { tool, validation_type, count } => {
                self.put("tool", tool)?;
                self.put("validation_type", validation_type)?;
                self.count(*count)
            }
            Event::SecurityEvent { event_type, count } => {
                self.put("event_type", event_type)?;
                self.count(*count)
            }
        }
    }
}

impl Event<'_> {
    /// The event's `type` on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ToolCall(_) => "tool_call",
            Self::Operation { .. } => "operation",
            Self::Error { .. } => "error",
            Self::RateLimit { .. } => "rate_limit",
            Self::Connections { .. } => "connections",
            Self::QueueDepth { .. } => "queue_depth",
            Self::Inflight { .. } => "inflight",
            Self::ServerStarted { .. } => "server_started",
            Self::ToolsListed { .. } => "tools_listed",
            Self::AgentUsage { .. } => "agent_usage",
            Self::LlmTokens { .. } => "llm_tokens",
            Self::Generation3d { .. } => "generation_3d",
            Self::ObservationsDropped { .. } => "observations_dropped",
            Self::AuthFailure { .. } => "auth_failure",
            Self::ValidationFailure { .. } => "validation_failure",
            Self::SecurityEvent { .. } => "security_event",
        }
    }
}
