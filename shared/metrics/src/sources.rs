//! Readings that belong to a process: connections, queues, calls in flight, uptime.
//!
//! A process reports them every 15 seconds. What a silent process reported last ends after the
//! expiry time, so a server that was killed does not linger; counters stay.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::label::{Label, ProtocolVersion, Transport};
use crate::telemetry::Emit;

/// Processes that may report at one time.
const MAX_SOURCES: usize = 1_024;
/// Names that the processes of one server may give themselves at one time.
const MAX_INFOS_PER_SERVER: usize = 8;

/// How a server names itself: name, revision, version.
type Info = (String, &'static str, String);

#[derive(Debug, Default)]
struct Source {
    seen: Option<Instant>,
    started: Option<(Instant, Duration)>,
    info: Option<Info>,
    connections: HashMap<Transport, u64>,
    queued: HashMap<Arc<str>, u64>,
    inflight: HashMap<Arc<str>, u64>,
}

/// One absolute reading of a process.
#[derive(Debug)]
pub(crate) enum Reading {
    Started { uptime: Duration, name: String, version: String, protocol: ProtocolVersion },
    Connections(Transport, u64),
    Queued(Arc<str>, u64),
    Inflight(Arc<str>, u64),
}

/// The live processes, by server and source.
#[derive(Debug)]
pub(crate) struct Sources {
    live: Mutex<HashMap<(Arc<str>, String), Source>>,
    expiry: Option<Duration>,
}

impl Sources {
    /// `expiry`: how long a process may be silent; none where the process is our own.
    pub(crate) fn new(expiry: Option<Duration>) -> Self {
        Self { live: Mutex::default(), expiry }
    }

    /// Notes that the process lives. False when there are too many processes.
    pub(crate) fn touch(&self, server: &Arc<str>, source: &str) -> bool {
        self.update(server, source, |_| ())
    }

    /// Takes a reading. False when there are too many processes.
    pub(crate) fn read(&self, server: &Arc<str>, source: &str, reading: Reading) -> bool {
        self.update(server, source, |state| match reading {
            Reading::Started { uptime, name, version, protocol } => {
                state.started = Some((Instant::now(), uptime));
                if !name.is_empty() || !version.is_empty() {
                    state.info = Some((name, protocol.as_str(), version));
                }
            }
            Reading::Connections(transport, value) => {
                state.connections.insert(transport, value);
            }
            Reading::Queued(tool, value) => {
                state.queued.insert(tool, value);
            }
            Reading::Inflight(tool, value) => {
                state.inflight.insert(tool, value);
            }
        })
    }

    fn update(&self, server: &Arc<str>, source: &str, change: impl FnOnce(&mut Source)) -> bool {
        let now = Instant::now();
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (server.clone(), source.to_owned());
        if !live.contains_key(&key) && live.len() >= MAX_SOURCES {
            live.retain(|_, state| self.is_live(state, now));
            if live.len() >= MAX_SOURCES {
                return false;
            }
        }
        let state = live.entry(key).or_default();
        if !self.is_live(state, now) {
            // The process was gone for longer than its readings are true.
            *state = Source::default();
        }
        state.seen = Some(now);
        change(state);
        true
    }

    fn is_live(&self, state: &Source, now: Instant) -> bool {
        match (self.expiry, state.seen) {
            (Some(expiry), Some(seen)) => now.duration_since(seen) < expiry,
            _ => true,
        }
    }

    /// Visits every live process, and forgets the others.
    fn each(&self, mut visit: impl FnMut(&Arc<str>, &Source, Instant)) {
        let now = Instant::now();
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|_, state| self.is_live(state, now));
        for ((server, _), state) in live.iter() {
            visit(server, state, now);
        }
    }

    pub(crate) fn emit_count(&self, emit: &mut Emit<'_>) {
        let mut count = 0_u32;
        self.each(|_, _, _| count += 1);
        emit(&[], f64::from(count));
    }

    pub(crate) fn emit_connections(&self, emit: &mut Emit<'_>) {
        let mut sums = BTreeMap::<(Arc<str>, &str), u64>::new();
        self.each(|server, state, _| {
            for (transport, value) in &state.connections {
                let sum = sums.entry((server.clone(), transport.as_str())).or_default();
                *sum = sum.saturating_add(*value);
            }
        });
        for ((server, transport), value) in sums {
            emit(&[&server, transport], value as f64);
        }
    }

    pub(crate) fn emit_queued(&self, emit: &mut Emit<'_>) {
        self.emit_tools(|state| &state.queued, emit);
    }

    pub(crate) fn emit_inflight(&self, emit: &mut Emit<'_>) {
        self.emit_tools(|state| &state.inflight, emit);
    }

    fn emit_tools(&self, tools: fn(&Source) -> &HashMap<Arc<str>, u64>, emit: &mut Emit<'_>) {
        let mut sums = BTreeMap::<(Arc<str>, Arc<str>), u64>::new();
        self.each(|server, state, _| {
            for (tool, value) in tools(state) {
                let sum = sums.entry((server.clone(), tool.clone())).or_default();
                *sum = sum.saturating_add(*value);
            }
        });
        for ((server, tool), value) in sums {
            emit(&[&server, &tool], value as f64);
        }
    }

    pub(crate) fn emit_uptime(&self, emit: &mut Emit<'_>) {
        let mut youngest = BTreeMap::<Arc<str>, Duration>::new();
        self.each(|server, state, now| {
            let Some((at, uptime)) = state.started else {
                return;
            };
            let uptime = uptime.saturating_add(now.duration_since(at));
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
