//! What is open right now: calls waiting, calls running, connections. Read at every heartbeat
//! and at every scrape; connections also soon after they changed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use mcpmon_metrics::label::Transport;
use mcpmon_metrics::{Event, Name};
use tokio::sync::Notify;

/// Tools whose readings are kept apart; those beyond it share one under `_other`.
const MAX_TOOLS: usize = 1_024;

/// One tool's open calls.
#[derive(Debug, Default)]
pub(crate) struct ToolGauges {
    queued: Level,
    inflight: Level,
}

/// A number that goes up and down, and remembers whether it must still be told.
#[derive(Debug, Default)]
struct Level {
    value: AtomicU64,
    /// Was not 0 since a reading of 0 was last taken in.
    tell: AtomicBool,
}

/// Holds a level up by one until it is dropped.
#[derive(Debug)]
pub(crate) struct Raised {
    gauges: Arc<ToolGauges>,
    which: fn(&ToolGauges) -> &Level,
}

/// Every reading of this process.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    tools: RwLock<HashMap<Name<'static>, Arc<ToolGauges>>>,
    connections: Mutex<Vec<Connections>>,
    connections_moved: Notify,
}

/// The open connections of one transport.
#[derive(Debug)]
struct Connections {
    transport: Transport,
    value: u64,
    /// The last number that [`Gauges::moved_connections`] gave away.
    told: Option<u64>,
}

impl Level {
    fn raise(&self) {
        self.value.fetch_add(1, Ordering::Relaxed);
        self.tell.store(true, Ordering::Relaxed);
    }

    /// The value, unless it is 0 and that is known already.
    fn read(&self) -> Option<u64> {
        let value = self.value.load(Ordering::Relaxed);
        if value != 0 {
            self.tell.store(true, Ordering::Relaxed);
        }
        self.tell.load(Ordering::Relaxed).then_some(value)
    }

    /// A reading of `value` was taken in. If the level moved meanwhile and is 0 again, the 0
    /// that was told is right.
    fn told(&self, value: u64) {
        if value == 0 {
            self.tell.store(false, Ordering::Relaxed);
        }
    }
}

impl Connections {
    fn event(&self) -> Event<'static> {
        Event::Connections { transport: self.transport, value: self.value }
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        (self.which)(&self.gauges).value.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gauges {
    /// One more call of `tool` waits.
    pub(crate) fn queued(&self, tool: &Name<'static>) -> Raised {
        self.raise(tool, |gauges| &gauges.queued)
    }

    /// One more call of `tool` runs.
    pub(crate) fn inflight(&self, tool: &Name<'static>) -> Raised {
        self.raise(tool, |gauges| &gauges.inflight)
    }

    fn raise(&self, tool: &Name<'static>, which: fn(&ToolGauges) -> &Level) -> Raised {
        let known = self.tools.read().unwrap_or_else(PoisonError::into_inner).get(tool).cloned();
        let gauges = known.unwrap_or_else(|| self.admit(tool));
        which(&gauges).raise();
        Raised { gauges, which }
    }

    fn admit(&self, tool: &Name<'static>) -> Arc<ToolGauges> {
        let mut tools = self.tools.write().unwrap_or_else(PoisonError::into_inner);
        let full = tools.len() >= MAX_TOOLS && !tools.contains_key(tool);
        let name = if full { Name::other() } else { tool.clone() };
        tools.entry(name).or_default().clone()
    }

    /// Notes how many connections of `transport` are open.
    pub(crate) fn set_connections(&self, transport: Transport, value: u64) {
        let mut all = self.connections();
        match all.iter_mut().find(|known| known.transport == transport) {
            Some(known) if known.value == value => return,
            Some(known) => known.value = value,
            None => all.push(Connections { transport, value, told: None }),
        }
        drop(all);
        self.connections_moved.notify_one();
    }

    /// Returns when a number of connections has changed. For one waiter.
    pub(crate) async fn connections_moved(&self) {
        self.connections_moved.notified().await;
    }

    /// The numbers of connections that differ from what this said before.
    pub(crate) fn moved_connections(&self) -> Vec<Event<'static>> {
        let mut all = self.connections();
        let moved = all.iter_mut().filter(|known| known.told != Some(known.value));
        moved
            .map(|known| {
                known.told = Some(known.value);
                known.event()
            })
            .collect()
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Connections>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every reading that is not 0, or whose 0 was not [taken in](Gauges::told) yet. Tools at
    /// rest are forgotten.
    pub(crate) fn read(&self) -> Vec<Event<'static>> {
        let mut events: Vec<_> = self.connections().iter().map(Connections::event).collect();
        let mut tools = self.tools.write().unwrap_or_else(PoisonError::into_inner);
        tools.retain(|tool, gauges| {
            let (queued, inflight) = (gauges.queued.read(), gauges.inflight.read());
            events.extend(queued.map(|value| Event::QueueDepth { tool: tool.clone(), value }));
            events.extend(inflight.map(|value| Event::Inflight { tool: tool.clone(), value }));
            queued.is_some() || inflight.is_some() || Arc::strong_count(gauges) > 1
        });
        events
    }

