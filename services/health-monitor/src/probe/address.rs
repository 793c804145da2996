//! Keys that several kinds share: where a component is asked over HTTP, and with which token.

use std::fmt;

use mcpmon_bootstrap::http::client::may_hold_password;
use reqwest::Url;
use secrecy::SecretString;

use super::Keys;
use super::client::shown;

const EXPECTED: &str = "expected a URL such as http://localhost:9090";

/// A URL whose `Debug` shows neither credentials nor the query.
#[derive(Clone)]
pub(super) struct Place(pub(super) Url);

/// The key `url`; `None` when it is missing or wrong, which is noted.
pub(super) fn url(keys: &mut Keys<'_>, doc: &str) -> Option<Place> {
    // The outer error shows the value, which must not happen once it holds a password; so such a
    // value passes, and is refused below.
    let parsed = keys.required("url", doc, |text: String| {
        if may_hold_password(&text) {
            return Ok(None);
        }
        let url: Url = text.parse().map_err(|_| EXPECTED.to_owned())?;
        match (url.scheme(), url.host_str()) {
            ("http" | "https", Some(_)) => Ok(Some(url)),
            _ => Err("expected a URL that begins with http:// or https://".to_owned()),
        }
    })?;
    if parsed.is_none() {
        let place = keys.name("token");
        keys.reject(
            "url",
            format!("holds a user or a password; {place} is the place for a secret"),
        );
    }
    parsed.map(Place)
}

/// The key `token`.
pub(super) fn token(keys: &mut Keys<'_>) -> Option<SecretString> {
    keys.bearer("token", "Sent as `Authorization: Bearer …`.")
}

/// A path below a base URL, which may have a path of its own.
pub(super) fn below(base: &Url, path: &str, query: &[(&str, &str)]) -> Url {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

#[cfg(test)]
mod tests;
