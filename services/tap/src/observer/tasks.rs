//! Tasks: calls whose reply only said that they were accepted.
//!
//! Two forms: since 2026-07-28 `tasks/get` brings the result with the final status; in 2025-11-25
//! it brings the status alone, and `tasks/result` the result. Whichever comes first ends the call;
//! what the rules find in the result is counted when it comes.

use std::time::Duration;

use mcpmon_metrics::{Ending, Name, Outcome};
use serde_json::value::RawValue;

use super::Observer;
use super::json::{is_true, members, text};
use super::message::first_text;
use crate::sink::EventSink;

/// A call that ended with its task's status, before its result.
#[derive(Debug)]
pub(super) struct Unread {
    tool: Name<'static>,
    outcome: Outcome,
}

impl<S: EventSink> Observer<S> {
    /// A task reported its status; when that is final, the call that began it is over.
    pub(super) fn task_status(
        &mut self,
        task: Option<u64>,
        at: Duration,
        report: &str,
        bytes: u64,
    ) {
        let [task_id, status, result, error] =
            members(report, ["taskId", "status", "result", "error"]).unwrap_or_default();
        let task = text(task_id).map(|task| self.hasher.hash(&*task)).or(task);
        match text(status).as_deref() {
            Some("completed") => {
                // Since 2026-07-28 the result comes with the status; before, with tasks/result.
                let [is_error, content] = result
                    .and_then(|result| members(result.get(), ["isError", "content"]))
                    .unwrap_or_default();
                let ending = Ending::Result { is_error: is_true(is_error) };
                let said = if is_true(is_error) { first_text(content) } else { None };
                let bytes = if result.is_some() { bytes } else { 0 };
                let result = result.map(RawValue::get);
                self.task_done(task, at, ending, said.as_deref(), result, bytes);
            }
            Some("failed") => {
                let [code, message] = error
                    .and_then(|error| members(error.get(), ["code", "message"]))
                    .unwrap_or_default();
                let message = text(message).unwrap_or_default();
                let ending = match code.and_then(|code| code.get().parse().ok()) {
                    Some(code) => Ending::RpcError { code, message: &message },
                    None => Ending::Result { is_error: true },
                };
                self.task_done(task, at, ending, Some(&message), None, 0);
            }
            Some("cancelled") => self.task_done(task, at, Ending::Cancelled, None, None, 0),
            _ => {
                if let Some(task) = task {
                    self.tasks.touch(&task, at);
                }
            }
        }
    }

    pub(super) fn task_done(
        &mut self,
        task: Option<u64>,
        at: Duration,
        ending: Ending<'_>,
        said: Option<&str>,
        result: Option<&str>,
        bytes: u64,
    ) {
        let Some(task) = task else { return };
        if let Some(mut call) = self.tasks.remove(&task) {
            self.stop(&call);
            // The reply that accepted the task is not the result.
            call.response_bytes = bytes;
            // A server that numbers its tasks may have had another one of that number.
            self.unread.remove(&task);
            let is_to_come = result.is_none() && matches!(ending, Ending::Result { .. });
            if let Some(tool) = call.tool.as_ref().filter(|_| is_to_come && !self.rules.is_empty())
            {
                let unread = Unread { tool: tool.clone(), outcome: ending.into() };
                // The one that has to go was counted; only its result is not read.
                self.unread.insert(task, at, unread);
            }
            self.end_with(call, at, ending, said, result);
        } else if let Some(result) = result
            && let Some(Unread { tool, outcome }) = self.unread.remove(&task)
        {
            let (sink, now) = (&self.sink, ending.into());
            self.rules.apply_late(tool.as_str(), outcome, now, result, |event| sink.record(event));
        }
    }
}
