//! How many clients are connected.
//!
//! rmcp makes one handler per legacy session and one per request since revision 2026-07-28. So
//! the living handlers are what `mcp_active_connections` counts: sessions or open streams.

use std::sync::{Arc, Mutex, PoisonError};

use mcpmon_sdk::Monitor;
use mcpmon_sdk::label::Transport;

#[derive(Debug)]
pub(crate) struct Connections {
    monitor: Monitor,
    transport: Transport,
    open: Mutex<u64>,
}

/// One open connection; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Connection(Arc<Connections>);

impl Connections {
    pub(crate) fn new(monitor: Monitor, transport: Transport) -> Arc<Self> {
        monitor.set_connections(transport, 0);
        Arc::new(Self { monitor, transport, open: Mutex::new(0) })
    }

    pub(crate) fn open(self: &Arc<Self>) -> Connection {
        self.change(|open| open + 1);
        Connection(Arc::clone(self))
    }

    /// Sets the gauge under the lock, so that two changes cannot arrive in the wrong order.
    fn change(&self, change: impl Fn(u64) -> u64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        *open = change(*open);
        self.monitor.set_connections(self.transport, *open);
    }
}

impl Connection {
    pub(crate) fn transport(&self) -> Transport {
        self.0.transport
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.change(|open| open - 1);
    }
}
