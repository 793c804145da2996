//! The listener: a few threads, each with a runtime of its own, so that an exchange never changes
//! its thread. The first one accepts, and gives each connection to the thread with the fewest.

use std::io;
use std::net::{self, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::forward::{Client, Shared};

/// More threads than this gain nothing: the servers behind are slower by far.
const MAX_THREADS: usize = 4;

/// How long exchanges that are under way may take once the tap was told to end. Event streams
/// have no end of their own, so it cannot be long.
const DRAIN: Duration = Duration::from_secs(2);

/// How long accepting rests when the system has nothing left to accept with.
const REST: Duration = Duration::from_millis(50);
const EXHAUSTED: [Errno; 4] = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];

/// A listener that serves.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

/// The way to a thread that serves.
#[derive(Debug)]
struct Lane {
    give: mpsc::UnboundedSender<Given>,
    /// Each of its connections holds one more.
    seat: Arc<()>,
}

/// A connection on its way to its thread.
type Given = (net::TcpStream, Arc<()>);

/// Serves what comes to `listener`.
///
/// # Errors
/// When the system has no thread or descriptor left.
pub fn serve(listener: &TcpListener, shared: &Arc<Shared>) -> io::Result<Server> {
    let (stop, stopped) = watch::channel(false);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let runtimes = (0..cores.min(MAX_THREADS))
        .map(|_| runtime::Builder::new_current_thread().enable_all().build())
        .collect::<io::Result<Vec<_>>>()?;
    let (mut lanes, given): (Vec<_>, Vec<_>) = runtimes
        .iter()
        .map(|_| {
            let (give, given) = mpsc::unbounded_channel();
            (Lane { give, seat: Arc::default() }, given)
        })
        .unzip();
    // Of threads with as many, one that does not accept is to be the first.
    lanes.rotate_left(1);
    listener.set_nonblocking(true)?;
    let accepting = {
        let _inside = runtimes[0].enter();
        tokio::net::TcpListener::from_std(listener.try_clone()?)?
    };
    runtimes[0].spawn(accept(accepting, lanes, stopped.clone()));
    let threads = (0..)
        .zip(runtimes.into_iter().zip(given))
        .map(|(number, (runtime, given))| {
            let hosted = host(given, Arc::clone(shared), stopped.clone());
            let run = move || runtime.block_on(hosted);
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
            if thread.join().is_err() {
                tracing::error!("a thread that served panicked");
            }
        }
    }
}

/// Accepts until the tap was told to end; then the threads get no more.
async fn accept(
    listener: tokio::net::TcpListener,
    lanes: Vec<Lane>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = told(&mut stopped) => return,
        };
        match accepted.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => {
                // One that panicked takes none any more.
                let serving = lanes.iter().filter(|lane| !lane.give.is_closed());
                let freest = serving.min_by_key(|lane| Arc::strong_count(&lane.seat));
                if let Some(Lane { give, seat }) = freest {
                    _ = give.send((stream, Arc::clone(seat)));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "no connection could be accepted");
                if Errno::from_io_error(&error).is_some_and(|why| EXHAUSTED.contains(&why)) {
                    sleep(REST).await;
                }
            }
        }
    }
}

/// Serves the connections that one thread is given.
async fn host(
    mut given: mpsc::UnboundedReceiver<Given>,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            next = given.recv() => {
                let Some((stream, seat)) = next else { break };
                let (shared, stopped) = (Arc::clone(&shared), stopped.clone());
                connections.spawn(async move {
                    converse(stream, shared, stopped).await;
                    drop(seat);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
    // Each has a deadline of its own.
    while connections.join_next().await.is_some() {}
}

/// Returns when the tap was told to end; without the value, which must not be held.
async fn told(stopped: &mut watch::Receiver<bool>) {
    // The sender's end is an end, too.
    _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Serves one client's connection until either side closes it.
async fn converse(stream: net::TcpStream, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let stream = match stream.set_nodelay(true).and_then(|()| TcpStream::from_std(stream)) {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%error, "a connection was gone at once"),
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_goes_to_the_thread_with_the_fewest() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let [(first, mut to_first), (second, mut to_second)] = [(); 2].map(|()| {
            let (give, given) = mpsc::unbounded_channel();
            (Lane { give, seat: Arc::default() }, given)
        });
        let (_stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, vec![first, second], stopped));
        let connect = || TcpStream::connect(address);

        let mut clients = vec![connect().await.unwrap(), connect().await.unwrap()];
        let (_kept, left) = (to_first.recv().await.unwrap(), to_second.recv().await.unwrap());
        drop(left);
        clients.push(connect().await.unwrap());
        let _kept_too = to_second.recv().await.unwrap();
        clients.push(connect().await.unwrap());
        // As many each: the first of them.
        assert!(to_first.recv().await.is_some());
        assert!(to_second.try_recv().is_err());
        // That one is gone, and had the fewest.
        drop(to_first);
        clients.push(connect().await.unwrap());
        assert!(to_second.recv().await.is_some());
        accepting.abort();
    }
}
