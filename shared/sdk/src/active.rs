//! Which calls run where, so that an error that is reported inside a call details that call.
//!
//! A call belongs to the task that opened it, or to the thread where there is no task. Calls of
//! one task stand in a stack; the innermost is asked first. Calls that one task polls side by
//! side cannot be told apart so: their guards are detailed directly.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use mcpmon_metrics::label::{ErrorType, Reason};
use mcpmon_metrics::{Event, Name, redact};

const SHARDS: usize = 16;

/// What runs a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Runner {
    Task(tokio::task::Id),
    Thread(ThreadId),
}

/// What is known of an error beyond that it happened: of a call, the last that was reported.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Detail {
    pub(crate) error_type: ErrorType,
    pub(crate) reason: Reason,
    pub(crate) message: Option<String>,
}

/// One call between its start and its end.
#[derive(Debug)]
pub(crate) struct ActiveCall {
    pub(crate) tool: Name<'static>,
    runner: Runner,
    detail: Mutex<Option<Detail>>,
}

/// All calls that run, by what runs them. Sharded, because every call passes here twice.
#[derive(Debug, Default)]
pub(crate) struct ActiveCalls {
    shards: [Mutex<HashMap<Runner, Vec<Arc<ActiveCall>>>>; SHARDS],
    hasher: RandomState,
}

impl Runner {
    fn current() -> Self {
        match tokio::task::try_id() {
            Some(task) => Self::Task(task),
            None => Self::Thread(std::thread::current().id()),
        }
    }
}

impl Detail {
    /// Reads an error's words. Words that are not in the catalogue become its message.
    pub(crate) fn new(error_type: &str, tool: Option<&str>, reason: &str) -> Self {
        let (known_type, known_reason) = (error_type.parse(), reason.parse());
        let message = (known_type.is_err() || known_reason.is_err()).then(|| {
            let message = redact::message(&format!("{error_type}: {reason}"));
            tracing::warn!(tool, error = message, "an error that the catalogue does not list");
            message
        });
        Self {
            error_type: known_type.unwrap_or(ErrorType::InternalError),
            reason: known_reason.unwrap_or(Reason::Other),
            message,
        }
    }

    /// The error as an event of its own.
    pub(crate) fn into_event(self, tool: Option<Name<'static>>) -> Event<'static> {
        Event::Error {
            error_type: self.error_type,
            reason: self.reason,
            tool,
            message: self.message.map(Cow::Owned),
            count: 1,
        }
    }
}

impl ActiveCall {
    /// Hangs `detail` on the call, and gives back the one that it replaces.
    pub(crate) fn detail(&self, detail: Detail) -> Option<Detail> {
        lock(&self.detail).replace(detail)
    }

    /// Takes the detail that was reported, if there was any.
    pub(crate) fn take_detail(&self) -> Option<Detail> {
        lock(&self.detail).take()
    }
}

impl ActiveCalls {
    /// Opens a call of what runs now.
    pub(crate) fn enter(&self, tool: Name<'static>) -> Arc<ActiveCall> {
        let runner = Runner::current();
        let call = Arc::new(ActiveCall { tool, runner, detail: Mutex::default() });
        self.shard(runner).entry(runner).or_default().push(call.clone());
        call
    }

    /// Closes a call, wherever it ended.
    pub(crate) fn leave(&self, call: &Arc<ActiveCall>) {
        let mut shard = self.shard(call.runner);
        let Some(stack) = shard.get_mut(&call.runner) else { return };
        stack.retain(|other| !Arc::ptr_eq(other, call));
        if stack.is_empty() {
            shard.remove(&call.runner);
        }
    }

    /// Hangs `detail` on the innermost call of `tool` that runs here; without a tool, on the
    /// innermost call of any.
    ///
    /// Comes back with the detail that is now without a call: the one that this one replaced,
    /// or, as an error, `detail` itself when no such call runs here.
    pub(crate) fn detail(
        &self,
        tool: Option<&str>,
        detail: Detail,
    ) -> Result<Option<(Name<'static>, Detail)>, Detail> {
        let runner = Runner::current();
        let shard = self.shard(runner);
        let calls = shard.get(&runner).map(Vec::as_slice).unwrap_or_default();
        let named = |call: &&Arc<ActiveCall>| tool.is_none_or(|tool| call.tool.as_str() == tool);
        let Some(call) = calls.iter().rev().find(named) else {
            return Err(detail);
        };
        let replaced = call.detail(detail);
        Ok(replaced.map(|replaced| (call.tool.clone(), replaced)))
    }

    fn shard(&self, runner: Runner) -> MutexGuard<'_, HashMap<Runner, Vec<Arc<ActiveCall>>>> {
        let index = self.hasher.hash_one(runner) as usize % SHARDS;
        lock(&self.shards[index])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
