//! What this process says of itself at every heartbeat: that it lives, who it is, what is open.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use mcpmon_metrics::label::ProtocolVersion;
use mcpmon_metrics::{Event, Name};
use tokio::time::Instant;

use crate::gauges::Gauges;

/// How the server names itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerInfo {
    pub(crate) name: Option<Name<'static>>,
    pub(crate) version: Option<Name<'static>>,
    pub(crate) protocol_version: Option<ProtocolVersion>,
}

/// The state behind the heartbeat.
#[derive(Debug)]
pub(crate) struct Readings {
    pub(crate) gauges: Gauges,
    started: Instant,
    info: Mutex<ServerInfo>,
    /// The event that declares the tools, if the program did.
    declared: Mutex<Option<Event<'static>>>,
}

impl Readings {
    pub(crate) fn new() -> Self {
        Self {
            gauges: Gauges::default(),
            started: Instant::now(),
            info: Mutex::default(),
            declared: Mutex::default(),
        }
    }

    /// Seconds since the monitor was built.
    pub(crate) fn uptime(&self) -> std::time::Duration {
        self.started.elapsed()
    }

    pub(crate) fn set_info(&self, info: ServerInfo) {
        *self.info.lock().unwrap_or_else(PoisonError::into_inner) = info;
    }

    /// The `server_started` event as of now.
    pub(crate) fn started(&self) -> Event<'static> {
        let info = self.info.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Event::ServerStarted {
            name: info.name,
            version: info.version,
            protocol_version: info.protocol_version,
            uptime: self.uptime().into(),
        }
    }

    /// Everything that holds right now.
    pub(crate) fn now(&self) -> Vec<Event<'static>> {
        let mut events = vec![self.started()];
        events.extend(self.gauges.read());
        events
    }

    /// The same and the declared tools: an exporter that was restarted has forgotten them.
    pub(crate) fn heartbeat(&self) -> Vec<Event<'static>> {
        let mut events = self.now();
        events.extend(self.declared.lock().unwrap_or_else(PoisonError::into_inner).clone());
        events
    }

    /// Notes the declared tools, and gives the event that declares them.
    pub(crate) fn declare(&self, tools: &[&str]) -> Event<'static> {
        let mut names: Vec<_> = tools.iter().map(|tool| name(tool)).collect();
        names.sort_unstable();
        names.dedup();
        let event = Event::ToolsListed {
            schema_hash: Cow::Owned(hash_of(&names)),
            tools: names,
            complete: true,
            bytes: None,
        };
        *self.declared.lock().unwrap_or_else(PoisonError::into_inner) = Some(event.clone());
        event
    }
}

/// A name with its own storage; `_other` when the text is no name.
pub(crate) fn name(text: &str) -> Name<'static> {
    Name::or_other(text.to_owned())
}

/// FNV-1a over the names: changes when the set of tools does, and is the same in every process.
fn hash_of(names: &[Name<'_>]) -> String {
    let bytes = names.iter().flat_map(|name| name.as_str().bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("names-{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_depends_on_the_set_alone() {
        let readings = Readings::new();
        let first = readings.declare(&["b", "a", "a"]);
        assert_eq!(first, readings.declare(&["a", "b"]));
        assert_ne!(first, readings.declare(&["ab"]));
        assert_eq!(readings.heartbeat().last(), Some(&readings.declare(&["ab"])));
    }
}
