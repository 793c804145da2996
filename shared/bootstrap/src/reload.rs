//! SIGHUP, which asks a service to read its configuration again.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Listens for SIGHUP from this call on: announce the service after it, for the signal ends a
/// process that does not listen. One request at a time waits; it will read what there is then.
///
/// # Errors
/// When the system refuses the handler.
///
/// # Panics
/// Outside of a Tokio runtime with I/O.
pub fn requested() -> io::Result<mpsc::Receiver<()>> {
    let mut hangups = signal(SignalKind::hangup())?;
    let (ask, requests) = mpsc::channel(1);
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            if let Err(TrySendError::Closed(())) = ask.try_send(()) {
                break;
            }
        }
    });
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use signal_hook::consts::SIGHUP;
    use signal_hook::low_level::raise;

    use super::*;

    #[tokio::test]
    async fn a_hangup_asks() {
        let mut requests = requested().unwrap();
        raise(SIGHUP).unwrap();
        assert_eq!(requests.recv().await, Some(()));
        raise(SIGHUP).unwrap();
        assert_eq!(requests.recv().await, Some(()));
    }
}
