//! Which names the tap answers to. A web page that a person opens can make the browser ask it
//! under a name of the page's choice (DNS rebinding); `Host` and `Origin` give that away. The
//! server behind cannot check any more: it sees its own name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hyper::StatusCode;
use hyper::header::{HOST, HeaderMap, ORIGIN};

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The names under which the tap may be asked. Loopback names are always among them.
#[derive(Debug, Clone, Default)]
pub struct AllowedHosts {
    hosts: Vec<Authority>,
    /// Whether it listens on every address, and so under addresses that it does not know.
    every_address: bool,
}

/// `host` or `host:port`. Without a port, any port will do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Authority {
    host: String,
    port: Option<u16>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) detail: String,
}

impl AllowedHosts {
    /// Allows these names beside the loopback ones.
    ///
    /// # Errors
    /// When one can never match.
    pub fn new(names: &[String]) -> Result<Self, String> {
        let hosts = names.iter().map(|name| Authority::new(name)).collect::<Result<_, _>>()?;
        Ok(Self { hosts, every_address: false })
    }

    /// Adds the address that the tap listens on. Rebinding needs a name, so that where it listens
    /// on every address, any will do.
    pub fn add_address(&mut self, ip: IpAddr) {
        if ip.is_unspecified() {
            self.every_address = true;
        } else {
            // With a port, an IPv6 address gets its brackets.
            let text = SocketAddr::new(ip, 0).to_string();
            let own = split(&text).map(|(host, _)| Authority { host: host.to_owned(), port: None });
            self.hosts.extend(own);
        }
    }

    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            let detail = "expected exactly one Host header".to_owned();
            return Err(Refusal { status: StatusCode::BAD_REQUEST, detail });
        };
        let host = host.to_str().unwrap_or_default();
        let by_address = self.every_address && is_address(host);
        if !by_address && !self.allows(host) {
            return Err(refusal("Host", host));
        }
        for origin in headers.get_all(ORIGIN) {
            let origin = origin.to_str().unwrap_or_default();
            let authority =
                origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            // A page at another address is another's; one at the address that was asked is not.
            let own = |authority| (by_address && authority == host) || self.allows(authority);
            if !authority.is_some_and(own) {
                return Err(refusal("Origin", origin));
            }
        }
        Ok(())
    }

    fn allows(&self, authority: &str) -> bool {
        let Some((host, port)) = split(authority) else { return false };
        let named = |name: &str| name.eq_ignore_ascii_case(host);
        let is_given = |allowed: &Authority| {
            named(&allowed.host) && (allowed.port.is_none() || allowed.port == port)
        };
        LOOPBACK.iter().any(|name| named(name)) || self.hosts.iter().any(is_given)
    }
}

impl Authority {
    fn new(text: &str) -> Result<Self, String> {
        let plain = |host: &str| {
            let legal = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            match bracketed(host) {
                Some(address) => address.parse::<Ipv6Addr>().is_ok(),
                None => !host.is_empty() && host.chars().all(legal),
            }
        };
        match split(text) {
            Some((host, port)) if plain(host) => Ok(Self { host: host.to_owned(), port }),
            _ => Err(format!(
                "--allow-host {text:?} is no host; expected a name or address with or without a \
                 port, such as tap.example, 10.0.0.7:8080 or [fd00::7]"
            )),
        }
    }
}

fn refusal(header: &str, value: &str) -> Refusal {
    let value: String = value.chars().take(100).collect();
    let detail =
        format!("the {header} {value:?} is not allowed here; start mcp-tap with --allow-host NAME");
    Refusal { status: StatusCode::FORBIDDEN, detail }
}

fn bracketed(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}

/// Whether the host is an address and no name.
fn is_address(authority: &str) -> bool {
    split(authority).is_some_and(|(host, _)| match bracketed(host) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().is_ok(),
    })
}

/// Host and port; `None` when it is neither `host` nor `host:port`.
fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let end_of_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority[end_of_host..].split_once(':') {
        None => Some((authority, None)),
        Some((_, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            let host = &authority[..authority.len() - port.len() - 1];
            Some((host, Some(port.parse().ok()?)))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn verdict(hosts: &AllowedHosts, headers: &[(HeaderName, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        hosts.check(&map).map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    fn given() -> AllowedHosts {
        let names = ["tap.example", "10.0.0.7:8080", "[fd00::7]"].map(str::to_owned);
        let mut hosts = AllowedHosts::new(&names).unwrap();
        hosts.add_address("127.0.0.1".parse().unwrap());
        hosts
    }

    #[test]
    fn loopback_and_given_names_are_answered_and_no_others() {
        for host in ["localhost", "LocalHost:1", "[::1]:8080", "TAP.example", "10.0.0.7:8080"] {
            assert_eq!(verdict(&given(), &[(HOST, host)]), 200, "{host}");
        }
        for host in ["", "evil.example", "localhost.evil.example", "localhost:", "10.0.0.7", "::1"]
        {
            assert_eq!(verdict(&given(), &[(HOST, host)]), 403, "{host}");
        }
        assert_eq!(verdict(&given(), &[]), 400);
        assert_eq!(verdict(&given(), &[(HOST, "localhost"), (HOST, "localhost")]), 400);
    }

    #[test]
    fn an_origin_must_be_allowed_as_well() {
        let with = |origin| verdict(&given(), &[(HOST, "localhost:8080"), (ORIGIN, origin)]);
        assert_eq!(with("http://localhost:6274"), 200);
        assert_eq!(with("https://tap.example"), 200);
        for origin in ["null", "", "http://evil.example", "file://localhost", "localhost"] {
            assert_eq!(with(origin), 403, "{origin}");
        }
    }

    #[test]
    fn where_it_listens_on_every_address_any_will_do_but_no_name() {
        let mut hosts = AllowedHosts::default();
        hosts.add_address("0.0.0.0".parse().unwrap());
        assert_eq!(verdict(&hosts, &[(HOST, "172.18.0.5:8080")]), 200);
        assert_eq!(verdict(&hosts, &[(HOST, "172.18.0.5.evil.example")]), 403);
        let with = |origin| verdict(&hosts, &[(HOST, "172.18.0.5:8080"), (ORIGIN, origin)]);
        assert_eq!(with("http://172.18.0.5:8080"), 200);
        assert_eq!(with("http://172.18.0.6:8080"), 403);
    }

    #[test]
    fn a_name_that_can_never_match_is_told() {
        for name in ["*", "http://a.example", "a b", ":80", "[x]", "*.a.example"] {
            let error = AllowedHosts::new(&[name.to_owned()]).unwrap_err();
            assert!(error.contains("is no host; expected a name"), "{error}");
        }
    }
}
