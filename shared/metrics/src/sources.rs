//! Readings that belong to a process: connections, queues, calls in flight, uptime.
//!
//! A process reports them every 15 seconds. What a silent process reported last ends after the
//! expiry time, so a server that was killed does not linger; counters stay.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::label::{Label, ProtocolVersion, Transport};
use crate::telemetry::Emit;

/// Processes that may report at one time.
const MAX_SOURCES: usize = 1_024;
/// Tools whose readings one process may report.
const MAX_TOOLS_PER_SOURCE: usize = 512;
/// Names that the processes of one server may give themselves at one time.
const MAX_INFOS_PER_SERVER: usize = 8;

/// How a server names itself: name, revision, version.
type Info = (String, &'static str, String);

#[derive(Debug)]
struct Source {
    seen: Instant,
    started: Option<(Instant, Duration)>,
    info: Option<Info>,
    connections: HashMap<Transport, u64>,
    // By the names as reported: several that share the label `_other` add up.
    queued: HashMap<String, u64>,
    inflight: HashMap<String, u64>,
}

impl Source {
    fn new(seen: Instant) -> Self {
        Self {
            seen,
            started: None,
            info: None,
            connections: HashMap::new(),
            queued: HashMap::new(),
            inflight: HashMap::new(),
        }
    }

    fn tools(&mut self, which: Which) -> &mut HashMap<String, u64> {
        match which {
            Which::Queued => &mut self.queued,
            Which::Inflight => &mut self.inflight,
        }
    }

    /// False when the process reports too many tools.
    fn set_tool(&mut self, which: Which, tool: String, value: u64) -> bool {
        let tools = self.tools(which);
        if tools.len() >= MAX_TOOLS_PER_SOURCE && !tools.contains_key(&tool) {
            tools.retain(|_, value| *value > 0);
            if tools.len() >= MAX_TOOLS_PER_SOURCE {
                return false;
            }
        }
        tools.insert(tool, value);
        true
    }
}

/// A reading of tools.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    Queued,
    Inflight,
}

/// One absolute reading of a process.
#[derive(Debug)]
pub(crate) enum Reading {
    Started { uptime: Duration, name: String, version: String, protocol: ProtocolVersion },
    Connections(Transport, u64),
    Queued(String, u64),
    Inflight(String, u64),
}

/// A process, by its server's label and its own name.
type Key = (Arc<str>, String);

/// The live processes.
#[derive(Debug)]
pub(crate) struct Sources {
    // A scrape holds the outer lock only to list the processes, so that it delays no batch.
    live: Mutex<HashMap<Key, Arc<Mutex<Source>>>>,
    expiry: Option<Duration>,
}

impl Sources {
    /// `expiry`: how long a process may be silent; none where the process is our own.
    pub(crate) fn new(expiry: Option<Duration>) -> Self {
        Self { live: Mutex::default(), expiry }
    }

    /// Notes that the process lives. False when there are too many processes.
    pub(crate) fn touch(&self, server: &Arc<str>, source: &str) -> bool {
        self.expiry.is_none() || self.update(server, source, |_| true)
    }

    /// Takes a reading. False when there are too many processes, or too many tools in this one.
    pub(crate) fn read(&self, server: &Arc<str>, source: &str, reading: Reading) -> bool {
        self.update(server, source, |state| match reading {
            Reading::Started { uptime, name, version, protocol } => {
                state.started = Some((Instant::now(), uptime));
                if !name.is_empty() || !version.is_empty() {
                    state.info = Some((name, protocol.as_str(), version));
                }
                true
            }
            Reading::Connections(transport, value) => {
                state.connections.insert(transport, value);
                true
            }
            Reading::Queued(tool, value) => state.set_tool(Which::Queued, tool, value),
            Reading::Inflight(tool, value) => state.set_tool(Which::Inflight, tool, value),
        })
    }

    fn update(
        &self,
        server: &Arc<str>,
        source: &str,
        change: impl FnOnce(&mut Source) -> bool,
    ) -> bool {
        let now = Instant::now();
        let Some(state) = self.find(server, source, now) else { return false };
        let mut state = lock(&state);
        if !self.is_live(&state, now) {
            // The process was gone for longer than its readings are true.
            *state = Source::new(now);
        }
        state.seen = now;
        change(&mut state)
    }

