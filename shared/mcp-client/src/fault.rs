//! What went wrong, in words that say whose fault it is.
//!
//! rmcp wraps the cause in several layers; here they are taken off once. A text is for people
//! and one line; it holds a bounded part of what the server sent, redacted.

use std::error::Error;
use std::io;
use std::time::Duration;

use mcpmon_metrics::redact;
use rmcp::ErrorData;
use rmcp::model::ProtocolVersion;
use rmcp::service::{ClientInitializeError, ServiceError};
use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::StreamableHttpError;

use crate::http::retry_after;
use crate::resolver::LookupError;

/// The code of a revision that the server does not speak.
const UNSUPPORTED_PROTOCOL_VERSION: i32 = -32022;
const METHOD_NOT_FOUND: i32 = -32601;

/// EMFILE, ENFILE, ENOMEM, EAGAIN, ENOBUFS, EADDRNOTAVAIL: we are out of something. ENETUNREACH:
/// this host has no route.
const OURS: [i32; 7] = [24, 23, 12, 11, 105, 99, 101];

/// Why a server could not be asked, or did not answer as an MCP server does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing listens there.
    #[error("the connection was refused")]
    Refused,
    /// The host's name does not resolve.
    #[error("the host's name does not resolve: {0}")]
    Dns(String),
    /// The server's certificate or its TLS is not accepted.
    #[error("TLS: {0}")]
    Tls(String),
    /// It did not answer in time.
    #[error("no answer to {asked} within {:.1} s", after.as_secs_f64())]
    Timeout {
        /// What it was asked.
        asked: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// It answered with a status that is no success.
    #[error("answers HTTP {0}")]
    Http(u16),
    /// The answer breaks off or is larger than anything we take.
    #[error("the answer cannot be read: {0}")]
    BadBody(String),
    /// It answers, but not as an MCP server does.
    #[error("answers, but not as an MCP server: {0}")]
    NotMcp(String),
    /// It speaks no revision of the protocol that we speak.
    #[error("no common revision of the protocol: {0}")]
    ProtocolMismatch(String),
    /// It wants to know who asks.
    #[error("answers HTTP {0}: a valid token is needed")]
    AuthRequired(u16),
    /// It asks to be left alone for a while.
    #[error("limits the rate of requests")]
    RateLimited {
        /// For how long, if it said.
        retry_after: Option<Duration>,
    },
    /// It only speaks HTTP+SSE, the transport of revision 2024-11-05.
    #[error("only speaks HTTP+SSE, the transport of 2024-11-05, which cannot be probed")]
    UnsupportedTransport,
    /// The program could not be started, for a reason of its own.
    #[error("cannot be started: {0}")]
    NotStarted(String),
    /// The program ended.
    #[error("{0}")]
    Exited(String),
    /// The request was answered with a JSON-RPC error.
    #[error("answers {asked} with error {code}: {message}")]
    Rpc {
        /// What it was asked.
        asked: &'static str,
        /// JSON-RPC's code.
        code: i32,
        /// Its text, redacted and short.
        message: String,
    },
    /// We lack something: descriptors, memory, a resolver.
    #[error("the monitor's own side: {0}")]
    OurSide(String),
    /// Anything else, such as a connection that was reset.
    #[error("{0}")]
    Other(String),
}

impl Fault {
    /// Whether the server does not know the method.
    pub(crate) fn is_method_not_found(&self) -> bool {
        matches!(self, Self::Rpc { code: METHOD_NOT_FOUND, .. })
    }

    /// A status that is no success.
    pub(crate) fn status(status: u16, after: Option<&str>) -> Self {
        match status {
            401 | 403 => Self::AuthRequired(status),
            429 => Self::RateLimited { retry_after: after.and_then(retry_after) },
            300..=399 => Self::Other(format!(
                "answers HTTP {status}, a redirect that is not followed: configure where it leads"
            )),
            _ => Self::Http(status),
        }
    }

