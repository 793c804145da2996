//! What the status of an HTTP reply says of the component.

use std::fmt;

use mcpmon_coordination::incident::Failure;

use super::client::Reply;
use crate::finding::{Finding, Unknown};

/// The statuses that are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// 200 to 399.
    Good,
    /// One of these.
    OneOf(Vec<u16>),
}

impl Expected {
    fn covers(&self, status: u16) -> bool {
        match self {
            Self::Good => (200..=399).contains(&status),
            Self::OneOf(these) => these.contains(&status),
        }
    }

    fn in_words(&self) -> String {
        match self {
            Self::Good => "200 to 399".to_owned(),
            Self::OneOf(these) => {
                let these: Vec<_> = these.iter().map(u16::to_string).collect();
                these.join(" or ")
            }
        }
    }
}

/// What an unexpected status says of the component; `None` when it is expected.
pub(super) fn wrong(
    asked: impl fmt::Display,
    reply: &Reply,
    expected: &Expected,
) -> Option<Finding> {
    let status = reply.status.as_u16();
    if expected.covers(status) {
        return None;
    }
    let error = format!("{asked}: it answers {}, expected {}", reply.status, expected.in_words());
    let finding = match status {
        401 | 403 => Finding::fail(Failure::AuthRequired, error),
        429 => {
            let retry_after = reply.retry_after();
            Finding { retry_after, ..Finding::unknown(Unknown::RateLimited, error) }
        }
        400..=499 => Finding::fail(Failure::Http4xx, error),
        500..=599 => Finding::fail(Failure::Http5xx, error),
        _ => Finding::fail(Failure::Other, error),
    };
    Some(finding.after(reply.latency))
}
