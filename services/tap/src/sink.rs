//! Where the observer's events go: to the SDK's monitor, or in tests to a list.

use mcpmon_metrics::Event;
use mcpmon_sdk::Monitor;

/// Takes events. Called by the observer's thread alone; must not wait.
pub trait EventSink {
    /// Takes one event.
    fn record(&self, event: Event<'static>);
}

impl EventSink for Monitor {
    fn record(&self, event: Event<'static>) {
        match event {
            // The monitor repeats it at every heartbeat, with the uptime of then.
            Event::ServerStarted {
                name: Some(name),
                version: Some(version),
                protocol_version,
                ..
            } => self.server_info(name.as_str(), version.as_str(), protocol_version),
            event => Self::record(self, event),
        }
    }
}

impl<S: EventSink + ?Sized> EventSink for &S {
    fn record(&self, event: Event<'static>) {
        (**self).record(event);
    }
}

impl<S: EventSink + ?Sized> EventSink for std::sync::Arc<S> {
    fn record(&self, event: Event<'static>) {
        (**self).record(event);
    }
}
