//! One event as it stands on the wire: a flat record, turned into the [`Event`] that it names.
//!
//! Flat, because serde buffers the fields of a tagged enum before it knows the variant.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::reader::Reader;
use super::text::Text;
use crate::event::{Event, MAX_BYTES, MAX_COUNT, MAX_SECONDS, Seconds, ToolCall, TraceId};
use crate::label::{ErrorType, Method, ProtocolVersion, Reason, Status};
use crate::name::Name;
use crate::outcome::Outcome;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an event")]
pub(super) struct WireEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) server: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) source: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) observer: Option<Text<'a>>,
    #[serde(borrow)]
    tool: Option<Text<'a>>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
    duration_seconds: Option<f64>,
    request_bytes: Option<u64>,
    response_bytes: Option<u64>,
    #[serde(borrow)]
    error_type: Option<Text<'a>>,
    #[serde(borrow)]
    reason: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
    #[serde(borrow)]
    trace_id: Option<Text<'a>>,
    #[serde(borrow)]
    transport: Option<Text<'a>>,
    #[serde(borrow)]
    protocol_version: Option<Text<'a>>,
    #[serde(borrow)]
    method: Option<Text<'a>>,
    #[serde(borrow)]
    limit_type: Option<Text<'a>>,
    value: Option<u64>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    version: Option<Text<'a>>,
    uptime_seconds: Option<f64>,
    #[serde(borrow)]
    tools: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    schema_hash: Option<Text<'a>>,
    complete: Option<bool>,
    bytes: Option<u64>,
    #[serde(borrow)]
    agent: Option<Text<'a>>,
    #[serde(borrow)]
    category: Option<Text<'a>>,
    #[serde(borrow)]
    provider: Option<Text<'a>>,
    #[serde(borrow)]
    model: Option<Text<'a>>,
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    #[serde(borrow)]
    validation_type: Option<Text<'a>>,
    #[serde(borrow)]
    event_type: Option<Text<'a>>,
    count: Option<u64>,
}

impl<'a> WireEvent<'a> {
    /// Reads the value of `key`. A key that is missing here is left to serde, which is slower.
    pub(super) fn read(&mut self, key: &str, reader: &mut Reader<'a>) -> Option<()> {
        match key {
            "type" => put(&mut self.kind, reader.text()),
            "server" => put(&mut self.server, reader.text()),
            "source" => put(&mut self.source, reader.text()),
            "observer" => put(&mut self.observer, reader.text()),
            "tool" => put(&mut self.tool, reader.text()),
            "status" => put(&mut self.status, reader.text()),
            "duration_seconds" => put(&mut self.duration_seconds, reader.number()),
            "request_bytes" => put(&mut self.request_bytes, reader.whole()),
            "response_bytes" => put(&mut self.response_bytes, reader.whole()),
            "error_type" => put(&mut self.error_type, reader.text()),
            "reason" => put(&mut self.reason, reader.text()),
            "message" => put(&mut self.message, reader.text()),
            "trace_id" => put(&mut self.trace_id, reader.text()),
            "transport" => put(&mut self.transport, reader.text()),
            "protocol_version" => put(&mut self.protocol_version, reader.text()),
            "method" => put(&mut self.method, reader.text()),
            "limit_type" => put(&mut self.limit_type, reader.text()),
            "value" => put(&mut self.value, reader.whole()),
            "name" => put(&mut self.name, reader.text()),
            "version" => put(&mut self.version, reader.text()),
            "uptime_seconds" => put(&mut self.uptime_seconds, reader.number()),
            "tools" => put(&mut self.tools, reader.serde()),
            "schema_hash" => put(&mut self.schema_hash, reader.text()),
            "complete" => put(&mut self.complete, reader.serde()),
            "bytes" => put(&mut self.bytes, reader.whole()),
            "agent" => put(&mut self.agent, reader.text()),
            "category" => put(&mut self.category, reader.text()),
            "provider" => put(&mut self.provider, reader.text()),
            "model" => put(&mut self.model, reader.text()),
            "input" => put(&mut self.input, reader.whole()),
            "output" => put(&mut self.output, reader.whole()),
            "cache_read" => put(&mut self.cache_read, reader.whole()),
            "cache_write" => put(&mut self.cache_write, reader.whole()),
            "validation_type" => put(&mut self.validation_type, reader.text()),
            "event_type" => put(&mut self.event_type, reader.text()),
            "count" => put(&mut self.count, reader.whole()),
            _ => None,
        }
    }
}