    /// The reader of `events` has them: a 0 among them need not be repeated.
    pub(crate) fn told(&self, events: &[Event<'static>]) {
        let tools = self.tools.read().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            match event {
                Event::QueueDepth { tool, value } => {
                    tools.get(tool).inspect(|gauges| gauges.queued.told(*value));
                }
                Event::Inflight { tool, value } => {
                    tools.get(tool).inspect(|gauges| gauges.inflight.told(*value));
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(text: &'static str) -> Name<'static> {
        Name::new(text).unwrap()
    }

    /// Reads as an exporter that takes everything.
    fn tell(gauges: &Gauges) -> Vec<Event<'static>> {
        let events = gauges.read();
        gauges.told(&events);
        events
    }

    #[test]
    fn a_level_is_told_until_its_zero_was_taken_in() {
        let gauges = Gauges::default();
        let reading = |value| vec![Event::Inflight { tool: tool("a"), value }];
        let (first, second) = (gauges.inflight(&tool("a")), gauges.inflight(&tool("a")));
        assert_eq!(tell(&gauges), reading(2));
        drop(first);
        assert_eq!(tell(&gauges), reading(1));
        assert_eq!(tell(&gauges), reading(1), "a steady value is repeated");
        drop(second);
        assert_eq!(gauges.read(), reading(0), "this one is lost on the way");
        assert_eq!(tell(&gauges), reading(0));
        assert_eq!(tell(&gauges), vec![]);
        assert!(gauges.tools.read().unwrap().is_empty(), "a tool at rest is forgotten");
    }

    #[test]
    fn a_call_between_two_readings_is_told_as_zero() {
        let gauges = Gauges::default();
        drop(gauges.queued(&tool("a")));
        assert_eq!(tell(&gauges), vec![Event::QueueDepth { tool: tool("a"), value: 0 }]);
        assert_eq!(tell(&gauges), vec![]);
    }

    #[test]
    fn a_call_that_starts_while_a_zero_is_told_is_told_to_its_end() {
        let gauges = Gauges::default();
        let reading = |value| vec![Event::Inflight { tool: tool("a"), value }];
        drop(gauges.inflight(&tool("a")));
        let under_way = gauges.read();
        let call = gauges.inflight(&tool("a"));
        gauges.told(&under_way);
        assert_eq!(tell(&gauges), reading(1));
        drop(call);
        assert_eq!(tell(&gauges), reading(0));
    }

    #[test]
    fn invented_names_share_one_entry() {
        let gauges = Gauges::default();
        let held: Vec<_> = (0..MAX_TOOLS + 500)
            .map(|i| gauges.inflight(&Name::new(format!("tool-{i}")).unwrap()))
            .collect();
        assert_eq!(gauges.tools.read().unwrap().len(), MAX_TOOLS + 1);
        let other = Event::Inflight { tool: Name::other(), value: 500 };
        assert!(gauges.read().contains(&other));
        drop(held);
        tell(&gauges);
        tell(&gauges);
        assert!(gauges.tools.read().unwrap().is_empty());
    }

    #[test]
    fn connections_are_repeated() {
        let gauges = Gauges::default();
        gauges.set_connections(Transport::Http, 3);
        gauges.set_connections(Transport::Http, 2);
        let reading = vec![Event::Connections { transport: Transport::Http, value: 2 }];
        assert_eq!(gauges.read(), reading);
        assert_eq!(gauges.read(), reading);
        assert_eq!(gauges.moved_connections(), reading);
        gauges.set_connections(Transport::Http, 3);
        gauges.set_connections(Transport::Http, 2);
        assert_eq!(gauges.moved_connections(), vec![], "it came back");
    }
}