    /// What opening a session ended with.
    pub(crate) fn of_opening(error: &ClientInitializeError) -> Self {
        match error {
            ClientInitializeError::LegacyFallbackFailed { fallback, .. } => {
                Self::of_opening(fallback)
            }
            ClientInitializeError::TransportError { error, .. } => Self::of_transport(error),
            ClientInitializeError::JsonRpcError(error) => match Self::of_rpc("initialize", error) {
                Self::Rpc { code, message, .. } => {
                    Self::NotMcp(format!("it refuses initialize with error {code}: {message}"))
                }
                fault => fault,
            },
            ClientInitializeError::NoCompatibleProtocolVersion { server_supported, .. } => {
                let theirs: Vec<_> =
                    server_supported.iter().take(8).map(ProtocolVersion::as_str).collect();
                Self::ProtocolMismatch(short(&format!("it speaks {}", theirs.join(", "))))
            }
            ClientInitializeError::ConnectionClosed(_) => {
                Self::NotMcp("it ended the connection before its first answer".to_owned())
            }
            ClientInitializeError::ConflictInitResponseId(..)
            | ClientInitializeError::UncorrelatedErrorResponse { .. } => {
                Self::NotMcp("it answers a request that was not made".to_owned())
            }
            ClientInitializeError::ExpectedInitResponse(_)
            | ClientInitializeError::ExpectedInitResult(_) => {
                Self::NotMcp("its first answer is none to initialize".to_owned())
            }
            error => Self::Other(short(&error.to_string())),
        }
    }

    /// What a request ended with.
    pub(crate) fn of_request(asked: &'static str, error: &ServiceError) -> Self {
        match error {
            ServiceError::McpError(error) => Self::of_rpc(asked, error),
            ServiceError::TransportSend(error) => Self::of_transport(error),
            ServiceError::TransportClosed => {
                Self::BadBody(format!("the connection ended before the answer to {asked}"))
            }
            ServiceError::UnexpectedResponse => {
                Self::NotMcp(format!("its answer to {asked} is none"))
            }
            error => Self::Other(short(&error.to_string())),
        }
    }

    fn of_rpc(asked: &'static str, error: &ErrorData) -> Self {
        let message = short(&error.message);
        let lower = message.to_ascii_lowercase();
        let code = error.code.0;
        if code == UNSUPPORTED_PROTOCOL_VERSION || lower.contains("protocol version") {
            Self::ProtocolMismatch(message)
        } else if lower.contains("rate limit") {
            // No revision has a code for it; servers use several.
            Self::RateLimited { retry_after: None }
        } else {
            Self::Rpc { asked, code, message }
        }
    }

