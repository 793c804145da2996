//! The one table that says how a finished call is written.

use crate::label::{AuthFailure, ErrorType, Reason, Status};

/// How a call ended, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The tool answered without `isError`.
    Success,
    /// The call failed.
    Error(ErrorType, Reason),
    /// A deadline passed before the reply.
    Timeout,
    /// The client withdrew the call.
    Cancelled,
}

impl Outcome {
    /// The outcome's `status` label.
    pub fn status(self) -> Status {
        match self {
            Self::Success => Status::Success,
            Self::Error(..) => Status::Error,
            Self::Timeout => Status::Timeout,
            Self::Cancelled => Status::Cancelled,
        }
    }

    /// The outcome as the `error_type` of an operation; none for a success.
    pub fn error_type(self) -> Option<&'static str> {
        use crate::label::Label;
        match self {
            Self::Success => None,
            Self::Error(kind, _) => Some(kind.as_str()),
            Self::Timeout => Some(Status::Timeout.as_str()),
            Self::Cancelled => Some(Status::Cancelled.as_str()),
        }
    }

    /// The refusal that is counted beside a call that failed for lack of rights.
    pub fn auth_failure(self) -> Option<AuthFailure> {
        match self {
            Self::Error(ErrorType::AuthError, Reason::Forbidden) => {
                Some(AuthFailure::InsufficientScope)
            }
            Self::Error(ErrorType::AuthError, _) => Some(AuthFailure::InvalidToken),
            _ => None,
        }
    }

    /// Whether an upstream's rate limit is counted beside the call.
    pub fn is_rate_limited(self) -> bool {
        matches!(self, Self::Error(ErrorType::RateLimited, _))
    }
}

/// What an observer saw at the end of a call, before it is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending<'a> {
    /// A JSON-RPC result; `is_error` is the result's `isError`, absent means false.
    Result { is_error: bool },
    /// A JSON-RPC error. Servers without a rate-limit code say so in the message.
    RpcError { code: i64, message: &'a str },
    /// An HTTP status that is neither 2xx nor carries a JSON-RPC body.
    Http(u16),
    /// The stream ended, the process exited.
    Eof,
    /// The connection was reset.
    Reset,
    /// Nobody listened.
    Refused,
    /// The peer's name has no address.
    Unresolved,
    /// TLS could not be agreed on.
    Untrusted,
    /// No reply within the pending table's time.
    Expired,
    /// The handler panicked.
    Panicked,
    /// The client withdrew the call.
    Cancelled,
    /// The observer's own deadline passed.
    Deadline,
}

impl From<Ending<'_>> for Outcome {
    fn from(ending: Ending<'_>) -> Self {
        use ErrorType as E;
        use Reason as R;
        match ending {
            Ending::Result { is_error: false } => Self::Success,
            Ending::Result { is_error: true } => Self::Error(E::ToolError, R::IsError),
            Ending::RpcError { code, message } => rpc_error(code, message),
            Ending::Http(401) => Self::Error(E::AuthError, R::Unauthorized),
            Ending::Http(403) => Self::Error(E::AuthError, R::Forbidden),
            Ending::Http(429) => Self::Error(E::RateLimited, R::RateLimit),
            Ending::Http(400..=499) => Self::Error(E::RpcError, R::Upstream4xx),
            Ending::Http(_) => Self::Error(E::TransportError, R::Upstream5xx),
            Ending::Eof => Self::Error(E::TransportError, R::Eof),
            Ending::Reset => Self::Error(E::TransportError, R::Reset),
            Ending::Refused => Self::Error(E::TransportError, R::Refused),
            Ending::Unresolved => Self::Error(E::TransportError, R::Dns),
            Ending::Untrusted => Self::Error(E::TransportError, R::Tls),
            Ending::Expired => Self::Error(E::Abandoned, R::Expired),
            Ending::Panicked => Self::Error(E::InternalError, R::Panic),
            Ending::Cancelled => Self::Cancelled,
            Ending::Deadline => Self::Timeout,
        }
    }
}

fn rpc_error(code: i64, message: &str) -> Outcome {
    use ErrorType as E;
    use Reason as R;
    match code {
        -32602 => Outcome::Error(E::ValidationError, R::InvalidParams),
        -32700 => Outcome::Error(E::RpcError, R::Parse),
        -32600 => Outcome::Error(E::RpcError, R::InvalidRequest),
        -32601 => Outcome::Error(E::RpcError, R::MethodNotFound),
        -32603 => Outcome::Error(E::RpcError, R::Internal),
        // The range that MCP leaves to implementations; fastmcp says "Rate limit exceeded" here.
        -32019..=-32000 if mentions_rate_limit(message) => {
            Outcome::Error(E::RateLimited, R::RateLimit)
        }
        _ => Outcome::Error(E::RpcError, R::RpcOther),
    }
}

fn mentions_rate_limit(message: &str) -> bool {
    const PATTERN: &[u8] = b"rate limit";
    message.as_bytes().windows(PATTERN.len()).any(|w| w.eq_ignore_ascii_case(PATTERN))
}
