//! A small HTTP client: one connection, one request at a time, so that what is measured is the
//! server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::Instant;

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(address: &str) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request and reads the reply, which has to be a success; gives its body.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Vec<u8>> {
        self.exchange_and(request, |_, _| {})
    }

    /// The same, and shows the reply's headers.
    pub(crate) fn exchange_and(
        &mut self,
        request: &[u8],
        mut each: impl FnMut(&str, &str),
    ) -> anyhow::Result<Vec<u8>> {
        self.0.get_mut().write_all(request).context("cannot send a request")?;
        let status = self.line()?;
        let (mut length, mut chunked) = (None, false);
        loop {
            let header = self.line()?;
            if header.is_empty() {
                break;
            }
            let Some((name, value)) = header.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse().context("Content-Length is no number")?);
            }
            each(name, value.trim());
            chunked |= name.eq_ignore_ascii_case("transfer-encoding") && value.trim() == "chunked";
        }
        let body = match length {
            Some(length) => self.exactly(length)?,
            None if chunked => self.chunks()?,
            // HTTP/1.0: to the end.
            None => {
                let mut body = Vec::new();
                self.0.read_to_end(&mut body).context("cannot read a reply")?;
                body
            }
        };
        let good = status.split(' ').nth(1).is_some_and(|code| code.starts_with('2'));
        ensure!(good, "the reply is {status}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    }

    fn chunks(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let length = self.line()?;
            let length = usize::from_str_radix(&length, 16).context("a chunk has no length")?;
            body.extend(self.exactly(length)?);
            // What ends a chunk, and after the last one the trailers that nobody sends.
            self.line()?;
            if length == 0 {
                return Ok(body);
            }
        }
    }

    fn exactly(&mut self, length: usize) -> anyhow::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).context("cannot read a reply")?;
        Ok(bytes)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).context("cannot read a reply")?;
        ensure!(read > 0, "the server closed the connection");
        Ok(line.trim_end().to_owned())
    }
}

/// The text of a GET.
pub(crate) fn get(address: &str, path: &str) -> anyhow::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let body = Connection::open(address)?.exchange(request.as_bytes())?;
    String::from_utf8(body).with_context(|| format!("GET {path} gave no text"))
}

/// Waits for a server that does not say when it listens.
pub(crate) fn await_answer(address: &str, path: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while get(address, path).is_err() {
        ensure!(Instant::now() < deadline, "nobody answers at {address}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A POST, ready to send.
pub(crate) fn post(address: &str, path: &str, content_type: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_reply_in_chunks_is_read_whole_and_the_connection_goes_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut asked = BufReader::new(stream);
            for reply in [
                "Transfer-Encoding: chunked\r\n\r\n6\r\nprobe_\r\nA\r\nsuccess 1\n\r\n0\r\n\r\n",
                "Content-Length: 2\r\n\r\nok",
            ] {
                asked.read_line(&mut String::new()).unwrap();
                let reply = format!("HTTP/1.1 200 OK\r\n{reply}");
                asked.get_mut().write_all(reply.as_bytes()).unwrap();
            }
        });
        let mut connection = Connection::open(&address).unwrap();
        assert_eq!(connection.exchange(b"first\r\n").unwrap(), b"probe_success 1\n");
        assert_eq!(connection.exchange(b"second\r\n").unwrap(), b"ok");
        server.join().unwrap();
    }
}
