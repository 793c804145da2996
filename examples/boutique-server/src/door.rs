//! Who may come in: a look at the bearer token before MCP sees the request.
//!
//! The tokens are made up and the house is open: who shows no token is a guest. Who shows one
//! must show a good one, so that refusals can be seen without setting anything up.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use mcpmon_sdk::Monitor;
use mcpmon_sdk::label::AuthFailure;

/// Lets `request` through, or refuses it and records why.
pub(crate) async fn check(
    State(monitor): State<Monitor>,
    request: Request,
    next: Next,
) -> Response {
    match admit(request.headers().get(AUTHORIZATION)) {
        Ok(()) => next.run(request).await,
        Err(reason) => {
            monitor.auth_failure(reason);
            refuse(reason)
        }
    }
}

fn admit(authorization: Option<&HeaderValue>) -> Result<(), AuthFailure> {
    let Some(authorization) = authorization else { return Ok(()) };
    let token = authorization.to_str().ok().and_then(|text| text.strip_prefix("Bearer"));
    match token.map(str::trim) {
        Some("boutique-demo") => Ok(()),
        Some("") => Err(AuthFailure::MissingToken),
        Some("boutique-demo-expired") => Err(AuthFailure::ExpiredToken),
        Some("boutique-demo-newsletter") => Err(AuthFailure::InsufficientScope),
        _ => Err(AuthFailure::InvalidToken),
    }
}

fn refuse(reason: AuthFailure) -> Response {
    let (status, challenge) = match reason {
        AuthFailure::InsufficientScope => {
            (StatusCode::FORBIDDEN, "Bearer error=\"insufficient_scope\", scope=\"boutique:tools\"")
        }
        AuthFailure::MissingToken => (StatusCode::UNAUTHORIZED, "Bearer"),
        _ => (StatusCode::UNAUTHORIZED, "Bearer error=\"invalid_token\""),
    };
    (status, [(WWW_AUTHENTICATE, challenge)], "refused; the tokens of this example are made up\n")
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_apart() {
        let admitted = |header: &'static str| admit(Some(&HeaderValue::from_static(header)));
        assert_eq!(admit(None), Ok(()));
        assert_eq!(admitted("Bearer boutique-demo"), Ok(()));
        assert_eq!(admitted("Bearer"), Err(AuthFailure::MissingToken));
        assert_eq!(admitted("Bearer boutique-demo-expired"), Err(AuthFailure::ExpiredToken));
        assert_eq!(
            admitted("Bearer boutique-demo-newsletter"),
            Err(AuthFailure::InsufficientScope)
        );
        assert_eq!(admitted("Bearer x"), Err(AuthFailure::InvalidToken));
        assert_eq!(admitted("Basic eDp5"), Err(AuthFailure::InvalidToken));
    }
}