    fn of_transport(error: &DynamicTransportError) -> Self {
        let error = error.error.as_ref();
        match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
            Some(error) => Self::of_http(error),
            None => Self::of_chain(error),
        }
    }

    fn of_http(error: &StreamableHttpError<reqwest::Error>) -> Self {
        match error {
            StreamableHttpError::Client(error) => Self::of_client(error),
            StreamableHttpError::HttpStatus(error) => {
                Self::status(error.status, error.retry_after.as_deref())
            }
            StreamableHttpError::AuthRequired(_) => Self::AuthRequired(401),
            StreamableHttpError::InsufficientScope(_) => Self::AuthRequired(403),
            StreamableHttpError::SessionExpired => Self::Http(404),
            StreamableHttpError::UnexpectedContentType(found) => Self::NotMcp(match found {
                Some(found) => {
                    short(&format!("its content is {found}, neither JSON nor an event stream"))
                }
                None => "its content has no type".to_owned(),
            }),
            // rmcp has two texts here: `HTTP <status>: <body>`, and what its parser says.
            StreamableHttpError::UnexpectedServerResponse(text) => match http_status(text) {
                Some(status) => Self::status(status, None),
                None => Self::NotMcp("its JSON is no JSON-RPC answer".to_owned()),
            },
            StreamableHttpError::ResponseBodyTooLarge { max_size } => {
                Self::BadBody(format!("it is larger than {max_size} bytes"))
            }
            StreamableHttpError::ReinitializationFailed(error) => Self::of_rpc("initialize", error),
            StreamableHttpError::Sse(_)
            | StreamableHttpError::UnexpectedEndOfStream
            | StreamableHttpError::Deserialize(_) => Self::BadBody(short(&error.to_string())),
            StreamableHttpError::TransportChannelClosed => {
                Self::BadBody("the connection ended before the answer".to_owned())
            }
            error => Self::Other(short(&error.to_string())),
        }
    }

    /// What our HTTP client says. Its own text would show the address; the causes below do not.
    pub(crate) fn of_client(error: &reqwest::Error) -> Self {
        match Self::of_chain(error) {
            Self::Other(text) if error.is_body() || error.is_decode() => Self::BadBody(text),
            fault => fault,
        }
    }

    /// The first cause that says something definite, else the innermost one's text.
    pub(crate) fn of_chain(error: &(dyn Error + 'static)) -> Self {
        let mut innermost = error;
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(fault) = Self::of_cause(error) {
                return fault;
            }
            innermost = error;
            next = error.source();
        }
        Self::Other(short(&innermost.to_string()))
    }

    fn of_cause(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(error) = error.downcast_ref::<LookupError>() {
            let text = short(&error.to_string());
            return Some(match error {
                LookupError::NoSuchName(_) | LookupError::Unanswered(_) => Self::Dns(text),
                LookupError::OurSide { .. } => Self::OurSide(text),
            });
        }
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(Self::Tls(short(&error.to_string())));
        }
        let error = error.downcast_ref::<io::Error>()?;
        if is_ours(error) {
            return Some(Self::OurSide(error.to_string()));
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Some(Self::Refused),
            // What an io::Error carries is not its source.
            _ => Self::of_cause(error.get_ref()?),
        }
    }
}

/// Whether we lack what the system should have given us, whichever probe asked for it.
#[must_use]
pub fn is_ours(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| OURS.contains(&code))
}

/// One line of what a server sent, redacted and short.
pub(crate) fn short(text: &str) -> String {
    const LONGEST: usize = 200;
    let text = redact::redact(text);
    let line: String = text
        .split_whitespace()
        .flat_map(|word| [" ", word])
        .skip(1)
        .flat_map(str::chars)
        .filter(|c| !c.is_control())
        .take(LONGEST + 1)
        .collect();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The status in `HTTP 404 Not Found: …`.
fn http_status(text: &str) -> Option<u16> {
    text.strip_prefix("HTTP ")?.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_a_server_is_short_redacted_and_on_one_line() {
        let text = format!("GET http://u:s3cret@host/\nfailed\u{7} {}", "x ".repeat(999));
        let line = short(&text);
        assert!(line.starts_with("GET ") && line.ends_with('…'), "{line}");
        assert!(!line.contains("s3cret") && !line.contains(['\n', '\u{7}']), "{line}");
        assert_eq!(line.chars().count(), 201);
    }

    #[test]
    fn a_cause_is_found_below_other_errors() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(Fault::of_chain(&io::Error::other(refused)), Fault::Refused);
        let ours = Fault::of_chain(&io::Error::from_raw_os_error(24));
        assert!(matches!(ours, Fault::OurSide(_)), "{ours:?}");
        let no_route = Fault::of_chain(&io::Error::from_raw_os_error(101));
        assert!(matches!(no_route, Fault::OurSide(_)), "{no_route:?}");
        let tls = Fault::of_chain(&io::Error::other(rustls::Error::DecryptError));
        assert!(matches!(tls, Fault::Tls(_)), "{tls:?}");
    }

    #[test]
    fn a_rate_limit_is_known_by_its_words() {
        let error = |code, message: &'static str| {
            ServiceError::McpError(ErrorData::new(rmcp::model::ErrorCode(code), message, None))
        };
        let fault = Fault::of_request("tools/list", &error(-32000, "Rate limit exceeded"));
        assert_eq!(fault, Fault::RateLimited { retry_after: None });
        let fault = Fault::of_request("tools/list", &error(-32603, "boom"));
        assert!(matches!(fault, Fault::Rpc { code: -32603, .. }), "{fault:?}");
    }
}
