//! Ends connections on which nothing has happened for too long.
//!
//! actix times the first head of a connection, and the pause after a reply until the next byte
//! comes. A client that sends that byte and no more would hold its connection for ever, and so
//! would one that does not read its reply; there is only room for so many.

use std::any::Any;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::rt::net;
use tokio::time::{Instant, interval};

/// The open connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections(Arc<Mutex<Vec<Weak<Connection>>>>);

#[derive(Debug)]
struct Connection {
    // A second handle on the socket, closed together with actix's own.
    socket: TcpStream,
    idle: Mutex<Idle>,
}

/// Since when no request is being handled; `None` while one is.
type Idle = Option<Instant>;

/// A request that is being handled.
struct Busy(Arc<Connection>);

impl Connections {
    /// Watches a connection that was just opened. For `HttpServer::on_connect`.
    pub(crate) fn watch(&self, io: &dyn Any, extensions: &mut Extensions) {
        let handle = io.downcast_ref::<net::TcpStream>();
        let Some(Ok(handle)) = handle.map(|io| io.as_fd().try_clone_to_owned()) else { return };
        let idle = Mutex::new(Some(Instant::now()));
        let connection = Arc::new(Connection { socket: handle.into(), idle });
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.push(Arc::downgrade(&connection));
        extensions.insert(connection);
    }

    /// Ends what was idle for `patience`, for ever.
    pub(crate) async fn end_idle(self, patience: Duration) {
        let mut ticks = interval(patience / 4);
        loop {
            let now = ticks.tick().await;
            let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            open.retain(|connection| {
                connection.upgrade().inspect(|open| open.end_if_idle(now, patience)).is_some()
            });
        }
    }
}

impl Connection {
    fn set(&self, idle: Idle) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = idle;
    }

    fn end_if_idle(&self, now: Instant, patience: Duration) {
        let idle = *self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.is_some_and(|since| now.saturating_duration_since(since) >= patience) {
            // It may be closed already; actix sees the end and lets go.
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set(Some(Instant::now()));
    }
}

/// Middleware that tells when a connection is idle.
pub(crate) async fn tell<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let _busy = request.conn_data::<Arc<Connection>>().map(|connection| {
        connection.set(None);
        Busy(Arc::clone(connection))
    });
    next.call(request).await
}
