//! Sockets with a deadline, for both ends.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

const PATIENCE: Duration = Duration::from_secs(20);

/// One end of a connection.
pub(crate) struct Wire {
    stream: TcpStream,
    /// Read and not yet asked for.
    ahead: Vec<u8>,
}

/// A server that does what a test says.
pub(crate) struct Origin(TcpListener);

impl Origin {
    pub(crate) fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn authority(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.authority())
    }

    pub(crate) fn accept(&self) -> Wire {
        self.0.set_nonblocking(true).unwrap();
        let deadline = SystemTime::now() + PATIENCE;
        loop {
            let accepted = self.0.accept();
            if accepted.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
                assert!(SystemTime::now() < deadline, "nobody connects");
                sleep(Duration::from_millis(2));
                continue;
            }
            let (stream, _) = accepted.unwrap();
            stream.set_nonblocking(false).unwrap();
            return Wire::new(stream);
        }
    }
}

impl Wire {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, ahead: Vec::new() }
    }

    pub(crate) fn connect(address: &str) -> Self {
        Self::new(TcpStream::connect(address).unwrap())
    }

    /// Another handle of the same connection, to write while this one reads.
    pub(crate) fn again(&self) -> Self {
        Self::new(self.stream.try_clone().unwrap())
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Everything up to and with `end`.
    pub(crate) fn until(&mut self, end: &str) -> String {
        loop {
            let found = self.ahead.windows(end.len()).position(|w| w == end.as_bytes());
            if let Some(position) = found {
                let rest = self.ahead.split_off(position + end.len());
                return String::from_utf8(std::mem::replace(&mut self.ahead, rest)).unwrap();
            }
            assert!(self.more(), "it ended: {:?}", String::from_utf8_lossy(&self.ahead));
        }
    }

    /// The head of a request or a response.
    pub(crate) fn head(&mut self) -> String {
        self.until("\r\n\r\n")
    }

    pub(crate) fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.ahead.len() < length {
            assert!(self.more(), "it ended: {:?}", String::from_utf8_lossy(&self.ahead));
        }
        let rest = self.ahead.split_off(length);
        std::mem::replace(&mut self.ahead, rest)
    }

    /// A whole message by its `Content-Length`: head and body.
    pub(crate) fn message(&mut self) -> (String, String) {
        let head = self.head();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse().unwrap())
        });
        let body = self.exactly(length.unwrap_or(0));
        (head, String::from_utf8(body).unwrap())
    }

    /// Waits for the other side's end and gives what came before it.
    pub(crate) fn rest(&mut self) -> String {
        while self.more() {}
        String::from_utf8_lossy(&std::mem::take(&mut self.ahead)).into_owned()
    }

    /// Says that nothing more will be sent.
    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Closes so that the other side gets a reset.
    pub(crate) fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }

    fn more(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        let read = self.stream.read(&mut buffer);
        if read.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset) {
            return false;
        }
        let length = read.unwrap();
        self.ahead.extend_from_slice(&buffer[..length]);
        length > 0
    }
}