/// Puts a value where none is: a key that comes twice is an error.
pub(super) fn put<T>(place: &mut Option<T>, value: Option<T>) -> Option<()> {
    if place.is_some() {
        return None;
    }
    *place = value;
    place.is_some().then_some(())
}

type Checked<T> = Result<T, String>;

/// The value of a key that this type of event cannot do without.
fn need<T>(key: &str, value: Option<T>) -> Checked<T> {
    value.ok_or_else(|| format!("{key} is missing; this type of event needs it"))
}

fn name<'a>(key: &str, text: Option<Text<'a>>) -> Checked<Name<'a>> {
    Name::new(need(key, text)?.0).map_err(|e| format!("{key} {e}"))
}

fn maybe_name<'a>(key: &str, text: Option<Text<'a>>) -> Checked<Option<Name<'a>>> {
    text.map(|text| name(key, Some(text))).transpose()
}

fn one_of<T: FromStr<Err: fmt::Display>>(key: &str, text: Option<Text<'_>>) -> Checked<T> {
    need(key, text)?.0.parse().map_err(|e| format!("{key}: {e}"))
}

fn maybe_one_of<T: FromStr<Err: fmt::Display>>(
    key: &str,
    text: Option<Text<'_>>,
) -> Checked<Option<T>> {
    text.map(|text| one_of(key, Some(text))).transpose()
}

fn seconds(key: &str, value: Option<f64>) -> Checked<Seconds> {
    let value = need(key, value)?;
    Seconds::new(value).ok_or_else(|| {
        format!("{key}: {value:?} is no duration; expected seconds from 0 to {MAX_SECONDS}")
    })
}

fn whole(key: &str, value: u64, most: u64) -> Checked<u64> {
    if value <= most {
        Ok(value)
    } else {
        Err(format!("{key}: {value} is too large; expected at most {most}"))
    }
}

fn reading(value: Option<u64>) -> Checked<u64> {
    whole("value", need("value", value)?, MAX_COUNT)
}

fn tokens(key: &str, value: Option<u64>) -> Checked<u64> {
    whole(key, value.unwrap_or(0), MAX_COUNT)
}

fn bytes(key: &str, value: Option<u64>) -> Checked<Option<u64>> {
    value.map(|value| whole(key, value, MAX_BYTES)).transpose()
}

fn protocol(text: Option<Text<'_>>) -> Option<ProtocolVersion> {
    text.map(|text| ProtocolVersion::named(&text.0))
}

/// The outcome that `status`, `error_type` and `reason` say together.
fn outcome(
    status: Status,
    error_type: Option<Text<'_>>,
    reason: Option<Text<'_>>,
) -> Checked<Outcome> {
    let error_type = maybe_one_of::<ErrorType>("error_type", error_type)?;
    let reason = maybe_one_of::<Reason>("reason", reason)?;
    match (status, error_type, reason) {
        (Status::Error, error_type, reason) => Ok(Outcome::Error(
            error_type.unwrap_or(ErrorType::ToolError),
            reason.unwrap_or(Reason::None),
        )),
        (_, None, None | Some(Reason::None)) => Ok(match status {
            Status::Timeout => Outcome::Timeout,
            Status::Cancelled => Outcome::Cancelled,
            _ => Outcome::Success,
        }),
        (_, Some(kind), _) => {
            Err(format!("error_type: {kind} stands beside status {status}; only an error has one"))
        }
        (_, None, Some(reason)) => {
            Err(format!("reason: {reason} stands beside status {status}; only an error has one"))
        }
    }
}

/// The outcome of an operation, whose `error_type` may also be a status.
fn operation_outcome(error_type: Option<Text<'_>>) -> Checked<Outcome> {
    match error_type.as_ref().map(|text| &*text.0) {
        None => Ok(Outcome::Success),
        Some("timeout") => Ok(Outcome::Timeout),
        Some("cancelled") => Ok(Outcome::Cancelled),
        Some(_) => Ok(Outcome::Error(one_of("error_type", error_type)?, Reason::None)),
    }
}

