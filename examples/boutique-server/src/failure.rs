//! How a tool fails: what the metrics say of it, and what the caller is told.

use mcpmon_sdk::label::{ErrorType, LimitType, Reason, SecurityEvent, ValidationType};
use mcpmon_sdk::{CallGuard, Monitor};
use rmcp::ErrorData;
use rmcp::model::{CallToolResponse, CallToolResult};
use serde_json::json;

/// Why a tool did not do what it was asked. The message is what the caller reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("unknown tool; tools/list names those that exist")]
    UnknownTool,
    /// The arguments do not fit the tool's schema.
    #[error("{0}")]
    Schema(String),
    /// The arguments break a rule of the house.
    #[error("{0}")]
    Rule(String),
    /// The arguments hold what must not be passed on.
    #[error("{0}")]
    Unclean(String),
    /// The arguments look like an attack.
    #[error("{1}")]
    Attack(SecurityEvent, &'static str),
    /// The work was done and came to nothing.
    #[error("{0}")]
    Failed(&'static str),
    #[error("the service behind this tool answered 503")]
    Upstream,
    #[error("the service behind this tool answered 429")]
    UpstreamLimit,
    #[error("the boutique's own quota for this tool is spent")]
    Quota(LimitType),
    #[error("the tool did not finish before its deadline")]
    Timeout,
    #[error("the client no longer waits")]
    Cancelled,
}

impl Failure {
    /// Ends `call` the way it failed, and records what happened beside it.
    pub(crate) fn record(&self, monitor: &Monitor, tool: &str, mut call: CallGuard) {
        call.message(self.to_string());
        match self {
            Self::UnknownTool => call.error(ErrorType::ValidationError, Reason::InvalidParams),
            Self::Schema(_) => {
                monitor.validation_failure(tool, ValidationType::Schema);
                call.error(ErrorType::ValidationError, Reason::InvalidParams);
            }
            Self::Rule(_) => {
                monitor.validation_failure(tool, ValidationType::BusinessRule);
                call.error(ErrorType::ValidationError, Reason::InvalidParams);
            }
            Self::Unclean(_) => {
                monitor.validation_failure(tool, ValidationType::Sanitization);
                call.error(ErrorType::ValidationError, Reason::InvalidParams);
            }
            Self::Attack(event, _) => {
                monitor.security_event(*event);
                monitor.validation_failure(tool, ValidationType::Sanitization);
                call.error(ErrorType::ValidationError, Reason::InvalidParams);
            }
            Self::Failed(_) => call.error(ErrorType::ToolError, Reason::IsError),
            Self::Upstream => call.error(ErrorType::ApiError, Reason::Upstream5xx),
            // Only the tool knows whose limit it was, so it says that beside the call.
            Self::UpstreamLimit => {
                monitor.rate_limit(Some(tool), LimitType::Upstream);
                call.error(ErrorType::RateLimited, Reason::RateLimit);
            }
            Self::Quota(limit) => {
                monitor.rate_limit(Some(tool), *limit);
                call.error(ErrorType::RateLimited, Reason::RateLimit);
            }
            Self::Timeout => call.timeout(),
            Self::Cancelled => call.cancelled(),
        }
    }

    /// The reply: a JSON-RPC error when the request was wrong, otherwise a result that says
    /// `isError` and why.
    pub(crate) fn into_reply(self) -> Result<CallToolResponse, ErrorData> {
        let message = self.to_string();
        if matches!(self, Self::UnknownTool | Self::Schema(_)) {
            return Err(ErrorData::invalid_params(message, Some(json!({ "simulated": true }))));
        }
        Ok(CallToolResult::structured_error(json!({ "simulated": true, "error": message })).into())
    }
}
