//! What all handles of one monitor share: the state of open calls, and the sink.

use std::borrow::Cow;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use mcpmon_metrics::{Event, Metrics, Origin};
use tokio::runtime::Handle;

use crate::active::ActiveCalls;
use crate::error::{Flushed, SdkError, Unsent};
use crate::page::Page;
use crate::readings::Readings;
use crate::redact;
use crate::remote::Remote;
use crate::server;
use crate::worker::Worker;

/// How long the exporter may take over what waits when the last handle is dropped, or after it
/// the last guard.
const DROP_DEADLINE: Duration = Duration::from_secs(2);

/// Where events go.
#[derive(Debug)]
pub(crate) enum Sink {
    /// Into numbers of this process, served by itself.
    InProcess(Metrics),
    /// To an exporter.
    Remote(Arc<Remote>),
}

/// The background thread, if it is needed yet.
#[derive(Debug)]
pub(crate) enum Background {
    Idle,
    Running(Worker),
    Stopped,
}

/// What all clones of a monitor share. Their last one waits for the exporter when it is dropped;
/// a guard, which ends wherever a tool does, holds the core alone and never waits.
#[derive(Debug)]
pub(crate) struct Handles(pub(crate) Arc<Core>);

/// The one thing behind all clones of a monitor and all of its guards.
pub(crate) struct Core {
    pub(crate) origin: Arc<Origin<'static>>,
    pub(crate) readings: Arc<Readings>,
    pub(crate) active: ActiveCalls,
    pub(crate) sink: Sink,
    background: Mutex<Background>,
    page: OnceLock<Arc<Page>>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, sink, .. } = self;
        f.debug_struct("Core").field("origin", origin).field("sink", sink).finish_non_exhaustive()
    }
}

impl Core {
    pub(crate) fn new(
        origin: Arc<Origin<'static>>,
        readings: Arc<Readings>,
        sink: Sink,
        background: Background,
    ) -> Self {
        Self {
            origin,
            readings,
            active: ActiveCalls::default(),
            sink,
            background: Mutex::new(background),
            page: OnceLock::new(),
        }
    }

    /// Shows itself on the page of another.
    pub(crate) fn beside(mut self, page: Arc<Page>) -> Self {
        page.join(self.origin.clone(), &self.readings, &self.sink);
        self.page = page.into();
        self
    }

    /// Records an event; the one way out of the tool. Texts are redacted here.
    pub(crate) fn submit(&self, mut event: Event<'static>) {
        if let Event::ToolCall(mcpmon_metrics::ToolCall { message: Some(text), .. })
        | Event::Error { message: Some(text), .. } = &mut event
        {
            *text = Cow::Owned(redact::message(text));
        }
        if !self.readings.note(&event) {
            return;
        }
        match &self.sink {
            Sink::InProcess(metrics) => metrics.record(&self.origin, &event),
            Sink::Remote(remote) => remote.push(event),
        }
    }

    pub(crate) fn dropped_events(&self) -> u64 {
        match &self.sink {
            Sink::InProcess(_) => 0,
            Sink::Remote(remote) => remote.losses.total(),
        }
    }

    /// What `/metrics` and `/health` show.
    pub(crate) fn page(&self) -> &Arc<Page> {
        self.page
            .get_or_init(|| Arc::new(Page::new(self.origin.clone(), &self.readings, &self.sink)))
    }

    /// Serves the page from the background thread; the address is bound when this returns. Who
    /// asks under none of the names, nor as localhost or by address, is refused.
    pub(crate) fn serve(
        &self,
        addr: SocketAddr,
        names: Vec<String>,
    ) -> Result<SocketAddr, SdkError> {
        let failed = |source| SdkError::Bind { addr, source };
        let listener = TcpListener::bind(addr).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        self.handle()?.spawn(server::run(listener, self.page().clone(), names));
        Ok(bound)
    }

