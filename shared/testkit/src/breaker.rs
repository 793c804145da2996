//! A TCP connection that a test breaks: it stands between a client and its server, passes bytes on,
//! and cuts, swallows or refuses when told. Threads of its own, so a test may block.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// What becomes of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They pass.
    Pass,
    /// Requests arrive, and their replies are lost.
    DropReplies,
    /// Nothing arrives on either side, and nobody is told.
    Blackhole,
    /// Connections are closed, and so is every new one.
    Cut,
}

/// The running breaker. When it is dropped, its connections end.
#[derive(Debug)]
pub struct Breaker {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    connections: Vec<TcpStream>,
    /// Bytes of replies that were lost.
    lost: usize,
    stopped: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Reply,
}

impl Breaker {
    /// Listens on a free port of 127.0.0.1 and passes everything on to `upstream`.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let addr = listener.local_addr().expect("a bound listener has an address");
        let state = State { mode: Mode::Pass, connections: Vec::new(), lost: 0, stopped: false };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let accepting = Some(thread::spawn(move || accept(&listener, upstream, &shared)));
        Self { addr, state, accepting }
    }

    /// Where clients connect to.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on. A connection that lost bytes stays broken, as its two ends no longer agree.
    pub fn set(&self, mode: Mode) {
        let mut state = lock(&self.state);
        state.mode = mode;
        if mode == Mode::Cut {
            for connection in state.connections.drain(..) {
                // It may be closed already.
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
    }

    /// How many bytes of replies were lost so far.
    pub fn lost(&self) -> usize {
        lock(&self.state).lost
    }
}

impl Drop for Breaker {
    fn drop(&mut self) {
        self.set(Mode::Cut);
        lock(&self.state).stopped = true;
        // Wakes the accept, which then sees that it is over.
        drop(TcpStream::connect(self.addr));
        if let Some(accepting) = self.accepting.take() {
            // A panic there was reported by its own hook.
            let _ = accepting.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, upstream: SocketAddr, state: &Arc<Mutex<State>>) {
    for client in listener.incoming() {
        let (Ok(client), false) = (client, lock(state).stopped) else { return };
        if lock(state).mode == Mode::Cut {
            continue;
        }
        // Without a server there the client's connection just ends.
        let Ok(server) = TcpStream::connect(upstream) else { continue };
        let ends = [&client, &server].map(|end| end.try_clone().ok());
        lock(state).connections.extend(ends.into_iter().flatten());
        let copies = (client.try_clone(), server.try_clone());
        let (Ok(client_too), Ok(server_too)) = copies else { continue };
        for (from, to, direction) in
            [(client, server, Direction::Request), (server_too, client_too, Direction::Reply)]
        {
            let state = Arc::clone(state);
            thread::spawn(move || pump(from, to, direction, &state));
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, direction: Direction, state: &Mutex<State>) {
    let mut bytes = [0; 16 << 10];
    let mut broken = false;
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        {
            let mut state = lock(state);
            broken |= match state.mode {
                Mode::Pass => false,
                Mode::DropReplies => direction == Direction::Reply,
                Mode::Blackhole | Mode::Cut => true,
            };
            if broken && direction == Direction::Reply {
                state.lost += count;
            }
        }
        if !broken && to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // One end is gone, so the other need not wait.
    let _ = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::time::Duration;

    use super::*;
    use crate::http_script::{Answer, HttpScript};

    fn ask(addr: SocketAddr) -> Result<usize, ErrorKind> {
        let mut stream = TcpStream::connect(addr).map_err(|error| error.kind())?;
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").map_err(|error| error.kind())?;
        stream.read(&mut [0; 64]).map_err(|error| error.kind())
    }

    #[test]
    fn it_passes_loses_swallows_and_cuts() {
        let server = HttpScript::start(|_| Answer::status(200, "OK"));
        let breaker = Breaker::start(server.addr());
        assert!(ask(breaker.addr()).unwrap() > 0);
        breaker.set(Mode::DropReplies);
        assert_eq!(ask(breaker.addr()), Err(ErrorKind::WouldBlock));
        assert!(breaker.lost() > 0);
        assert_eq!(server.wait_for(|requests| requests.len() == 2).len(), 2);
        breaker.set(Mode::Blackhole);
        assert_eq!(ask(breaker.addr()), Err(ErrorKind::WouldBlock));
        breaker.set(Mode::Cut);
        assert!(!matches!(ask(breaker.addr()), Ok(1..) | Err(ErrorKind::WouldBlock)));
        breaker.set(Mode::Pass);
        assert!(ask(breaker.addr()).unwrap() > 0);
        assert_eq!(server.requests().len(), 3);
    }
}
