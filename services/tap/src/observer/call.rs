//! A request on its way: what is remembered until it ends, and the event that it becomes.

use std::borrow::Cow;
use std::time::Duration;

use mcpmon_metrics::label::{Method, ProtocolVersion, Transport};
use mcpmon_metrics::{Ending, Event, Name, Outcome, Seconds, ToolCall, TraceId};
use mcpmon_sdk::redact::redact;
use serde_json::value::RawValue;

use super::json::{members, text};
use super::message::Hasher;
use super::trace::trace_id;
use super::{ConnectionId, Direction};

/// The longest error text that is sent, in characters.
const MAX_QUOTE: usize = 200;

/// How much of an error text is looked at, in bytes.
const MAX_READ: usize = 4_096;

/// A request that was not answered yet, or a logical call that takes several requests.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) connection: ConnectionId,
    pub(super) direction: Direction,
    pub(super) transport: Transport,
    pub(super) method: Method,
    /// The tool of a `tools/call`.
    pub(super) tool: Option<Name<'static>>,
    pub(super) started: Duration,
    /// The sizes so far: a call of several rounds has several requests and replies.
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) version: Option<ProtocolVersion>,
    pub(super) trace_id: Option<TraceId>,
    /// What a later round of the same call will have in common with this one.
    pub(super) likeness: u64,
    /// The `cursor` of a listing, as a hash.
    pub(super) cursor: Option<u64>,
    /// The task that the request asks about, as a hash.
    pub(super) task: Option<u64>,
    /// Bytes were not observed while it was pending, so its reply may have passed unseen.
    pub(super) uncertain: bool,
    /// The HTTP exchange that it was asked in; 0 over stdio.
    pub(super) exchange: u64,
}

/// What the observer reads of a request's `params`.
#[derive(Debug, Default)]
pub(super) struct Params<'a> {
    name: Option<&'a RawValue>,
    uri: Option<&'a RawValue>,
    arguments: Option<&'a RawValue>,
    request_state: Option<&'a RawValue>,
    input_responses: Option<&'a RawValue>,
    cursor: Option<&'a RawValue>,
    task_id: Option<&'a RawValue>,
    pub(super) request_id: Option<&'a RawValue>,
    reason: Option<&'a RawValue>,
    traceparent: Option<&'a RawValue>,
    version: Option<&'a RawValue>,
}

impl<'a> Params<'a> {
    pub(super) fn read(params: Option<&'a str>) -> Self {
        let names = [
            "name",
            "uri",
            "arguments",
            "requestState",
            "inputResponses",
            "cursor",
            "taskId",
            "requestId",
            "reason",
            "_meta",
        ];
        let Some(
            [
                name,
                uri,
                arguments,
                request_state,
                input_responses,
                cursor,
                task_id,
                request_id,
                reason,
                meta,
            ],
        ) = params.and_then(|params| members(params, names))
        else {
            return Self::default();
        };
        let [traceparent, version] = meta
            .and_then(|meta| {
                members(meta.get(), ["traceparent", "io.modelcontextprotocol/protocolVersion"])
            })
            .unwrap_or_default();
        Self {
            name,
            uri,
            arguments,
            request_state,
            input_responses,
            cursor,
            task_id,
            request_id,
            reason,
            traceparent,
            version,
        }
    }

    /// Why the client takes its request back: because its own deadline is over, or for another
    /// reason. The SDKs of TypeScript, Python and Rust say the former in these words.
    pub(super) fn withdrawal(&self) -> Ending<'static> {
        let reason = text(self.reason).unwrap_or_default().to_ascii_lowercase();
        let is_late = ["timed out", "timeout"].iter().any(|words| reason.contains(words));
        if is_late { Ending::Deadline } else { Ending::Cancelled }
    }

    /// The tool that is called, whatever the caller wrote there.
    pub(super) fn tool(&self) -> Name<'static> {
        Name::or_other(text(self.name).unwrap_or_default().into_owned())
    }

    /// The revision that the request names itself, since 2026-07-28.
    pub(super) fn version(&self) -> Option<ProtocolVersion> {
        text(self.version).map(|version| ProtocolVersion::named(&version))
    }

    pub(super) fn trace_id(&self) -> Option<TraceId> {
        trace_id(&text(self.traceparent)?)
    }

    pub(super) fn cursor(&self, hasher: &Hasher) -> Option<u64> {
        text(self.cursor).map(|cursor| hasher.hash(&*cursor))
    }

    pub(super) fn task(&self, hasher: &Hasher) -> Option<u64> {
        text(self.task_id).map(|task| hasher.hash(&*task))
    }

    /// Whether this request goes on with a call whose last reply asked for input.
    pub(super) fn is_next_round(&self) -> bool {
        self.request_state.is_some() || self.input_responses.is_some()
    }

    /// What all rounds of a call have in common.
    pub(super) fn likeness(&self, method: &str, hasher: &Hasher) -> u64 {
        let raw = |value: Option<&'a RawValue>| value.map_or("", RawValue::get);
        hasher.hash((method, raw(self.name), raw(self.uri), raw(self.arguments)))
    }

    /// What links this request to the reply that asked for it.
    pub(super) fn link(&self, likeness: u64, hasher: &Hasher) -> u64 {
        link(likeness, self.request_state, hasher)
    }
}

/// What links a round to the next: the call's likeness and the state that the server gave out.
/// Both, since a server may give the same state to different calls.
pub(super) fn link(likeness: u64, request_state: Option<&RawValue>, hasher: &Hasher) -> u64 {
    hasher.hash((likeness, text(request_state)))
}

/// An error's text as it may leave the tap: without secrets, and short.
pub(super) fn quote(text: &str) -> String {
    let looked_at = &text[..text.floor_char_boundary(MAX_READ)];
    redact(looked_at).chars().take(MAX_QUOTE).collect()
}

impl Call {
    pub(super) fn is_tool_call(&self) -> bool {
        self.tool.is_some()
    }

    /// The event that says how the call ended; none where the end says nothing.
    pub(super) fn end(
        self,
        at: Duration,
        ending: Ending<'_>,
        message: Option<&str>,
    ) -> Option<Event<'static>> {
        let outcome = Outcome::from(ending);
        let duration = Seconds::from(at.saturating_sub(self.started));
        let Some(tool) = self.tool else {
            // A subscription lasts as long as the client likes: its length is no latency.
            let is_endless = self.method == Method::SubscriptionsListen;
            if is_endless && !matches!(ending, Ending::RpcError { .. }) {
                return None;
            }
            return Some(Event::Operation {
                method: self.method,
                outcome,
                duration,
                transport: self.transport,
                protocol_version: self.version,
            });
        };
        let said = message.filter(|_| matches!(outcome, Outcome::Error(..)));
        let has_reply = matches!(ending, Ending::Result { .. } | Ending::RpcError { .. });
        Some(Event::ToolCall(ToolCall {
            request_bytes: Some(self.request_bytes),
            response_bytes: Some(self.response_bytes).filter(|bytes| has_reply && *bytes > 0),
            message: said.map(|said| Cow::Owned(quote(said))),
            trace_id: self.trace_id,
            transport: Some(self.transport),
            protocol_version: self.version,
            ..ToolCall::new(tool, outcome, duration)
        }))
    }
}
