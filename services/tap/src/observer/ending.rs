//! The ends of calls, and the doubts about them: which are over, which count for nothing, and
//! which may have been answered unseen.

use std::time::Duration;

use mcpmon_metrics::{Ending, Event};

use super::call::Call;
use super::{ConnectionId, Direction, Key, Observer};
use crate::sink::EventSink;

impl<S: EventSink> Observer<S> {
    /// A reply that went in `direction` may have been missed: calls that wait for one there must
    /// not be called abandoned later, nor in flight until they expire.
    pub(super) fn doubt(&mut self, id: ConnectionId, direction: Direction) {
        let asked = direction.opposite();
        for call in self.pending.values_mut().chain(self.tasks.values_mut()) {
            if call.connection == id && call.direction == asked && !call.uncertain {
                call.uncertain = true;
                call.tool.iter().for_each(|tool| self.inflight.remove(tool));
            }
        }
    }

    /// The same for calls that `which` names, in whatever connection.
    pub(super) fn doubt_those(&mut self, which: impl Fn(&Call) -> bool) {
        for call in self.pending.values_mut().filter(|call| which(call) && !call.uncertain) {
            call.uncertain = true;
            call.tool.iter().for_each(|tool| self.inflight.remove(tool));
        }
    }

    /// Lets go of requests that count for nothing.
    pub(super) fn forget(&mut self, keys: Vec<Key>) {
        for key in keys {
            let call = self.pending.remove(&key);
            call.iter().for_each(|call| self.stop(call));
        }
    }

    pub(super) fn start(&mut self, call: &Call) {
        if let Some(tool) = call.tool.as_ref().filter(|_| !call.uncertain) {
            self.inflight.add(tool);
        }
    }

    pub(super) fn stop(&mut self, call: &Call) {
        if let Some(tool) = call.tool.as_ref().filter(|_| !call.uncertain) {
            self.inflight.remove(tool);
        }
    }

    /// Everything that matches can no longer be answered.
    pub(super) fn leave(
        &mut self,
        which: impl Fn(&Call) -> bool,
        at: Duration,
        ending: Ending<'_>,
    ) {
        let mut left = self.pending.take_if(&which);
        left.extend(self.tasks.take_if(&which));
        for call in left {
            self.give_up(call, at, ending);
        }
    }

    /// Ends a call whose reply was not seen.
    pub(super) fn give_up(&mut self, call: Call, at: Duration, ending: Ending<'_>) {
        self.stop(&call);
        if call.uncertain {
            self.stats.uncertain += 1;
        } else {
            self.end(call, at, ending, None);
        }
    }

    pub(super) fn end(&self, call: Call, at: Duration, ending: Ending<'_>, said: Option<&str>) {
        self.end_with(call, at, ending, said, None);
    }

    /// The same, with the result that the call ended with, if it did.
    pub(super) fn end_with(
        &self,
        call: Call,
        at: Duration,
        ending: Ending<'_>,
        said: Option<&str>,
        result: Option<&str>,
    ) {
        let Some(event) = call.end(at, ending, said) else { return };
        let purpose = match &event {
            Event::ToolCall(call) => {
                // The field is left out where there is no trace.
                let trace_id = call.trace_id.map(tracing::field::display);
                let (tool, outcome) = (call.tool.as_str(), call.outcome);
                tracing::debug!(tool, ?outcome, trace_id, "a call ended");
                let mut purpose = Vec::new();
                self.rules.apply(tool, outcome, result, |event| purpose.push(event));
                purpose
            }
            _ => Vec::new(),
        };
        self.sink.record(event);
        purpose.into_iter().for_each(|event| self.sink.record(event));
    }
}
