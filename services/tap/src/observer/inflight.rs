//! Calls being handled now, per tool, as absolute readings.
//!
//! A reading is sent when it differs from the last one told, at most once in [`PERIOD`]: a fast
//! call between two readings leaves no trace, as between two scrapes. One that stays is repeated
//! every [`REPEAT`], since an exporter that was restarted knows nothing.

use std::collections::HashMap;
use std::time::Duration;

use mcpmon_metrics::{Event, Name};

use crate::sink::EventSink;

/// The shortest time between two readings.
const PERIOD: Duration = Duration::from_secs(1);

/// How often a reading that does not change is repeated.
const REPEAT: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
pub(super) struct Inflight {
    tools: HashMap<Name<'static>, Reading>,
    last: Option<Duration>,
    repeated: Duration,
    changed: bool,
}

#[derive(Debug, Default)]
struct Reading {
    now: u64,
    told: u64,
}

impl Inflight {
    pub(super) fn add(&mut self, tool: &Name<'static>) {
        match self.tools.get_mut(tool) {
            Some(reading) => reading.now += 1,
            None => drop(self.tools.insert(tool.clone(), Reading { now: 1, told: 0 })),
        }
        self.changed = true;
    }

    pub(super) fn remove(&mut self, tool: &Name<'static>) {
        if let Some(reading) = self.tools.get_mut(tool) {
            reading.now = reading.now.saturating_sub(1);
            // A caller can invent a name for every call, so a name stays only while it is needed.
            if reading.now == 0 && reading.told == 0 {
                self.tools.remove(tool);
            }
        }
        self.changed = true;
    }

    /// Whether a reading waits to be told.
    pub(super) fn is_due(&self) -> bool {
        self.changed
    }

    /// Tells what changed, unless the last time was less than a period ago.
    pub(super) fn tell(&mut self, at: Duration, sink: &impl EventSink) {
        let rested = self.last.is_none_or(|last| at >= last + PERIOD);
        let is_old = !self.tools.is_empty() && at >= self.repeated + REPEAT;
        if (self.changed && rested) || is_old {
            self.tell_now(at, sink);
        }
    }

    /// Tells what changed, and what has not been told for long.
    pub(super) fn tell_now(&mut self, at: Duration, sink: &impl EventSink) {
        let repeat = at >= self.repeated + REPEAT;
        if repeat {
            self.repeated = at;
        }
        self.changed = false;
        self.last = Some(at);
        self.tools.retain(|tool, reading| {
            if reading.now != reading.told || repeat {
                reading.told = reading.now;
                sink.record(Event::Inflight { tool: tool.clone(), value: reading.now });
            }
            reading.now > 0
        });
    }
}
