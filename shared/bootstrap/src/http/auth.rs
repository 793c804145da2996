//! Who may do what: four scopes, each with a token of its own.

use std::borrow::Cow;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use super::Problem;
use crate::settings::Settings;

/// What a request wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Look. Besides Bearer, the token is taken as the password of Basic, so that a browser can
    /// open a page.
    Read,
    /// Post events.
    Write,
    /// Post alerts.
    Webhook,
    /// Change state. Needs a token even on loopback.
    Operate,
}

/// The tokens of one service.
#[derive(Debug)]
pub struct Tokens {
    section: String,
    offered: Vec<(Scope, Option<SecretString>)>,
}

impl Scope {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Webhook => "webhook",
            Self::Operate => "operate",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Tokens {
    /// Tokens for the scopes that a service offers. `section` names the keys in messages.
    pub fn new(
        section: impl Into<String>,
        offered: impl IntoIterator<Item = (Scope, Option<SecretString>)>,
    ) -> Self {
        Self { section: section.into(), offered: offered.into_iter().collect() }
    }

    /// Reads `<section>.read_token` and so on, or `…_token_file`, for each scope offered.
    pub fn from_settings(settings: &mut Settings, section: &str, scopes: &[Scope]) -> Self {
        let offered = scopes.iter().map(|&scope| {
            let doc = format!("Token of the scope `{scope}`.");
            (scope, settings.secret(&key(section, scope), &doc))
        });
        Self::new(section, offered)
    }

    /// The keys of the scopes that anybody may use, because they have no token.
    pub fn open_keys(&self) -> impl Iterator<Item = String> {
        self.offered
            .iter()
            .filter(|(scope, token)| token.is_none() && *scope != Scope::Operate)
            .map(|(scope, _)| key(&self.section, *scope))
    }

    /// Whether a request with these headers may act in `scope`. Allocates only to refuse, and to
    /// decode Basic. A scope without a token is open, except for [`Scope::Operate`].
    ///
    /// # Errors
    /// 401 without a valid token, 403 with the token of another scope, 403 where the scope is
    /// not offered or lacks the token it needs.
    pub fn check(&self, scope: Scope, headers: &HeaderMap) -> Result<(), Problem> {
        let token = self.offered.iter().find(|(offered, _)| *offered == scope);
        let Some(expected) = token.and_then(|(_, token)| token.as_ref()) else {
            return match token {
                Some(_) if scope != Scope::Operate => Ok(()),
                _ => Err(self.closed(scope)),
            };
        };
        match presented(headers, scope) {
            Some(presented) if equal(expected, &presented) => Ok(()),
            Some(presented) if self.opens_another(&presented) => Err(wrong_scope(scope)),
            Some(_) => Err(unauthorized(scope, "this token is not valid")),
            None => Err(unauthorized(scope, "this needs a token")),
        }
    }

    fn opens_another(&self, presented: &[u8]) -> bool {
        let mut tokens = self.offered.iter().filter_map(|(_, token)| token.as_ref());
        tokens.any(|token| equal(token, presented))
    }

    fn closed(&self, scope: Scope) -> Problem {
        let key = key(&self.section, scope);
        let detail = format!("the scope {scope} is closed until {key} or {key}_file is set");
        Problem::new(StatusCode::FORBIDDEN, detail)
    }
}

fn key(section: &str, scope: Scope) -> String {
    format!("{section}.{scope}_token")
}

/// Constant-time for tokens of one length; that lengths differ is no secret.
fn equal(token: &SecretString, presented: &[u8]) -> bool {
    token.expose_secret().as_bytes().ct_eq(presented).into()
}

fn presented(headers: &HeaderMap, scope: Scope) -> Option<Cow<'_, [u8]>> {
    let (scheme, value) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Cow::Borrowed(value.as_bytes()));
    }
    if scope != Scope::Read || !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64.decode(value).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some(Cow::Owned(decoded.get(colon + 1..)?.to_vec()))
}

fn unauthorized(scope: Scope, detail: &str) -> Problem {
    let ways = match scope {
        Scope::Read => "Authorization: Bearer TOKEN, or Basic with the token as the password",
        _ => "Authorization: Bearer TOKEN",
    };
    let problem = Problem::new(
        StatusCode::UNAUTHORIZED,
        format!("{detail}; send the token of the scope {scope} as {ways}"),
    );
    let problem =
        problem.header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"mcpmon\""));
    if scope != Scope::Read {
        return problem;
    }
    problem.header(
        WWW_AUTHENTICATE,
        HeaderValue::from_static("Basic realm=\"mcpmon\", charset=\"UTF-8\""),
    )
}

