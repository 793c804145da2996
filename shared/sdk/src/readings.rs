//! What this process says of itself at every heartbeat: that it lives, who it is, what is open.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use mcpmon_metrics::label::ProtocolVersion;
use mcpmon_metrics::{Event, Name};
use tokio::time::Instant;

use crate::gauges::Gauges;

/// How the server names itself.
#[derive(Debug, Clone, Default)]
struct ServerInfo {
    name: Option<Name<'static>>,
    version: Option<Name<'static>>,
    protocol_version: Option<ProtocolVersion>,
}

/// The state behind the heartbeat.
#[derive(Debug)]
pub(crate) struct Readings {
    pub(crate) gauges: Gauges,
    started: Instant,
    info: Mutex<ServerInfo>,
    /// The last complete listing of the tools, if there was one.
    listing: Mutex<Option<Event<'static>>>,
}

impl Readings {
    pub(crate) fn new() -> Self {
        Self {
            gauges: Gauges::default(),
            started: Instant::now(),
            info: Mutex::default(),
            listing: Mutex::default(),
        }
    }

    /// Seconds since the monitor was built.
    pub(crate) fn uptime(&self) -> std::time::Duration {
        self.started.elapsed()
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

    /// The same and the tools: an exporter that was restarted has forgotten them.
    pub(crate) fn heartbeat(&self) -> Vec<Event<'static>> {
        let mut events = self.now();
        events.extend(self.listing.lock().unwrap_or_else(PoisonError::into_inner).clone());
        events
    }

    /// Keeps what later heartbeats repeat: who the server is, what it listed, and how many
    /// connections are open. Whether the event is to be recorded by itself beside that.
    ///
    /// Connections are not: in the stateless era each request opens and closes one, and in an
    /// outage they would displace calls. Nor is a listing, which may be large, that equals the
    /// last one.
    pub(crate) fn note(&self, event: &Event<'static>) -> bool {
        match event {
            Event::Connections { transport, value } => {
                self.gauges.set_connections(*transport, *value);
                return false;
            }
            Event::ServerStarted { name, version, protocol_version, .. } => {
                *self.info.lock().unwrap_or_else(PoisonError::into_inner) = ServerInfo {
                    name: name.clone(),
                    version: version.clone(),
                    protocol_version: *protocol_version,
                };
            }
            Event::ToolsListed { complete: true, .. } => {
                let mut listing = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
                if listing.as_ref() == Some(event) {
                    return false;
                }
                *listing = Some(event.clone());
            }
            _ => {}
        }
        true
    }
}

/// The event that declares `tools`.
pub(crate) fn declaration(tools: &[&str]) -> Event<'static> {
    let mut names: Vec<_> = tools.iter().map(|tool| name(tool)).collect();
    names.sort_unstable();
    names.dedup();
    let schema_hash = Cow::Owned(hash_of(&names));
    Event::ToolsListed { schema_hash, tools: names, complete: true, bytes: None }
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
        let first = declaration(&["b", "a", "a"]);
        assert_eq!(first, declaration(&["a", "b"]));
        assert_ne!(first, declaration(&["ab"]));
    }

    #[test]
    fn a_heartbeat_repeats_who_the_server_is_and_what_it_listed() {
        let readings = Readings::new();
        let started = Event::ServerStarted {
            name: Some(name("git")),
            version: Some(name("1.0")),
            protocol_version: Some(ProtocolVersion::V2026_07_28),
            uptime: std::time::Duration::ZERO.into(),
        };
        readings.note(&started);
        assert!(readings.note(&declaration(&["a"])));
        assert!(!readings.note(&declaration(&["a"])), "it is repeated anyway");
        let page = Event::ToolsListed {
            tools: vec![],
            schema_hash: "".into(),
            complete: false,
            bytes: None,
        };
        readings.note(&page);
        let beat = readings.heartbeat();
        let Some(Event::ServerStarted { name: Some(of), .. }) = beat.first() else {
            panic!("{beat:?}")
        };
        assert_eq!(of.as_str(), "git");
        assert_eq!(beat.last(), Some(&declaration(&["a"])));
    }
}
