//! One exchange: check, send on, send back.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, LOCATION};
use hyper::http::request;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use mcpmon_metrics::Ending;
use tokio_rustls::TlsConnector;

use super::body::{Download, Upload};
use super::connect::{self, Fault, Sender, connect};
use super::endpoint::Endpoint;
use super::headers::{end_to_end, text};
use super::hosts::AllowedHosts;
use super::upstream::Upstream;
use super::watch::{Feed, Watch};
use crate::observer::http::Fate;

/// How an answer of the tap's own begins.
pub(crate) const SAYS: &str = "mcp-tap: ";

/// What all connections share.
#[derive(Debug)]
pub struct Shared {
    routes: Vec<Route>,
    hosts: AllowedHosts,
}

/// A server, and the way to it.
pub struct Route {
    upstream: Arc<Upstream>,
    host: HeaderValue,
    tls: Option<TlsConnector>,
    feed: Option<Arc<Feed>>,
}

/// One client's connection, with the connections to servers that it needed.
#[derive(Debug)]
pub(super) struct Client {
    shared: Arc<Shared>,
    /// By the place of the route. Exchanges on one connection come one after the other.
    senders: Mutex<Vec<Option<Sender>>>,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.upstream.fmt(f)
    }
}

impl Route {
    /// The way to `upstream`; without a feed nothing is observed.
    ///
    /// # Errors
    /// When the platform's trust store cannot be used and the server wants TLS.
    pub fn new(upstream: Upstream, feed: Option<Feed>) -> Result<Self, rustls::Error> {
        let tls = if upstream.https { Some(connect::tls()?) } else { None };
        let host = HeaderValue::from_str(&upstream.authority)
            .expect("an authority that was parsed is a header's value");
        Ok(Self { upstream: Arc::new(upstream), host, tls, feed: feed.map(Arc::new) })
    }
}

impl Shared {
    /// The routes, and the names under which they may be asked for.
    pub fn new(mut routes: Vec<Route>, hosts: AllowedHosts) -> Self {
        // The longest prefix that fits is meant; an empty one fits always.
        routes.sort_by_key(|route| std::cmp::Reverse(route.upstream.prefix.len()));
        Self { routes, hosts }
    }
}

impl Client {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let senders = shared.routes.iter().map(|_| None).collect();
        Self { shared, senders: Mutex::new(senders) }
    }

    pub(super) async fn handle(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Download>, Infallible> {
        if let Err(refusal) = self.shared.hosts.check(request.headers()) {
            return Ok(say(refusal.status, &refusal.detail));
        }
        let (parts, body) = request.into_parts();
        let asked = parts.uri.path_and_query().cloned();
        let asked = asked.as_ref().map_or("/", PathAndQuery::as_str);
        let found = self
            .shared
            .routes
            .iter()
            .enumerate()
            .find_map(|(place, route)| Some((place, route, route.upstream.target(asked)?)));
        let Some((place, route, target)) = found else {
            return Ok(say(StatusCode::NOT_FOUND, "no server is behind this path"));
        };
        let mut body = Upload::new(body);
        let mut watch = route.feed.as_ref().and_then(|feed| feed.begin(&parts, &target, &body));
        body.observe(watch.as_ref().map(Watch::copier));
        let is_stream = parts.method == Method::GET;
        let request = match passing(parts, body, route, &target) {
            Ok(request) => request,
            Err(error) => return Ok(say(StatusCode::BAD_REQUEST, &error.to_string())),
        };
        match self.send(place, route, request).await {
            Ok(response) => Ok(back(response, route, watch, is_stream)),
            Err(fault) => {
                if let Some(watch) = &mut watch {
                    watch.end(Fate::Broken(fault.ending));
                }
                let Fault { ending, cause } = fault;
                tracing::debug!(server = route.upstream.name, cause, "no response");
                let late = matches!(ending, Ending::Http(504));
                let status =
                    if late { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
                Ok(say(status, &format!("no response from {}: {cause}", route.upstream.authority)))
            }
        }
    }

    /// Sends over the client's own connection to that server, or over a new one.
    async fn send(
        &self,
        place: usize,
        route: &Route,
        mut request: Request<Upload>,
    ) -> Result<Response<Incoming>, Fault> {
        let kept = self.senders()[place].take();
        if let Some(mut sender) = kept
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(request).await {
                Ok(response) => {
                    self.senders()[place] = Some(sender);
                    return Ok(response);
                }
                // The server closed it, and no byte of the request was written.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        let mut sender = match connect(&route.upstream, route.tls.as_ref()).await {
            Ok(sender) => sender,
            Err(fault) => {
                // So that the observer knows what failed, and the client may go on.
                request.into_body().drain().await;
                return Err(fault);
            }
        };
        let response = sender.send_request(request).await?;
        self.senders()[place] = Some(sender);
        Ok(response)
    }

    fn senders(&self) -> std::sync::MutexGuard<'_, Vec<Option<Sender>>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The request as the server gets it.
fn passing(
    mut parts: request::Parts,
    body: Upload,
    route: &Route,
    target: &str,
) -> Result<Request<Upload>, hyper::http::Error> {
    if parts.uri.path_and_query().is_none_or(|asked| asked.as_str() != target)
        || parts.uri.authority().is_some()
    {
        parts.uri = Uri::try_from(target)?;
    }
    parts.version = Version::HTTP_11;
    parts.headers = end_to_end(parts.headers);
    parts.headers.insert(HOST, route.host.clone());
    Ok(Request::from_parts(parts, body))
}

/// The response as the client gets it.
fn back(
    response: Response<Incoming>,
    route: &Route,
    mut watch: Option<Watch>,
    is_stream: bool,
) -> Response<Download> {
    if let Some(watch) = &mut watch {
        watch.answered(&response);
    }
    let (mut parts, inner) = response.into_parts();
    parts.version = Version::HTTP_11;
    parts.headers = end_to_end(parts.headers);
    let moved = text(&parts.headers, LOCATION).and_then(|to| route.upstream.reference(to));
    if let Some(moved) = moved.and_then(|to| HeaderValue::try_from(to).ok()) {
        parts.headers.insert(LOCATION, moved);
    }
    let is_events = text(&parts.headers, CONTENT_TYPE)
        .is_some_and(|kind| kind.starts_with("text/event-stream"));
    let endpoint = (is_stream && is_events).then(|| Endpoint::new(Arc::clone(&route.upstream)));
    Response::from_parts(parts, Download::new(inner, watch, endpoint))
}

/// An answer of the tap's own.
fn say(status: StatusCode, text: &str) -> Response<Download> {
    let mut response = Response::new(Download::Said(Some(Bytes::from(format!("{SAYS}{text}\n")))));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
