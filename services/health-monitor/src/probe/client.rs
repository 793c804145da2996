//! The HTTP client of all probes: one for the process, a fresh connection for each request.
//!
//! It asks once, reads no more of the reply than was allowed, ends by the deadline, and turns
//! whatever goes wrong into a finding that names what was asked and what came back.

mod tls;
mod trouble;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mcpmon_coordination::incident::Failure;
use mcpmon_mcp_client::resolver;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::tls::TlsInfo;
use reqwest::{StatusCode, Url};
use rustls::pki_types::CertificateDer;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, timeout};

use super::dns;
use crate::finding::{Finding, Unknown};

const REDIRECTS: usize = 5;

/// A server that sends us away for longer is asked again after this time.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

tokio::task_local! {
    /// How far the request of this task has come.
    static PROGRESS: Arc<Progress>;
}

/// Asks over HTTP.
#[derive(Debug)]
pub(super) struct Client {
    following: reqwest::Client,
    staying: reqwest::Client,
    /// Why no certificate can be checked, if so.
    no_trust: Option<String>,
}

/// What to ask, and how much to take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) url: &'a Url,
    pub(super) token: Option<&'a SecretString>,
    pub(super) follow_redirects: bool,
    /// The body is read up to here.
    pub(super) max_body: usize,
    pub(super) deadline: Duration,
}

/// A request as an error names it. Most checks are good and need no text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a>(pub(super) &'a Url);

/// What came back.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Whether the body ended within what was to be read.
    pub(super) whole: bool,
    /// The server's own certificate as DER; none over plain HTTP.
    pub(super) certificate: Option<Vec<u8>>,
    /// From the question to the end of the body.
    pub(super) latency: Duration,
}

#[derive(Debug, Default)]
struct Progress {
    resolving: AtomicBool,
    /// The status of the reply; 0 before it.
    status: AtomicU16,
    body: AtomicUsize,
}

/// The system's resolver, which tells its own trouble from a name's, and says while it works.
struct Resolver;

impl Client {
    /// The client of this process.
    pub(super) fn shared() -> Arc<Self> {
        static SHARED: OnceLock<Arc<Client>> = OnceLock::new();
        Arc::clone(SHARED.get_or_init(|| Arc::new(Self::trusting(Vec::new()))))
    }

    /// A client that trusts these roots beside the platform's.
    pub(super) fn trusting(roots: Vec<CertificateDer<'static>>) -> Self {
        let (tls, no_trust) = tls::config(roots);
        let client = |policy| {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .tls_info(true)
                .dns_resolver(Resolver)
                .redirect(policy)
                .referer(false)
                // A monitor must see what its own host sees, not what a proxy remembers.
                .no_proxy()
                // A component that takes no new connections is down for everybody else.
                .pool_max_idle_per_host(0)
                // It ends with the reply or the deadline; each of these would be a call to the system.
                .tcp_keepalive(None)
                .tcp_keepalive_interval(None)
                .tcp_keepalive_retries(None)
                .tcp_user_timeout(None)
                .user_agent(concat!("mcp-health-monitor/", env!("CARGO_PKG_VERSION")))
                .build()
                .expect("TLS and the resolver are handed over, nothing is read from the system")
        };
        Self {
            following: client(Policy::limited(REDIRECTS)),
            staying: client(Policy::none()),
            no_trust,
        }
    }

    /// Asks, and waits for the reply with as much of its body as is wanted.
    ///
    /// # Errors
    /// When there is no such reply by the deadline: what that says of the component.
    pub(super) async fn get(&self, request: Request<'_>) -> Result<Reply, Finding> {
        let asked = Asked(request.url);
        if let (Some(why), "https") = (&self.no_trust, request.url.scheme()) {
            let error = format!("{asked}: no certificate can be checked here: {why}");
            return Err(Finding::unknown(Unknown::OurSide, error));
        }
        let progress = Arc::new(Progress::default());
        let asking = PROGRESS.scope(Arc::clone(&progress), self.ask(&request, &progress));
        match timeout(request.deadline, asking).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => {
                Err(trouble::finding(&asked.to_string(), request.url.scheme(), &error))
            }
            Err(_) if progress.resolving.load(Ordering::Relaxed) => {
                let host = request.url.host_str().unwrap_or_default();
                Err(dns::too_slow(host, &asked.to_string(), request.deadline).await)
            }
            Err(_) => Err(progress.too_late(&asked.to_string(), request.deadline)),
        }
    }

    async fn ask(
        &self,
        request: &Request<'_>,
        progress: &Progress,
    ) -> Result<Reply, reqwest::Error> {
        let start = Instant::now();
        let client = if request.follow_redirects { &self.following } else { &self.staying };
        let mut asking = client.get(request.url.clone());
        if let Some(token) = request.token {
            asking = asking.bearer_auth(token.expose_secret());
        }
        let mut response = asking.send().await?;
        progress.status.store(response.status().as_u16(), Ordering::Relaxed);
        let certificate = response
            .extensions()
            .get::<TlsInfo>()
            .and_then(|tls| tls.peer_certificate().map(<[u8]>::to_vec));
        let (mut body, mut whole) = (Vec::new(), false);
        while body.len() < request.max_body {
            let Some(chunk) = response.chunk().await? else {
                whole = true;
                break;
            };
            body.extend_from_slice(&chunk[..chunk.len().min(request.max_body - body.len())]);
            progress.body.store(body.len(), Ordering::Relaxed);
        }
        Ok(Reply {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body,
            whole,
            certificate,
            latency: start.elapsed(),
        })
    }
}

impl Reply {
    /// How long the server wants to be left alone, at most an hour; in seconds or as a date.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = match text.parse().map(Duration::from_secs) {
            Ok(wait) => wait,
            // A date that has passed means now.
            Err(_) => {
                let now = std::time::SystemTime::now();
                httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()
            }
        };
        Some(wait.min(LONGEST_RETRY_AFTER))
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("whole", &self.whole)
            .finish_non_exhaustive()
    }
}

impl Progress {
    fn too_late(&self, asked: &str, deadline: Duration) -> Finding {
        let seconds = deadline.as_secs_f64();
        let error = match (self.status.load(Ordering::Relaxed), self.body.load(Ordering::Relaxed)) {
            (0, _) => format!("{asked}: no answer within {seconds} s"),
            (status, came) => format!(
                "{asked}: it answered {status}, but the body did not end within {seconds} s; \
                 {came} bytes of it came"
            ),
        };
        Finding::fail(Failure::Timeout, error)
    }
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GET {}", shown(self.0))
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let note = |resolving| {
                // Outside of a request's task there is nobody to tell.
                let _ = PROGRESS.try_with(|p| p.resolving.store(resolving, Ordering::Relaxed));
            };
            note(true);
            let found = resolver::lookup(name.as_str()).await;
            note(false);
            // The client puts the URL's port in the place of 0.
            let addresses = found?.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

/// A URL as an error may show it: without credentials, query and fragment.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // They fail for URLs that cannot have any.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}
