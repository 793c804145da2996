//! One server behind the tap: its name, the paths that lead to it, and its address.

use std::borrow::Cow;

use hyper::Uri;
use hyper::http::uri::Scheme;

/// Paths that are about another path of the same origin: `/.well-known/KIND/PATH`.
const WELL_KNOWN: &str = "/.well-known/";

/// Where requests under a prefix go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The name under which the server is reported.
    pub name: String,
    /// The first part of the client's paths, without a slash at its end; empty for all.
    pub prefix: String,
    /// Whether to speak TLS.
    pub https: bool,
    /// The host, an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// `Host` as the server knows it.
    pub authority: String,
    /// What stands in the prefix's place on the server.
    base: String,
}

impl Upstream {
    /// Reads `[NAME=][/PREFIX=]URL`.
    ///
    /// # Errors
    /// What is wrong with it, with what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            Err(format!(
                "--upstream {text:?} {what}; expected [NAME=][/PREFIX=]URL, such as \
                 http://127.0.0.1:8000/mcp or git=/git=http://127.0.0.1:8000/mcp"
            ))
        };
        let Some(scheme_end) = text.find("://") else { return wrong("has no address") };
        let url_start = text[..scheme_end].rfind('=').map_or(0, |sign| sign + 1);
        let (labels, url) = text.split_at(url_start);
        let (mut name, mut prefix) = (None, None);
        for label in labels.split_terminator('=') {
            let place = if label.starts_with('/') { &mut prefix } else { &mut name };
            if label.is_empty() || place.replace(label).is_some() {
                return wrong("has a name or a prefix that is empty or given twice");
            }
        }
        let prefix = prefix.unwrap_or_default().trim_end_matches('/').to_owned();
        if prefix.contains(['?', '#', '%']) {
            return wrong("has a prefix that is no plain path");
        }
        let Ok(url) = url.parse::<Uri>() else { return wrong("has no valid address") };
        let https = url.scheme() == Some(&Scheme::HTTPS);
        if !https && url.scheme() != Some(&Scheme::HTTP) {
            return wrong("is neither http nor https");
        }
        let Some(authority) = url.authority() else { return wrong("has no host") };
        if authority.as_str().contains('@') {
            return wrong("holds a user or a password");
        }
        if url.query().is_some() {
            return wrong("holds a query");
        }
        let host = authority.host();
        if host.is_empty() {
            return wrong("has no host");
        }
        let label = prefix.rsplit('/').next().filter(|label| !label.is_empty());
        Ok(Self {
            name: name.or(label).unwrap_or(host).to_owned(),
            https,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: authority.port_u16().unwrap_or(if https { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            base: url.path().trim_end_matches('/').to_owned(),
            prefix,
        })
    }

    /// The server's target for what the client asks; `None` when that is not for this server.
    /// Without a prefix every target passes as it is.
    pub(super) fn target<'t>(&self, asked: &'t str) -> Option<Cow<'t, str>> {
        if self.prefix.is_empty() {
            return Some(Cow::Borrowed(asked));
        }
        if let Some(rest) = under(asked, &self.prefix) {
            let root = if self.base.is_empty() && !rest.starts_with('/') { "/" } else { "" };
            return Some(Cow::Owned(format!("{}{root}{rest}", self.base)));
        }
        let (kind, path) = well_known(asked)?;
        let rest = under(path, &self.prefix)?;
        Some(Cow::Owned(format!("{kind}{}{rest}", self.base)))
    }

    /// A reference that the server gave out, as the client must see it to come by here again;
    /// `None` when it does so as it stands.
    pub(super) fn reference(&self, given: &str) -> Option<String> {
        let scheme = if self.https { "https://" } else { "http://" };
        let absolute = given.strip_prefix(scheme).and_then(|rest| {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            authority.eq_ignore_ascii_case(&self.authority).then_some(path)
        });
        let path = match absolute {
            Some("") => "/",
            Some(path) => path,
            None if given.starts_with('/') && !given.starts_with("//") => given,
            None => return None,
        };
        if self.prefix.is_empty() {
            return absolute.map(|_| path.to_owned());
        }
        // Elsewhere on that server nothing leads from here.
        under(path, &self.base).map(|rest| format!("{}{rest}", self.prefix))
    }
}

