//! The last moments: what was observed is delivered, unless nobody is there to take it.
//!
//! The monitor tries again and again until its deadline, which is right for an exporter that is
//! restarting and wrong here: a client waits for this process to be gone. So an address that
//! refuses connections gets no time at all.

use std::io::{self, ErrorKind};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use mcpmon_sdk::Monitor;

/// How long the exit may wait for the exporter.
const FLUSH: Duration = Duration::from_secs(2);

/// How long an exporter may take to refuse.
const PROBE: Duration = Duration::from_millis(200);

/// Delivers what waits in `monitor`, and says what was lost. Without an exporter nothing waits.
pub(crate) fn flush(monitor: Monitor, exporter: Option<String>) {
    let Some(exporter) = exporter else { return };
    let (answer, answered) = mpsc::channel();
    // On a thread of its own, since the resolver keeps no deadline.
    let probe = thread::Builder::new()
        .name("probe".into())
        .spawn(move || _ = answer.send(refuses_connections(&exporter)));
    let refused = probe.is_ok() && answered.recv_timeout(PROBE).unwrap_or(false);
    if let Err(unsent) = monitor.shutdown(if refused { Duration::ZERO } else { FLUSH }) {
        tracing::warn!("{unsent}");
    }
}

fn refuses_connections(url: &str) -> bool {
    let Some(addresses) = authority(url).and_then(|peer| peer.to_socket_addrs().ok()) else {
        return false;
    };
    let mut attempts = addresses.map(|address| TcpStream::connect_timeout(&address, PROBE));
    let is_refused = |error: io::Error| error.kind() == ErrorKind::ConnectionRefused;
    attempts.all(|attempt| attempt.is_err_and(is_refused))
}

/// `host:port` of an address that the monitor has already accepted.
fn authority(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let peer = authority.rsplit_once('@').map_or(authority, |(_, peer)| peer);
    let has_port = peer.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Some(match scheme {
        _ if has_port => peer.to_owned(),
        "https" => format!("{peer}:443"),
        _ => format!("{peer}:80"),
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_authority_has_a_port() {
        for (url, expected) in [
            ("http://127.0.0.1:9090", "127.0.0.1:9090"),
            ("http://[::1]:9090/base", "[::1]:9090"),
            ("https://monitoring.example/", "monitoring.example:443"),
            ("http://user:pw@host", "host:80"),
        ] {
            assert_eq!(authority(url).as_deref(), Some(expected), "{url}");
        }
    }

    #[test]
    fn only_a_refusal_is_a_refusal() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        assert!(!refuses_connections(&url));
        drop(listener);
        assert!(refuses_connections(&url));
        assert!(!refuses_connections("http://name.invalid:1"));
    }
}
