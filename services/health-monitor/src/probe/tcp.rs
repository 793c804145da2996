//! Kind `tcp`: whether something takes connections there.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use mcpmon_coordination::incident::Failure;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::{Keys, Probe};
use crate::finding::{Finding, Unknown};

#[derive(Debug)]
struct Tcp {
    address: String,
}

pub(super) fn read(keys: &mut Keys<'_>) -> Option<Box<dyn Probe>> {
    let address = keys.required("address", "Host and port, such as `redis:6379`.", address)?;
    Some(Box::new(Tcp { address }))
}

/// `host:port`; the host is resolved anew by each check.
fn address(text: String) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(1..)) => Ok(text),
        _ => Err("expected a host and a port, such as `redis:6379` or `[::1]:6379`".to_owned()),
    }
}

#[async_trait]
impl Probe for Tcp {
    async fn check(&self, deadline: Duration) -> Finding {
        let asked = Instant::now();
        match timeout(deadline, TcpStream::connect(&self.address)).await {
            Ok(Ok(_)) => Finding::ok(asked.elapsed()),
            Ok(Err(error)) => refused(&error),
            Err(_) => Finding::fail(
                Failure::Timeout,
                format!("no connection within {} s", deadline.as_secs_f64()),
            ),
        }
    }
}

/// What an error of the connection says of the component.
pub(super) fn refused(error: &io::Error) -> Finding {
    // tokio gives a resolver's fault without a code of the system.
    if crate::probe::is_our_fault(error) {
        return Finding::unknown(Unknown::OurSide, error.to_string());
    }
    let failure = match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::ConnectionRefused,
        io::ErrorKind::TimedOut => Failure::Timeout,
        _ => Failure::Other,
    };
    Finding::fail(failure, error.to_string())
}