fn wrong_scope(scope: Scope) -> Problem {
    let detail = format!("this token is for another scope; this needs the token of {scope}");
    Problem::new(StatusCode::FORBIDDEN, detail)
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError as _;

    use super::*;

    const ALL: [Scope; 4] = [Scope::Read, Scope::Write, Scope::Webhook, Scope::Operate];

    /// Every scope's token is its name.
    fn guarded() -> Tokens {
        Tokens::new("demo", ALL.map(|scope| (scope, Some(scope.name().into()))))
    }

    fn open() -> Tokens {
        Tokens::new("demo", ALL.map(|scope| (scope, None)))
    }

    fn sent(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(authorization).unwrap());
        headers
    }

    fn basic(credentials: &str) -> HeaderMap {
        sent(&format!("Basic {}", BASE64.encode(credentials)))
    }

    fn status(verdict: Result<(), Problem>) -> u16 {
        verdict.map_or_else(|problem| problem.status_code().as_u16(), |()| 200)
    }

    #[test]
    fn each_token_opens_its_own_scope_alone() {
        let tokens = guarded();
        for scope in ALL {
            for token in ALL {
                let expected = if scope == token { 200 } else { 403 };
                let headers = sent(&format!("Bearer {token}"));
                assert_eq!(status(tokens.check(scope, &headers)), expected, "{token} for {scope}");
            }
            assert_eq!(status(tokens.check(scope, &sent("bearer  wrong"))), 401);
            assert_eq!(status(tokens.check(scope, &sent("Bearer "))), 401);
            assert_eq!(status(tokens.check(scope, &HeaderMap::new())), 401);
        }
    }

    #[test]
    fn basic_opens_reading_alone() {
        let tokens = guarded();
        assert_eq!(status(tokens.check(Scope::Read, &basic("anyone:read"))), 200);
        assert_eq!(status(tokens.check(Scope::Read, &basic("anyone:wrong"))), 401);
        assert_eq!(status(tokens.check(Scope::Read, &basic("read"))), 401);
        assert_eq!(status(tokens.check(Scope::Read, &sent("Basic !"))), 401);
        for scope in [Scope::Write, Scope::Webhook, Scope::Operate] {
            let headers = basic(&format!("anyone:{scope}"));
            assert_eq!(status(tokens.check(scope, &headers)), 401, "{scope}");
        }
    }

    #[test]
    fn a_password_may_hold_a_colon() {
        let tokens = Tokens::new("demo", [(Scope::Read, Some("a:b".into()))]);
        assert_eq!(status(tokens.check(Scope::Read, &basic("anyone:a:b"))), 200);
    }

    #[test]
    fn without_a_token_all_but_operating_is_open() {
        let tokens = open();
        for scope in [Scope::Read, Scope::Write, Scope::Webhook] {
            assert_eq!(status(tokens.check(scope, &HeaderMap::new())), 200, "{scope}");
        }
        let problem = tokens.check(Scope::Operate, &sent("Bearer operate")).unwrap_err();
        insta::assert_snapshot!(problem, @"403 Forbidden: the scope operate is closed until demo.operate_token or demo.operate_token_file is set");
        let keys: Vec<_> = tokens.open_keys().collect();
        assert_eq!(keys, ["demo.read_token", "demo.write_token", "demo.webhook_token"]);
    }

    #[test]
    fn a_scope_that_is_not_offered_is_closed() {
        let tokens = Tokens::new("demo", [(Scope::Read, None)]);
        assert_eq!(status(tokens.check(Scope::Write, &HeaderMap::new())), 403);
    }

    #[test]
    fn the_challenge_names_the_ways_in() {
        let challenges = |scope| {
            let problem = guarded().check(scope, &HeaderMap::new()).unwrap_err();
            let response = problem.error_response();
            let values = response.headers().get_all(WWW_AUTHENTICATE);
            values.map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let bearer = "Bearer realm=\"mcpmon\"";
        assert_eq!(challenges(Scope::Write), [bearer]);
        assert_eq!(challenges(Scope::Read), [bearer, "Basic realm=\"mcpmon\", charset=\"UTF-8\""]);
    }

    #[test]
    fn debug_shows_no_token() {
        let tokens = Tokens::new("demo", [(Scope::Read, Some("s3cret".into()))]);
        let shown = format!("{tokens:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