    /// The process, now known if it was not; none when there are too many.
    fn find(&self, server: &Arc<str>, source: &str, now: Instant) -> Option<Arc<Mutex<Source>>> {
        let key = (server.clone(), source.to_owned());
        let mut live = lock(&self.live);
        if let Some(state) = live.get(&key) {
            return Some(state.clone());
        }
        if live.len() >= MAX_SOURCES {
            live.retain(|_, state| self.is_live(&lock(state), now));
        }
        if live.len() >= MAX_SOURCES {
            return None;
        }
        Some(live.entry(key).or_insert_with(|| Arc::new(Mutex::new(Source::new(now)))).clone())
    }

    fn is_live(&self, state: &Source, now: Instant) -> bool {
        self.expiry.is_none_or(|expiry| now.duration_since(state.seen) < expiry)
    }

    /// Visits every live process.
    fn each(&self, mut visit: impl FnMut(&Arc<str>, &mut Source, Instant)) {
        let now = Instant::now();
        let all: Vec<_> =
            lock(&self.live).iter().map(|((server, _), s)| (server.clone(), s.clone())).collect();
        for (server, state) in all {
            let mut state = lock(&state);
            if self.is_live(&state, now) {
                visit(&server, &mut state, now);
            }
        }
    }

    pub(crate) fn emit_count(&self, emit: &mut Emit<'_>) {
        let now = Instant::now();
        // Those that are gone are forgotten here, once a scrape.
        lock(&self.live).retain(|_, state| self.is_live(&lock(state), now));
        let mut count = 0_u32;
        self.each(|_, _, _| count += 1);
        emit(&[], f64::from(count));
    }

    pub(crate) fn emit_connections(&self, emit: &mut Emit<'_>) {
        let mut sums = BTreeMap::<(Arc<str>, &str), u64>::new();
        self.each(|server, state, _| {
            for (transport, value) in &state.connections {
                *sums.entry((server.clone(), transport.as_str())).or_default() += value;
            }
        });
        for ((server, transport), value) in sums {
            emit(&[&server, transport], value as f64);
        }
    }

    /// `label`: the label of a server's tool as it is now.
    pub(crate) fn emit_tools(
        &self,
        which: Which,
        label: impl Fn(&str, &str) -> Arc<str>,
        emit: &mut Emit<'_>,
    ) {
        let mut sums = BTreeMap::<(Arc<str>, Arc<str>), u64>::new();
        self.each(|server, state, _| {
            for (tool, value) in state.tools(which) {
                *sums.entry((server.clone(), label(server, tool))).or_default() += *value;
            }
        });
        for ((server, tool), value) in sums {
            emit(&[&server, &tool], value as f64);
        }
    }

    pub(crate) fn emit_uptime(&self, emit: &mut Emit<'_>) {
        let mut youngest = BTreeMap::<Arc<str>, Duration>::new();
        self.each(|server, state, now| {
            let Some((at, uptime)) = state.started else { return };
            let uptime = uptime.saturating_add(now.saturating_duration_since(at));
            let least = youngest.entry(server.clone()).or_insert(uptime);
            *least = uptime.min(*least);
        });
        for (server, uptime) in youngest {
            emit(&[&server], uptime.as_secs_f64());
        }
    }

    pub(crate) fn emit_info(&self, emit: &mut Emit<'_>) {
        let mut infos = BTreeMap::<Arc<str>, BTreeSet<Info>>::new();
        self.each(|server, state, _| {
            let infos = infos.entry(server.clone()).or_default();
            if infos.len() < MAX_INFOS_PER_SERVER {
                infos.extend(state.info.clone());
            }
        });
        for (server, infos) in infos {
            for (name, protocol, version) in infos {
                emit(&[&name, protocol, &server, &version], 1.0);
            }
        }
    }
}

/// What a panicking holder left behind is whole: every change is a single insertion.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
