//! Kind `tcp`: whether something takes connections there.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use mcpmon_coordination::incident::Failure;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::{Keys, Probe, dns, own_time};
use crate::finding::{Finding, Unknown};

const EXPECTED: &str = "expected a host and a port, such as `redis:6379` or `[::1]:6379`";

#[derive(Debug)]
struct Tcp {
    host: String,
    port: u16,
}

pub(super) fn read(keys: &mut Keys<'_>) -> Option<Box<dyn Probe>> {
    // The outer error shows the value, which must not happen when it may be a URL with a password.
    let address =
        keys.required("address", "Host and port, such as `redis:6379`.", |text: String| {
            if text.contains('@') { Ok(None) } else { address(&text).map(Some) }
        })?;
    let Some((host, port)) = address else {
        keys.reject("address", format!("holds a user or a password; {EXPECTED}"));
        return None;
    };
    Some(Box::new(Tcp { host, port }))
}

/// `host:port`; the host is resolved anew by each check.
fn address(text: &str) -> Result<(String, u16), &'static str> {
    let (host, port) = text.rsplit_once(':').ok_or(EXPECTED)?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    // `::1:6379` could be an address alone, and a URL's scheme is none of ours.
    let plain = !host.contains([':', '/', '[', ']']);
    let sound = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control());
    match port.parse() {
        Ok(port @ 1..) if sound && (bracketed || plain) => Ok((host.to_owned(), port)),
        _ => Err(EXPECTED),
    }
}

#[async_trait]
impl Probe for Tcp {
    async fn check(&self, deadline: Duration) -> Finding {
        let (limit, start) = (own_time(deadline), Instant::now());
        let asked = format!("connect to {}:{}", self.host, self.port);
        let addresses = match dns::addresses(&self.host, self.port, limit, &asked).await {
            Ok(addresses) => addresses,
            Err(finding) => return finding,
        };
        let rest = limit.saturating_sub(start.elapsed());
        match timeout(rest, TcpStream::connect(&addresses[..])).await {
            Ok(Ok(_)) => Finding::ok(start.elapsed()),
            Ok(Err(error)) => refused(&asked, &error),
            Err(_) => Finding::fail(
                Failure::Timeout,
                format!("{asked}: no connection within {} s", limit.as_secs_f64()),
            ),
        }
    }
}

/// What an error of the connection says of the component.
pub(super) fn refused(asked: &str, error: &io::Error) -> Finding {
    let text = format!("{asked}: {error}");
    if mcpmon_mcp_client::is_ours(error) {
        return Finding::unknown(Unknown::OurSide, text);
    }
    let failure = match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::ConnectionRefused,
        io::ErrorKind::TimedOut => Failure::Timeout,
        _ => Failure::Other,
    };
    Finding::fail(failure, text)
}

#[cfg(test)]
mod tests;
