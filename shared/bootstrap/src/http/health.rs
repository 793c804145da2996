//! Asks a service of this machine whether it is ready: `mcp-exporter --health`. It is the health
//! check of containers, whose image holds one program and no shell.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);

/// The reply is a few hundred bytes; whoever sends more is none of our services.
const LONGEST_REPLY: u64 = 16 * 1024;

/// Why a service is not known to be ready.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Nobody answered.
    #[error("no answer from http://{address}/health/ready")]
    Silent {
        /// Who was asked.
        address: SocketAddr,
        /// What came instead of an answer.
        #[source]
        source: io::Error,
    },
    /// The answer says what is pending.
    #[error("not ready: {0}")]
    Pending(String),
}

/// Asks the service that listens on `address`, over loopback where it listens everywhere.
///
/// # Errors
/// When it does not say within 2 s that it is ready.
pub fn check(address: SocketAddr) -> Result<(), Unhealthy> {
    let address = reachable(address);
    let reply = ask(address).map_err(|source| Unhealthy::Silent { address, source })?;
    let status = reply.split(' ').nth(1);
    if status == Some("200") {
        return Ok(());
    }
    let body = reply.split_once("\r\n\r\n").map_or(reply.as_str(), |(_, body)| body);
    Err(Unhealthy::Pending(body.trim().to_owned()))
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // In HTTP/1.0 the end of the reply is the end of the connection.
    stream.write_all(b"GET /health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut reply = Vec::new();
    stream.take(LONGEST_REPLY).read_to_end(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

/// Where this machine reaches what is bound there.
#[must_use]
pub fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn server(reply: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).unwrap();
            assert!(request[..read].starts_with(b"GET /health/ready HTTP/1.0\r\n"));
            stream.write_all(reply.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn a_200_is_healthy() {
        check(server("HTTP/1.0 200 OK\r\n\r\n{}")).unwrap();
    }

    #[test]
    fn what_is_pending_is_told() {
        let reply = "HTTP/1.0 503 Service Unavailable\r\n\r\n{\"pending\":[\"listener\"]}\n";
        let error = check(server(reply)).unwrap_err();
        assert_eq!(error.to_string(), "not ready: {\"pending\":[\"listener\"]}");
    }

    #[test]
    fn silence_is_told() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = check(address).unwrap_err();
        assert_eq!(error.to_string(), format!("no answer from http://{address}/health/ready"));
    }

    #[test]
    fn who_listens_everywhere_is_asked_over_loopback() {
        let of = |address: &str| reachable(address.parse().unwrap()).to_string();
        assert_eq!(of("0.0.0.0:9090"), "127.0.0.1:9090");
        assert_eq!(of("[::]:9090"), "[::1]:9090");
        assert_eq!(of("10.0.0.7:1"), "10.0.0.7:1");
    }
}
