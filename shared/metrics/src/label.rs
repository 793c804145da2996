//! Label values: closed sets as enums. A label never holds free text.

use std::fmt;
use std::str::FromStr;

/// A value that is not in a label's closed set.
///
/// Its message names the value and every value that would have been right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is no {label}; expected one of {expected}")]
pub struct UnknownValue {
    label: &'static str,
    value: String,
    expected: String,
}

/// A closed set of label values.
pub trait Label: Copy + Eq + fmt::Debug + 'static {
    /// The label's name in the exposition.
    const NAME: &'static str;
    /// Every value, in the order of the catalogue.
    const ALL: &'static [Self];
    /// The value as it is exposed.
    fn as_str(self) -> &'static str;
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = $label:literal { $($(#[$vdoc:meta])* $variant:ident = $value:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $value)] $variant),+ }

        impl Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [Self] = &[$(Self::$variant),+];
            fn as_str(self) -> &'static str { match self { $(Self::$variant => $value),+ } }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }

        impl FromStr for $name {
            type Err = UnknownValue;
            fn from_str(value: &str) -> Result<Self, UnknownValue> {
                match value { $($value => Ok(Self::$variant),)+ _ => Err(unknown::<Self>(value)) }
            }
        }
    )+};
}

fn unknown<L: Label>(value: &str) -> UnknownValue {
    let expected: Vec<_> = L::ALL.iter().map(|v| v.as_str()).collect();
    UnknownValue {
        label: L::NAME,
        value: value.chars().take(64).collect(),
        expected: expected.join(", "),
    }
}

labels! {
    /// How a tool call ended.
    Status = "status" { Success = "success", Error = "error", Timeout = "timeout", Cancelled = "cancelled" }

    /// What kind of failure it was: the side of the call that failed.
    ErrorType = "error_type" {
        /// The tool ran and reported a failure (`isError: true`).
        ToolError = "tool_error",
        /// An API that the tool called failed.
        ApiError = "api_error",
        /// The arguments were refused (JSON-RPC -32602).
        ValidationError = "validation_error",
        /// Any other JSON-RPC error.
        RpcError = "rpc_error",
        /// The connection failed, or HTTP 5xx.
        TransportError = "transport_error",
        /// HTTP 429 or a rate-limit message.
        RateLimited = "rate_limited",
        /// HTTP 401 or 403.
        AuthError = "auth_error",
        /// No reply ever came.
        Abandoned = "abandoned",
        /// The handler panicked, or a fault that belongs to no other type.
        InternalError = "internal_error",
    }

    /// Why it failed, within its [`ErrorType`].
    Reason = "reason" {
        None = "none", IsError = "is_error", Parse = "parse", InvalidRequest = "invalid_request",
        MethodNotFound = "method_not_found", InvalidParams = "invalid_params", Internal = "internal",
        RpcOther = "rpc_other", Upstream4xx = "upstream_4xx", Upstream5xx = "upstream_5xx",
        RateLimit = "rate_limit", Unauthorized = "unauthorized", Forbidden = "forbidden",
        Eof = "eof", Reset = "reset", Refused = "refused", Dns = "dns", Tls = "tls",
        Deadline = "deadline", Expired = "expired", Panic = "panic", Other = "other",
    }

    /// The window of a rate limit, or the upstream that enforced it.
    LimitType = "limit_type" {
        PerSecond = "per_second", PerMinute = "per_minute", PerHour = "per_hour", Upstream = "upstream",
    }

    /// The MCP transport.
    Transport = "transport" { Stdio = "stdio", Http = "http", Sse = "sse" }

    /// The direction of LLM tokens.
    TokenType = "type" {
        Input = "input", Output = "output", CacheRead = "cache_read", CacheWrite = "cache_write",
    }

    /// How a 3D generation ended.
    GenerationStatus = "status" { Success = "success", Failed = "failed", Pending = "pending" }

    /// Why a caller was refused.
    AuthFailure = "reason" {
        InvalidToken = "invalid_token", ExpiredToken = "expired_token",
        MissingToken = "missing_token", InsufficientScope = "insufficient_scope",
    }

    /// Which validation refused the input.
    ValidationType = "validation_type" {
        Sanitization = "sanitization", Schema = "schema", BusinessRule = "business_rule",
    }

    /// What a security check saw.
    SecurityEvent = "event_type" {
        PathTraversal = "path_traversal", InjectionAttempt = "injection_attempt",
        SuspiciousInput = "suspicious_input",
    }

    /// Who watched the call.
    Observer = "observer" { Sdk = "sdk", Tap = "tap", Api = "api" }

    /// The label whose budget was exceeded, or whose value was not admitted.
    Bounded = "label" {
        Server = "server", ToolName = "tool_name", AgentName = "agent_name", Category = "category",
        Provider = "provider", Model = "model", ErrorDetail = "reason", Operation = "mcp_method_name",
        Source = "source",
    }

    /// The MCP revisions that exist.
    ProtocolVersion = "mcp_protocol_version" {
        V2024_11_05 = "2024-11-05", V2025_03_26 = "2025-03-26", V2025_06_18 = "2025-06-18",
        V2025_11_25 = "2025-11-25", V2026_07_28 = "2026-07-28", Other = "other",
    }

    /// The JSON-RPC methods of MCP, over all revisions.
    Method = "mcp_method_name" {
        Initialize = "initialize", Discover = "server/discover", Ping = "ping",
        ToolsList = "tools/list", ToolsCall = "tools/call",
        PromptsList = "prompts/list", PromptsGet = "prompts/get",
        ResourcesList = "resources/list", ResourcesTemplatesList = "resources/templates/list",
        ResourcesRead = "resources/read", ResourcesSubscribe = "resources/subscribe",
        ResourcesUnsubscribe = "resources/unsubscribe", SubscriptionsListen = "subscriptions/listen",
        CompletionComplete = "completion/complete", LoggingSetLevel = "logging/setLevel",
        SamplingCreateMessage = "sampling/createMessage", ElicitationCreate = "elicitation/create",
        RootsList = "roots/list", TasksGet = "tasks/get", TasksResult = "tasks/result",
        TasksList = "tasks/list", TasksCancel = "tasks/cancel", TasksUpdate = "tasks/update",
        Other = "_other",
    }
}

impl ProtocolVersion {
    /// The revision that a peer named; one that does not exist is [`ProtocolVersion::Other`].
    pub fn named(value: &str) -> Self {
        value.parse().unwrap_or(Self::Other)
    }
}

impl Method {
    /// The method that a message named; one that MCP does not define is [`Method::Other`].
    pub fn named(value: &str) -> Self {
        value.parse().unwrap_or(Self::Other)
    }
}

impl Transport {
    /// The transport in the words of OpenTelemetry's `network.transport`.
    pub fn network(self) -> &'static str {
        match self {
            Self::Stdio => "pipe",
            Self::Http | Self::Sse => "tcp",
        }
    }
}
