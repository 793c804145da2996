//! `GET /metrics`: encoded off the workers, one at a time, on a thread that gives way.

use std::{io, thread};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use mcpmon_bootstrap::http::Problem;
use mcpmon_metrics::TEXT_FORMAT;
use tokio::sync::oneshot;

use super::{Shared, may_read};

pub(super) async fn metrics(state: Shared, request: HttpRequest) -> Result<HttpResponse, Problem> {
    may_read(&state, &request)?;
    // The lock goes along, so that a client that hangs up does not let a second scrape begin.
    let turn = state.scrape.clone().lock_owned().await;
    let metrics = state.metrics.clone();
    let text = yielding(move || {
        let _turn = turn;
        metrics.encode()
    });
    let failed = |why: String| {
        tracing::error!(why, "a scrape failed");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why)
    };
    let text = text.map_err(|e| failed(format!("no thread for the scrape: {e}")))?.await;
    let text = text.map_err(|_| failed("the scrape panicked".into()))?;
    let text = text.map_err(|e| failed(e.to_string()))?;
    Ok(HttpResponse::Ok().content_type(TEXT_FORMAT).body(text))
}

/// Computes on a thread of its own, which leaves a core that is short to the workers: who scrapes
/// can wait for some milliseconds, and the calls that are posted meanwhile should not.
fn yielding<T: Send + 'static>(
    compute: impl FnOnce() -> T + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let (done, result) = oneshot::channel();
    thread::Builder::new().name("scrape".into()).spawn(move || {
        // On Linux this is the thread's own priority. Without it the scrape is as quick and less
        // polite.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::nice(10);
        // Nobody waits any longer when the client hung up.
        let _ = done.send(compute());
    })?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;

    use actix_web::test::TestRequest;
    use actix_web::web::Data;
    use futures_util::poll;
    use mcpmon_bootstrap::Settings;

    use super::*;
    use crate::{Application, Config};

    #[tokio::test]
    async fn one_is_in_flight_at_a_time() {
        let mut config = Config::read(&mut Settings::empty());
        config.listen.address.set_port(0);
        let state = Data::from(Application::build(config).unwrap().state());

        let in_flight = state.scrape.clone().lock_owned().await;
        let mut waiting = pin!(metrics(state.clone(), TestRequest::get().to_http_request()));
        assert!(matches!(poll!(&mut waiting), Poll::Pending), "it begins beside another");
        drop(in_flight);
        assert_eq!(waiting.await.unwrap().status(), StatusCode::OK);
    }
}