    /// The background thread's runtime; started now if it is not running.
    fn handle(&self) -> Result<Handle, SdkError> {
        let mut background = self.background();
        match &*background {
            Background::Running(worker) => Ok(worker.handle.clone()),
            Background::Stopped => Err(SdkError::ShutDown),
            Background::Idle => {
                let worker = Worker::start().map_err(SdkError::Worker)?;
                let handle = worker.handle.clone();
                *background = Background::Running(worker);
                Ok(handle)
            }
        }
    }

    fn background(&self) -> MutexGuard<'_, Background> {
        self.background.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, blocking, until everything recorded so far is settled.
    pub(crate) fn flush(&self, deadline: Duration) -> Flushed {
        match &self.sink {
            Sink::InProcess(_) => Flushed::Everything,
            Sink::Remote(remote) => remote.flush(deadline),
        }
    }

    /// The same, waiting in whatever runtime polls it.
    pub(crate) async fn flush_async(&self, deadline: Duration) -> Flushed {
        let Sink::Remote(remote) = &self.sink else {
            return Flushed::Everything;
        };
        let Ok(handle) = self.handle() else { return remote.state() };
        let waiting = Arc::clone(remote);
        // There, because the executor that polls this may have no clock.
        let settled = handle.spawn(async move { waiting.settled(deadline).await });
        settled.await.unwrap_or_else(|_| remote.state())
    }

    /// Takes nothing more, waits for what was taken, and stops the background thread.
    pub(crate) fn shut_down(&self, deadline: Duration) -> Result<(), Unsent> {
        let lost_before = self.close();
        // What the flush left is counted when the queue is dropped.
        let _ = self.flush(deadline);
        self.stop(lost_before)
    }

    /// The same, waiting in whatever runtime polls it.
    pub(crate) async fn shut_down_async(&self, deadline: Duration) -> Result<(), Unsent> {
        let lost_before = self.close();
        let _ = self.flush_async(deadline).await;
        self.stop(lost_before)
    }

    /// Takes nothing more. What was lost for good before.
    fn close(&self) -> u64 {
        match &self.sink {
            Sink::InProcess(_) => 0,
            Sink::Remote(remote) => {
                remote.close();
                remote.losses.after_queue()
            }
        }
    }

    fn stop(&self, lost_before: u64) -> Result<(), Unsent> {
        let background = std::mem::replace(&mut *self.background(), Background::Stopped);
        if let Background::Running(worker) = background {
            worker.stop();
        }
        let Sink::Remote(remote) = &self.sink else { return Ok(()) };
        match remote.losses.after_queue() - lost_before {
            0 => Ok(()),
            events => Err(Unsent { events }),
        }
    }
}

impl Drop for Handles {
    /// Waits, blocking, for what was recorded so far.
    fn drop(&mut self) {
        // Guards that are still open will record more.
        let Some(core) = Arc::get_mut(&mut self.0) else {
            let _ = self.0.flush(DROP_DEADLINE);
            return;
        };
        if let Err(unsent) = core.shut_down(DROP_DEADLINE) {
            warn_unsent(&core.origin, unsent);
        }
    }
}

impl Drop for Core {
    /// When guards have outlived all handles: leaves the rest to the background thread.
    fn drop(&mut self) {
        let background = std::mem::replace(&mut *self.background(), Background::Stopped);
        let Background::Running(worker) = background else { return };
        let Sink::Remote(remote) = &self.sink else { return worker.stop_after(async {}) };
        remote.close();
        let (remote, origin) = (Arc::clone(remote), Arc::clone(&self.origin));
        worker.stop_after(async move {
            if let Flushed::Partly { unsent } = remote.settled(DROP_DEADLINE).await {
                warn_unsent(&origin, Unsent { events: unsent });
            }
        });
    }
}

fn warn_unsent(origin: &Origin<'_>, unsent: Unsent) {
    tracing::warn!(server = %origin.server, "the monitor was dropped: {unsent}");
}