/// What follows `prefix` in `path`, at the end of one of its parts.
fn under<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with(['/', '?'])).then_some(rest)
}

/// `/.well-known/KIND` and the path that it is about.
fn well_known(target: &str) -> Option<(&str, &str)> {
    let kind = target.strip_prefix(WELL_KNOWN)?.find('/')?;
    Some(target.split_at(WELL_KNOWN.len() + kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Upstream {
        Upstream::parse(text).unwrap()
    }

    #[test]
    fn name_and_prefix_stand_before_the_address() {
        let told = |text| {
            let upstream = parse(text);
            (upstream.name, upstream.prefix, upstream.authority, upstream.port)
        };
        let own = |name: &str, prefix: &str, authority: &str, port| {
            (name.to_owned(), prefix.to_owned(), authority.to_owned(), port)
        };
        assert_eq!(told("http://h:8000/mcp"), own("h", "", "h:8000", 8000));
        assert_eq!(told("https://h/a=b"), own("h", "", "h", 443));
        assert_eq!(told("git=http://h"), own("git", "", "h", 80));
        assert_eq!(told("/tools/git/=http://[::1]:1"), own("git", "/tools/git", "[::1]:1", 1));
        assert_eq!(told("a=/b=http://h"), own("a", "/b", "h", 80));
        assert_eq!(parse("http://[::1]:1").host, "::1");
    }

    #[test]
    fn a_wrong_one_says_what_would_be_right() {
        for (text, what) in [
            ("h:8000", "has no address"),
            ("ftp://h", "is neither http nor https"),
            ("http://u:p@h", "holds a user or a password"),
            ("http://h?x", "holds a query"),
            ("http://", "has no valid address"),
            ("a=b=http://h", "is empty or given twice"),
            ("=http://h", "is empty or given twice"),
            ("/a?b=http://h", "no plain path"),
        ] {
            let error = Upstream::parse(text).unwrap_err();
            assert!(error.contains(what) && error.contains("expected [NAME=]"), "{error}");
        }
    }

    #[test]
    fn without_a_prefix_every_target_passes_as_it_is() {
        let upstream = parse("http://h/mcp");
        for target in ["/mcp", "/mcp?x=%2F", "*", "/.well-known/oauth-protected-resource/mcp"] {
            assert_eq!(upstream.target(target).as_deref(), Some(target));
        }
    }

    #[test]
    fn a_prefix_gives_way_to_the_servers_path() {
        let target = |upstream: &str, asked| parse(upstream).target(asked).map(Cow::into_owned);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(target("/git=http://h/mcp", "/git"), some("/mcp"));
        assert_eq!(target("/git=http://h/mcp", "/git?a"), some("/mcp?a"));
        assert_eq!(target("/git=http://h", "/git"), some("/"));
        assert_eq!(target("/git=http://h", "/git?a"), some("/?a"));
        assert_eq!(target("/git=http://h", "/git/sse"), some("/sse"));
        assert_eq!(target("/git=http://h", "/github"), None);
        let about = "/.well-known/oauth-protected-resource/git/x";
        let there = "/.well-known/oauth-protected-resource/mcp/x";
        assert_eq!(target("/git=http://h/mcp", about), some(there));
        assert_eq!(target("/git=http://h", "/.well-known/openid-configuration"), None);
    }

    #[test]
    fn references_lead_back_through_the_tap() {
        let reference = |upstream: &str, given| parse(upstream).reference(given);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(reference("http://h:1", "/message?s=1"), None);
        assert_eq!(reference("http://h:1", "message?s=1"), None);
        assert_eq!(reference("http://h:1", "http://H:1/message?s=1"), some("/message?s=1"));
        assert_eq!(reference("http://h:1", "http://h:12/message"), None);
        assert_eq!(reference("http://h:1", "//evil/message"), None);
        assert_eq!(reference("/a=http://h:1", "/message?s=1"), some("/a/message?s=1"));
        assert_eq!(reference("/a=http://h:1", "http://h:1"), some("/a/"));
        assert_eq!(reference("/a=http://h:1/x", "/x/message"), some("/a/message"));
        assert_eq!(reference("/a=http://h:1/x", "/message"), None);
    }
}
