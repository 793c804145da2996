//! Asks a tap of this machine whether it serves: `mcp-tap --health`, the health check of
//! containers, whose image holds one program and no shell.
//!
//! Every path of the listener is the servers', so none is left to ask for. But a request without
//! `Host` is refused by the tap itself, before it looks for a server: a tap that says so serves,
//! and nobody behind it has noticed. How the servers are is not the question here; one that is away
//! is no reason to restart the tap.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::clock::Clock;
use crate::http::SAYS;

const TIMEOUT: Duration = Duration::from_secs(2);

/// The refusal is a few hundred bytes; whoever sends more is no tap.
const LONGEST_REPLY: usize = 16 * 1024;

/// Why there is no tap that serves.
#[derive(Debug, thiserror::Error)]
pub enum Unwell {
    /// Nobody answered.
    #[error("no answer from http://{address}; expected a tap there, see --listen")]
    Silent {
        /// Who was asked.
        address: SocketAddr,
        /// What came instead of an answer.
        source: io::Error,
    },
    /// Somebody else answered.
    #[error("what answers at http://{0} is no tap; expected one there, see --listen")]
    Stranger(SocketAddr),
}

/// Asks the tap that listens on `address`, over loopback where it listens everywhere.
///
/// # Errors
/// When no tap answers within 2 s.
pub fn check(address: SocketAddr) -> Result<(), Unwell> {
    let address = reachable(address);
    let reply = ask(address).map_err(|source| Unwell::Silent { address, source })?;
    let body = reply.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    if body.starts_with(SAYS) { Ok(()) } else { Err(Unwell::Stranger(address)) }
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let clock = Clock::start();
    let left = || {
        let left = TIMEOUT.checked_sub(clock.now()).filter(|left| !left.is_zero());
        left.ok_or_else(|| io::Error::from(ErrorKind::TimedOut))
    };
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_write_timeout(Some(left()?))?;
    // In HTTP/1.0 the end of the reply is the end of the connection.
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let (mut reply, mut part) = (Vec::new(), [0; 1024]);
    while reply.len() < LONGEST_REPLY {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut part)? {
            0 => break,
            length => reply.extend_from_slice(&part[..length]),
        }
    }
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

/// Where this machine reaches what listens there.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
