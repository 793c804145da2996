//! The listener: a few threads, each with a runtime of its own, so that an exchange never changes
//! its thread.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::forward::{Client, Shared};

/// More threads than this gain nothing: the servers behind are slower by far.
const MAX_THREADS: usize = 4;

/// How long exchanges that are under way may take once the tap was told to end. Event streams
/// have no end of their own, so it cannot be long.
const DRAIN: Duration = Duration::from_secs(2);

/// How long accepting rests when the system refuses it, as when descriptors have run out.
const REST: Duration = Duration::from_millis(50);

/// A listener that serves.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

/// Serves what comes to `listener`.
///
/// # Errors
/// When the system has no thread or descriptor left.
pub fn serve(listener: &TcpListener, shared: &Arc<Shared>) -> io::Result<Server> {
    listener.set_nonblocking(true)?;
    let (stop, stopped) = watch::channel(false);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = (0..cores.min(MAX_THREADS))
        .map(|number| {
            let (listener, shared) = (listener.try_clone()?, Arc::clone(shared));
            let stopped = stopped.clone();
            let run = move || {
                let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(accept(listener, shared, stopped))
            };
            thread::Builder::new().name(format!("http-{number}")).spawn(run)
        })
        .collect::<io::Result<_>>()?;
    Ok(Server { address: listener.local_addr()?, stop, threads })
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more, lets what is under way end, and returns when it has.
    pub fn stop(self) {
        self.stop.send_replace(true);
        for thread in self.threads {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a thread could not serve"),
                Err(_) => tracing::error!("a thread that served panicked"),
            }
        }
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, Arc::clone(&shared), stopped.clone()));
                }
                Err(error) => {
                    tracing::debug!(%error, "no connection could be accepted");
                    sleep(REST).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = told(&mut stopped) => break,
        }
    }
    drop(listener);
    // Each has a deadline of its own.
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// Returns when the tap was told to end; without the value, which must not be held.
async fn told(stopped: &mut watch::Receiver<bool>) {
    // The sender's end is an end, too.
    _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Serves one client's connection until either side closes it.
async fn converse(stream: TcpStream, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone at once");
        return;
    }
    let client = Client::new(shared);
    let connection = Builder::new()
        .preserve_header_case(true)
        // The server's own date, or its lack of one, passes.
        .auto_date_header(false)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service_fn(|request| client.handle(request)));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            match timeout(DRAIN, connection).await {
                Ok(ended) => ended,
                Err(_) => return tracing::debug!("a connection was cut at the end"),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a client's connection broke");
    }
}
