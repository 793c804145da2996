//! A small HTTP/1.1 server whose answers a test writes: it refuses, hangs, breaks off, and
//! remembers every request. It runs on threads of its own, so a test may block.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a test waits for something that should happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request as it came in.
#[derive(Clone)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body by its `Content-Length`.
    pub body: Vec<u8>,
    /// The connection it came on, counted from 0.
    pub connection: usize,
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A whole reply.
    Reply {
        /// The status code.
        status: u16,
        /// Headers beside `Content-Length`.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// The answer, once the gate opens.
    After(Gate, Box<Answer>),
    /// Closes the connection without a word.
    Close,
}

/// Holds answers back until it is opened.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Shared<bool>>);

/// The running server. When it is dropped, its port is free and its connections are closed.
#[derive(Debug)]
pub struct HttpScript {
    addr: SocketAddr,
    state: Arc<Shared<State>>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared<T> {
    value: Mutex<T>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<Request>,
    connections: Vec<TcpStream>,
    stopped: bool,
}

type Script = dyn Fn(&Request) -> Answer + Send + Sync;

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path, headers, body, connection } = self;
        let body = String::from_utf8_lossy(body);
        write!(f, "{method} {path} on connection {connection}, {headers:?}: {body}")
    }
}

impl Request {
    /// A header's value; the name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name)?;
        Some(value)
    }
}

impl Answer {
    /// A reply with that status and body.
    pub fn status(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Reply { status, headers: Vec::new(), body: body.into() }
    }

    /// The reply with one more header; an answer that is no reply stays as it is.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Self::Reply { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// The answer, once `gate` opens.
    pub fn after(self, gate: &Gate) -> Self {
        Self::After(gate.clone(), Box::new(self))
    }
}

impl Gate {
    /// Lets everything through from now on.
    pub fn open(&self) {
        self.0.update(|open| *open = true);
    }

    /// Waits until it is open.
    pub fn wait(&self) {
        let open = self.0.lock();
        drop(self.0.changed.wait_while(open, |open| !*open));
    }
}

impl HttpScript {
    /// Serves on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When there is none.
    pub fn start(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_on(([127, 0, 0, 1], 0).into(), script)
    }

    /// Serves on that address.
    ///
    /// # Panics
    /// When it is taken.
    pub fn start_on(
        addr: SocketAddr,
        script: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(addr).expect("the address is free");
        let addr = listener.local_addr().expect("a bound listener has an address");
        let state = Arc::new(Shared::default());
        let (script, shared): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&state));
        let accepting = Some(thread::spawn(move || accept(&listener, &script, &shared)));
        Self { addr, state, accepting }
    }

    /// The bound address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().requests.clone()
    }

    /// Waits until the requests satisfy `enough`, and gives them.
    ///
    /// # Panics
    /// When they do not within 20 seconds.
    #[track_caller]
    pub fn wait_for(&self, enough: impl Fn(&[Request]) -> bool) -> Vec<Request> {
        self.wait_within(PATIENCE, enough)
    }

    /// Waits until the requests satisfy `enough`, and gives them.
    ///
    /// # Panics
    /// When they do not within `patience`.
    #[track_caller]
    pub fn wait_within(
        &self,
        patience: Duration,
        enough: impl Fn(&[Request]) -> bool,
    ) -> Vec<Request> {
        let state = self.state.lock();
        let (state, timeout) = self
            .state
            .changed
            .wait_timeout_while(state, patience, |state| !enough(&state.requests))
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "not within {patience:?}: {:#?}", state.requests);
        state.requests.clone()
    }
}

impl Drop for HttpScript {
    fn drop(&mut self) {
        self.state.update(|state| state.stopped = true);
        // Wakes the accept, which then sees that it is over.
        drop(TcpStream::connect(self.addr));
        if let Some(accepting) = self.accepting.take() {
            // A panic there was reported by its own hook.
            let _ = accepting.join();
        }
        for connection in &self.state.lock().connections {
            // The client may have closed it before.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

fn accept(listener: &TcpListener, script: &Arc<Script>, state: &Arc<Shared<State>>) {
    for (connection, stream) in listener.incoming().enumerate() {
        let (Ok(stream), false) = (stream, state.lock().stopped) else { return };
        state.update(|state| state.connections.extend(stream.try_clone()));
        let (script, state) = (Arc::clone(script), Arc::clone(state));
        thread::spawn(move || {
            // A client that leaves in the middle is what such a test is about.
            let _ = serve(&stream, connection, &script, &state);
        });
    }
}

fn serve(
    stream: &TcpStream,
    connection: usize,
    script: &Arc<Script>,
    state: &Arc<Shared<State>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = read_request(&mut reader, connection)? {
        let mut answer = script(&request);
        state.update(|state| state.requests.push(request));
        while let Answer::After(gate, next) = answer {
            gate.wait();
            answer = *next;
        }
        let Answer::Reply { status, headers, body } = answer else { break };
        write_reply(stream, status, &headers, &body)?;
    }
    stream.shutdown(Shutdown::Both)
}

fn read_request(
    reader: &mut BufReader<TcpStream>,
    connection: usize,
) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, path, headers, body: Vec::new(), connection };
    let length = request.header("content-length").and_then(|value| value.parse().ok());
    request.body.resize(length.unwrap_or(0), 0);
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}

fn write_reply(
    mut stream: &TcpStream,
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
) -> io::Result<()> {
    let mut reply = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        reply.push_str(&format!("{name}: {value}\r\n"));
    }
    reply.push_str("\r\n");
    stream.write_all(&[reply.as_bytes(), body].concat())
}
