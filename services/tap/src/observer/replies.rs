//! Replies: which request they answer, and whether the call is over with them.

use std::time::Duration;

use mcpmon_metrics::label::{Method, ProtocolVersion};
use mcpmon_metrics::{Ending, Event, Name, Outcome};
use serde_json::value::RawValue;

use super::call::{Call, link, quote};
use super::json::{is_true, members, text};
use super::message::{Id, Reply, first_text};
use super::{ConnectionId, Direction, MAX_LINE, Observer, Server};
use crate::sink::EventSink;

impl<S: EventSink> Observer<S> {
    pub(super) fn reply(
        &mut self,
        id: ConnectionId,
        direction: Direction,
        at: Duration,
        request: Option<Id>,
        reply: &Reply<'_>,
        bytes: u64,
    ) {
        let stand_in = request.as_ref().is_none_or(Id::is_stand_in);
        let key = request.map(|request| (id, direction.opposite(), request));
        let Some(mut call) = key.and_then(|key| self.pending.remove(&key)) else {
            self.stats.unmatched += 1;
            if let (Reply::Error { code, message }, true) = (reply, stand_in) {
                self.refused(at, *code, message, bytes);
            }
            return;
        };
        self.stop(&call);
        call.response_bytes += bytes;
        match reply {
            Reply::Error { code, message } => {
                let ending = Ending::RpcError { code: *code, message };
                // A task whose request failed gives the request's own error as its result.
                if call.method == Method::TasksResult {
                    self.task_done(call.task, at, ending, Some(message), None, bytes);
                }
                self.end(call, at, ending, Some(message));
            }
            Reply::Result(result) => self.result(id, call, at, result, bytes),
        }
    }

    fn result(&mut self, id: ConnectionId, call: Call, at: Duration, result: &str, bytes: u64) {
        let names = [
            "isError",
            "content",
            "resultType",
            "requestState",
            "taskId",
            "task",
            "tools",
            "nextCursor",
            "serverInfo",
            "protocolVersion",
            "_meta",
        ];
        let [is_error, content, kind, state, task_id, task, tools, next, info, version, meta] =
            members(result, names).unwrap_or_default();
        if call.direction == Direction::ToServer {
            self.meet(id, &call, at, info, version, meta);
        }
        let kind = text(kind);
        if kind.as_deref() == Some("input_required") {
            let link = link(call.likeness, state, &self.hasher);
            if let Some(evicted) = self.rounds.insert(link, at, call) {
                self.end(evicted, at, Ending::Expired, None);
            }
            return;
        }
        let task_id = match task.and_then(|task| members(task.get(), ["taskId"])) {
            Some([task_id]) => task_id,
            None => task_id.filter(|_| kind.as_deref() == Some("task")),
        };
        if let Some(task_id) = text(task_id) {
            let task = self.hasher.hash(&*task_id);
            self.start(&call);
            if let Some(evicted) = self.tasks.insert(task, at, call) {
                self.give_up(evicted, at, Ending::Expired);
            }
            return;
        }
        let ending = Ending::Result { is_error: is_true(is_error) };
        let said = if is_true(is_error) { first_text(content) } else { None };
        match call.method {
            Method::ToolsList if call.direction == Direction::ToServer => {
                self.listed(id, &call, tools, next, bytes);
            }
            Method::TasksGet | Method::TasksCancel | Method::TasksUpdate => {
                self.task_status(call.task, at, result, bytes);
            }
            Method::TasksResult => {
                self.task_done(call.task, at, ending, said.as_deref(), Some(result), bytes);
            }
            _ => {}
        }
        // Only a tool's result has `isError`; the request that fetched it succeeded.
        let fetched = if call.tool.is_some() { ending } else { Ending::Result { is_error: false } };
        self.end_with(call, at, fetched, said.as_deref(), Some(result));
    }

    fn listed(
        &mut self,
        id: ConnectionId,
        call: &Call,
        tools: Option<&RawValue>,
        next: Option<&RawValue>,
        bytes: u64,
    ) {
        if bytes > MAX_LINE as u64 {
            // Only its ends were read: a listing of those tools would be a wrong one.
            return;
        }
        if let (Some(connection), Some(tools)) = (self.connections.get_mut(&id), tools) {
            let listing = connection.listing.as_mut().unwrap_or(&mut self.listing);
            let news = listing.page(call.cursor, tools, next, bytes, &self.hasher);
            news.into_iter().for_each(|event| self.sink.record(event));
        }
    }

    /// A refusal without an id. Over HTTP the exchange says whose it is.
    fn refused(&mut self, at: Duration, code: i64, message: &str, bytes: u64) {
        let asked = match &mut self.reading {
            Some(reading) if reading.answers => std::mem::take(&mut reading.asked),
            _ => Vec::new(),
        };
        let mut calls = asked.iter().filter_map(|key| self.pending.remove(key)).peekable();
        if calls.peek().is_none() {
            return self.uncorrelated(code, message);
        }
        for mut call in calls.collect::<Vec<_>>() {
            self.stop(&call);
            call.response_bytes += bytes;
            self.end(call, at, Ending::RpcError { code, message }, Some(message));
        }
    }

    /// A server's refusal of something that it could not read: no call's, but an error.
    fn uncorrelated(&self, code: i64, message: &str) {
        let outcome = Outcome::from(Ending::RpcError { code, message });
        if let Outcome::Error(error_type, reason) = outcome {
            let message = Some(quote(message).into());
            self.sink.record(Event::Error { error_type, reason, tool: None, message, count: 1 });
        }
    }

    /// Takes in what a reply says about the server, and tells it when it is new.
    fn meet(
        &mut self,
        id: ConnectionId,
        call: &Call,
        at: Duration,
        info: Option<&RawValue>,
        version: Option<&RawValue>,
        meta: Option<&RawValue>,
    ) {
        let is_handshake = call.method == Method::Initialize;
        let agreed = text(version).filter(|_| is_handshake);
        let agreed = agreed.map(|version| ProtocolVersion::named(&version));
        if let (Some(connection), Some(agreed)) = (self.connections.get_mut(&id), agreed) {
            connection.version = Some(agreed);
        }
        let introduces = is_handshake || call.method == Method::Discover;
        let info = info.filter(|_| introduces).or_else(|| {
            let [info] = members(meta?.get(), ["io.modelcontextprotocol/serverInfo"])?;
            info
        });
        let Some([name, release]) = info.and_then(|info| members(info.get(), ["name", "version"]))
        else {
            return;
        };
        let name_of = |raw| text(raw).and_then(|text| Name::new(text.into_owned()).ok());
        let server = Server {
            name: name_of(name),
            version: name_of(release),
            protocol_version: agreed.or(call.version),
        };
        if server != self.server {
            self.server = server.clone();
            let Server { name, version, protocol_version } = server;
            let uptime = at.into();
            self.sink.record(Event::ServerStarted { name, version, protocol_version, uptime });
        }
    }
}
