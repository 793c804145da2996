//! The one background thread of a monitor: a runtime of its own, so that it works in programs
//! without one and never competes with the tool's tasks.

use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The thread and the way to stop it.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) handle: Handle,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts the thread; its runtime is ready when this returns.
    pub(crate) fn start() -> io::Result<Self> {
        let (ready, started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        // The runtime is made and dropped on its own thread: dropping one inside another panics.
        let thread = thread::Builder::new().name("mcpmon-sdk".into()).spawn(move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error))),
            };
            if ready.send(Ok(runtime.handle().clone())).is_ok() {
                // A closed channel means the same as the word: nobody holds the monitor.
                let _ = runtime.block_on(stopped);
            }
            // A name lookup may hang in a thread of its own; nobody waits for it.
            runtime.shutdown_background();
        })?;
        let handle = started
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the thread ended before its runtime ran")))?;
        Ok(Self { handle, stop, thread })
    }

    /// Ends all tasks at their next await, and the thread with them.
    pub(crate) fn stop(self) {
        // It has ended already: the wish is fulfilled.
        let _ = self.stop.send(());
        if thread::current().id() != self.thread.thread().id() {
            // A panic there was reported by its own hook.
            let _ = self.thread.join();
        }
    }

    /// The same once `last` is done, without waiting for it here.
    pub(crate) fn stop_after(self, last: impl Future<Output = ()> + Send + 'static) {
        let Self { handle, stop, .. } = self;
        handle.spawn(async move {
            last.await;
            let _ = stop.send(());
        });
    }
}
