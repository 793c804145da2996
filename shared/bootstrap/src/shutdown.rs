//! The end of a service: a future that resolves when it is asked for, and a drain with a bound.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// Listens for SIGTERM and SIGINT from this call on, not only from the first poll, so that a
/// signal during the start is not lost. The future gives the signal's name.
///
/// # Errors
/// When the system refuses the handlers.
///
/// # Panics
/// Outside of a Tokio runtime with I/O.
pub fn requested() -> io::Result<impl Future<Output = &'static str> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// Lets `work` come to its end within `grace`. `None` when it did not; that is logged, and the
/// work is dropped.
pub async fn drain<T>(what: &str, grace: Duration, work: impl Future<Output = T>) -> Option<T> {
    let done = tokio::time::timeout(grace, work).await.ok();
    if done.is_none() {
        let grace = grace.as_secs_f64();
        tracing::warn!(what, grace_seconds = grace, "not drained in time, dropped");
    }
    done
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::low_level::raise;

    use super::*;

    #[tokio::test]
    async fn both_signals_ask_for_the_end() {
        // Raised before the first poll: the handlers must hold already.
        let asked = requested().unwrap();
        raise(SIGTERM).unwrap();
        assert_eq!(asked.await, "SIGTERM");

        let asked = requested().unwrap();
        raise(SIGINT).unwrap();
        assert_eq!(asked.await, "SIGINT");
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_ends_with_the_work_or_with_the_grace_period() {
        let grace = Duration::from_secs(5);
        let start = tokio::time::Instant::now();
        assert_eq!(drain("queue", grace, ready(7)).await, Some(7));
        assert_eq!(start.elapsed(), Duration::ZERO);

        assert_eq!(drain("queue", grace, pending::<()>()).await, None);
        assert_eq!(start.elapsed(), grace);
    }
}
