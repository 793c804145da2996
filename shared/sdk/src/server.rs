//! The in-process HTTP server: `GET /metrics` and `GET /health`, from the background thread.

use std::convert::Infallible;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use mcpmon_metrics::TEXT_FORMAT;
use tokio::sync::Semaphore;

use crate::page::Page;

/// Connections at one time; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 64;

/// How long a client may take over its request head, or stay silent between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause after a failed accept, which means that the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until the runtime ends, also to those who ask under one of the names.
pub(crate) async fn run(listener: TcpListener, page: Arc<Page>, names: Vec<String>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the metrics server cannot start"),
    };
    let names: Arc<[String]> = names.into();
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let permit = permits.clone().acquire_owned().await.expect("the semaphore is never closed");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the metrics server cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (page, names) = (page.clone(), names.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| std::future::ready(answer(&request, &page, &names)));
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "a connection to the metrics server broke");
            }
            drop(permit);
        });
    }
}

type Reply = Response<Full<Bytes>>;

fn answer(request: &Request<Incoming>, page: &Page, names: &[String]) -> Result<Reply, Infallible> {
    let (host, origin) = (request.headers().get(HOST), request.headers().get(ORIGIN));
    if !is_allowed_host(host, names) || !is_allowed_origin(origin, names) {
        let text = "Host or Origin is neither localhost, nor an address, nor an allowed name\n";
        return Ok(reply(StatusCode::FORBIDDEN, "text/plain", text.into()));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = reply(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "use GET\n".into());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refused);
    }
    Ok(match request.uri().path() {
        "/metrics" => match page.metrics() {
            Ok(text) => reply(StatusCode::OK, TEXT_FORMAT, text),
            Err(error) => {
                tracing::error!(%error, "the scrape failed");
                let text = format!("{error}\n");
                reply(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", text)
            }
        },
        "/health" => reply(StatusCode::OK, "application/json", page.health()),
        _ => reply(StatusCode::NOT_FOUND, "text/plain", "try /metrics or /health\n".into()),
    })
}

fn reply(status: StatusCode, content_type: &'static str, body: String) -> Reply {
    let mut reply = Response::new(Full::from(body));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// A web page that binds its own name to 127.0.0.1 sends that name: it is refused.
fn is_allowed_host(host: Option<&HeaderValue>, names: &[String]) -> bool {
    // HTTP/1.0 has no Host, and no browser speaks it.
    let Some(host) = host else { return true };
    host.to_str().is_ok_and(|host| is_allowed(host, names))
}

/// A page of another site that asks, which no scraper is.
fn is_allowed_origin(origin: Option<&HeaderValue>, names: &[String]) -> bool {
    let Some(origin) = origin else { return true };
    let authority = origin.to_str().ok().and_then(|origin| {
        origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
    });
    authority.is_some_and(|authority| is_allowed(authority, names))
}

fn is_allowed(host: &str, names: &[String]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let is_given =
        |given: &String| [host, name].iter().any(|text| text.eq_ignore_ascii_case(given));
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok()
        || names.iter().any(is_given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_names_addresses_and_given_names_are_served() {
        let names = ["tap".to_owned(), "metrics.example:9464".to_owned()];
        let is_allowed =
            |host: &str| is_allowed_host(Some(&HeaderValue::from_str(host).unwrap()), &names);
        for host in ["localhost", "LOCALHOST:9464", "127.0.0.1:9464", "[::1]:9464", "10.0.0.7"] {
            assert!(is_allowed(host), "{host}");
        }
        for host in ["tap", "TAP:80", "metrics.example:9464"] {
            assert!(is_allowed(host), "{host}");
        }
        for host in
            ["evil.example", "evil.example:9464", "localhost.evil.example", "metrics.example", ""]
        {
            assert!(!is_allowed(host), "{host}");
        }
        assert!(is_allowed_host(None, &[]));
        assert!(is_allowed_origin(None, &[]));
        for (origin, allowed) in [("http://localhost:9464", true), ("https://evil.example", false)]
        {
            let origin = HeaderValue::from_static(origin);
            assert_eq!(is_allowed_origin(Some(&origin), &names), allowed, "{origin:?}");
        }
        assert!(!is_allowed_origin(Some(&HeaderValue::from_static("null")), &names));
    }
}
