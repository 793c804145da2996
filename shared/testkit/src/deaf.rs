//! A port where nobody picks up: the system drops every new connection's first packet, as a
//! firewall does that says nothing. No privileges are needed.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// How long a first packet goes unanswered until we believe that it was dropped.
const UNANSWERED: Duration = Duration::from_millis(300);

/// The port; it is free again when this is dropped.
#[derive(Debug)]
pub struct Deaf {
    listener: TcpListener,
    /// They fill the queue that nobody empties.
    _waiting: Vec<TcpStream>,
}

impl Deaf {
    /// Takes a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When its queue cannot be filled.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        rustix::net::listen(&listener, 0).expect("a queue may be made shorter");
        let addr = listener.local_addr().expect("a bound listener has an address");
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&addr, UNANSWERED) {
            waiting.push(stream);
            assert!(waiting.len() < 100, "the queue has no end");
        }
        Self { listener, _waiting: waiting }
    }

    /// Where nobody picks up.
    ///
    /// # Panics
    /// Never: it is bound.
    pub fn addr(&self) -> SocketAddr {
        self.listener.local_addr().expect("a bound listener has an address")
    }
}