impl<'a> TryFrom<WireEvent<'a>> for Event<'a> {
    type Error = String;

    fn try_from(w: WireEvent<'a>) -> Checked<Self> {
        let count = whole("count", w.count.unwrap_or(1), MAX_COUNT)?;
        let kind = w.kind.ok_or("type is missing; expected tool_call or another type of event")?;
        Ok(match &*kind.0 {
            "tool_call" => {
                if w.count.is_some() {
                    return Err(
                        "count: a tool_call is one call; expected one event for each".into()
                    );
                }
                Event::ToolCall(ToolCall {
                    tool: name("tool", w.tool)?,
                    outcome: outcome(one_of("status", w.status)?, w.error_type, w.reason)?,
                    duration: seconds("duration_seconds", w.duration_seconds)?,
                    request_bytes: bytes("request_bytes", w.request_bytes)?,
                    response_bytes: bytes("response_bytes", w.response_bytes)?,
                    message: w.message.map(|text| text.0),
                    trace_id: w
                        .trace_id
                        .map(|text| text.0.parse::<TraceId>().map_err(|e| format!("trace_id {e}")))
                        .transpose()?,
                    transport: maybe_one_of("transport", w.transport)?,
                    protocol_version: protocol(w.protocol_version),
                })
            }
            "operation" => Event::Operation {
                method: match Method::named(&need("method", w.method)?.0) {
                    Method::ToolsCall => {
                        return Err("method: tools/call is counted by tool_call events".into());
                    }
                    method => method,
                },
                outcome: operation_outcome(w.error_type)?,
                duration: seconds("duration_seconds", w.duration_seconds)?,
                transport: one_of("transport", w.transport)?,
                protocol_version: protocol(w.protocol_version),
            },
            "error" => Event::Error {
                error_type: one_of("error_type", w.error_type)?,
                reason: one_of("reason", w.reason)?,
                tool: maybe_name("tool", w.tool)?,
                message: w.message.map(|text| text.0),
                count,
            },
            "rate_limit" => Event::RateLimit {
                limit_type: one_of("limit_type", w.limit_type)?,
                tool: maybe_name("tool", w.tool)?,
                count,
            },
            "connections" => Event::Connections {
                transport: one_of("transport", w.transport)?,
                value: reading(w.value)?,
            },
            "queue_depth" => {
                Event::QueueDepth { tool: name("tool", w.tool)?, value: reading(w.value)? }
            }
            "inflight" => Event::Inflight { tool: name("tool", w.tool)?, value: reading(w.value)? },
            "server_started" => Event::ServerStarted {
                name: maybe_name("name", w.name)?,
                version: maybe_name("version", w.version)?,
                protocol_version: protocol(w.protocol_version),
                uptime: seconds("uptime_seconds", w.uptime_seconds)?,
            },
            "tools_listed" => Event::ToolsListed {
                tools: need("tools", w.tools)?
                    .into_iter()
                    .enumerate()
                    .map(|(i, text)| Name::new(text.0).map_err(|e| format!("tools[{i}] {e}")))
                    .collect::<Checked<_>>()?,
                schema_hash: need("schema_hash", w.schema_hash)?.0,
                complete: need("complete", w.complete)?,
                bytes: bytes("bytes", w.bytes)?,
            },
            "agent_usage" => Event::AgentUsage {
                agent: name("agent", w.agent)?,
                category: name("category", w.category)?,
                count,
            },
            "llm_tokens" => Event::LlmTokens {
                provider: name("provider", w.provider)?,
                model: name("model", w.model)?,
                input: tokens("input", w.input)?,
                output: tokens("output", w.output)?,
                cache_read: tokens("cache_read", w.cache_read)?,
                cache_write: tokens("cache_write", w.cache_write)?,
            },
            "generation_3d" => Event::Generation3d { status: one_of("status", w.status)?, count },
            "observations_dropped" => Event::ObservationsDropped { count },
            "auth_failure" => Event::AuthFailure { reason: one_of("reason", w.reason)?, count },
            "validation_failure" => Event::ValidationFailure {
                tool: name("tool", w.tool)?,
                validation_type: one_of("validation_type", w.validation_type)?,
                count,
            },
            "security_event" => {
                Event::SecurityEvent { event_type: one_of("event_type", w.event_type)?, count }
            }
            unknown => {
                let unknown: String = unknown.chars().take(64).collect();
                return Err(format!(
                    "type: `{unknown}` is no type of event; expected one of {KINDS}"
                ));
            }
        })
    }
}

const KINDS: &str = "tool_call, operation, error, rate_limit, connections, queue_depth, inflight, \
server_started, tools_listed, agent_usage, llm_tokens, generation_3d, observations_dropped, \
auth_failure, validation_failure, security_event";
