//! Which names we answer to. A web page that a person opens can make the browser ask a service on
//! loopback, under a name of the page's choice (DNS rebinding); `Host` and `Origin` give it away.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::StatusCode;
use actix_web::http::header::{HOST, HeaderMap, ORIGIN};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::Payload;

use super::Problem;
use super::body::abandon;
use crate::settings::Settings;

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Paths that tell nothing worth protecting, and that probes ask for under any name.
const OPEN_PATHS: [&str; 3] = ["/health", "/health/live", "/health/ready"];

/// The names under which a service may be asked. Loopback names are always among them.
#[derive(Debug, Clone)]
pub struct AllowedHosts {
    section: String,
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

impl AllowedHosts {
    /// Reads `<section>.allowed_hosts`.
    pub fn from_settings(settings: &mut Settings, section: &str) -> Self {
        let hosts = settings.checked(
            &format!("{section}.allowed_hosts"),
            Vec::<String>::new(),
            "Names beside the loopback ones under which this service may be asked, each with or \
             without a port.",
            |names| names.iter().map(|name| Authority::new(name)).collect::<Result<_, _>>(),
        );
        Self { section: section.to_owned(), hosts, every_address: false }
    }

    /// Adds the address that the service listens on: who can reach it asks by it, as Prometheus does
    /// with the addresses that it found for a name. Rebinding needs a name, so that where it listens
    /// on every address, any will do.
    pub(super) fn add_address(&mut self, ip: IpAddr) {
        if ip.is_unspecified() {
            self.every_address = true;
        } else {
            // With a port, an IPv6 address gets its brackets.
            let text = SocketAddr::new(ip, 0).to_string();
            self.hosts.extend(
                split(&text).map(|(host, _)| Authority { host: host.to_owned(), port: None }),
            );
        }
    }

    /// Whether a request with these headers may be answered.
    ///
    /// # Errors
    /// 400 without exactly one `Host`, 403 when `Host` or `Origin` names somebody else.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let mut hosts = headers.get_all(HOST);
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            let detail = "expected exactly one Host header";
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        };
        let host = host.to_str().unwrap_or_default();
        let by_address = self.every_address && is_address(host);
        if !by_address && !self.allows(host) {
            return Err(self.refusal("Host", host));
        }
        for origin in headers.get_all(ORIGIN) {
            let origin = origin.to_str().unwrap_or_default();
            let authority =
                origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            // A page at another address is another's; one at the address that was asked is our own.
            let own = |authority| (by_address && authority == host) || self.allows(authority);
            if !authority.is_some_and(own) {
                return Err(self.refusal("Origin", origin));
            }
        }
        Ok(())
    }

    fn allows(&self, authority: &str) -> bool {
        let Some((host, port)) = split(authority) else {
            return false;
        };
        let named = |name: &str| name.eq_ignore_ascii_case(host);
        LOOPBACK.iter().any(|name| named(name))
            || self.hosts.iter().any(|allowed| {
                named(&allowed.host) && (allowed.port.is_none() || allowed.port == port)
            })
    }

    fn refusal(&self, header: &str, value: &str) -> Problem {
        let value: String = value.chars().take(100).collect();
        let detail = format!(
            "the {header} {value:?} is not allowed here; {}.allowed_hosts lists the names that are",
            self.section
        );
        Problem::new(StatusCode::FORBIDDEN, detail)
    }
}

impl Authority {
    fn new(text: &str) -> Result<Self, String> {
        let plain = |host: &str| {
            let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let legal = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            match inner {
                Some(address) => address.parse::<Ipv6Addr>().is_ok(),
                None => !host.is_empty() && host.chars().all(legal),
            }
        };
        match split(text) {
            Some((host, port)) if plain(host) => Ok(Self { host: host.to_owned(), port }),
            _ => Err(format!(
                "{text:?} is no host; expected a name or address with or without a port, such as \
                 monitor.example, 10.0.0.7:9090 or [fd00::7]"
            )),
        }
    }
}

/// Middleware that refuses what [`AllowedHosts::check`] refuses, except on the open health paths.
pub fn enforce<S, B>(
    hosts: Arc<AllowedHosts>,
) -> impl Transform<S, ServiceRequest, Response = ServiceResponse<B>, Error = Error, InitError = ()>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    from_fn(move |mut request: ServiceRequest, next: Next<B>| {
        let verdict = if OPEN_PATHS.contains(&request.path()) {
            Ok(())
        } else {
            hosts.check(request.headers())
        };
        async move {
            if let Err(problem) = verdict {
                // The body of a refused request is not read, so its connection has to end.
                if let Ok(payload) = request.extract::<Payload>().await {
                    abandon(payload);
                }
                return Err(problem.into());
            }
            next.call(request).await
        }
    })
}

/// Whether the host is an address and no name.
fn is_address(authority: &str) -> bool {
    split(authority).is_some_and(|(host, _)| {
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match inner {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => host.parse::<Ipv4Addr>().is_ok(),
        }
    })
}

/// Host and port; `None` when it is neither `host` nor `host:port`.
fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let end_of_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority[end_of_host..].split_once(':') {
        None => Some((authority, None)),
        Some((_, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            let host = &authority[..authority.len() - port.len() - 1];
            Some((host, Some(port.parse().ok()?)))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError as _;
    use actix_web::http::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;
    use crate::settings::Sources;

    fn hosts(names: &str) -> AllowedHosts {
        let sources = Sources::default().flag("--hosts", "demo.allowed_hosts", Some(names));
        let mut settings = Settings::load(sources).unwrap();
        let hosts = AllowedHosts::from_settings(&mut settings, "demo");
        settings.finish().unwrap();
        hosts
    }

    #[test]
    fn the_address_that_it_listens_on_is_its_own() {
        let allows = |ip: &str, host: &str| {
            let mut hosts = hosts("monitor.example");
            hosts.add_address(ip.parse().unwrap());
            hosts.allows(host)
        };
        assert!(allows("10.0.0.7", "10.0.0.7:9090"));
        assert!(allows("127.0.0.2", "127.0.0.2"));
        assert!(allows("fd00::7", "[fd00::7]:9090"));
        assert!(!allows("10.0.0.7", "10.0.0.8:9090"));
    }

    #[test]
    fn where_it_listens_on_every_address_it_is_asked_by_any_and_by_no_other_name() {
        let verdict = |host: &str, origin: Option<&str>| {
            let mut hosts = hosts("monitor.example");
            hosts.add_address("0.0.0.0".parse().unwrap());
            let mut map = HeaderMap::new();
            map.append(HOST, HeaderValue::from_str(host).unwrap());
            if let Some(origin) = origin {
                map.append(ORIGIN, HeaderValue::from_str(origin).unwrap());
            }
            hosts.check(&map).is_ok()
        };
        assert!(verdict("172.18.0.5:9095", None));
        assert!(verdict("[fd00::7]:9095", None));
        assert!(verdict("monitor.example", None));
        assert!(verdict("172.18.0.5:9095", Some("http://172.18.0.5:9095")));
        for host in ["evil.example", "172.18.0.5.evil.example", "172.18.0", "[fd00::7]evil", ""] {
            assert!(!verdict(host, None), "{host}");
        }
        for origin in ["http://172.18.0.6:9095", "http://172.18.0.5:80", "http://evil.example"] {
            assert!(!verdict("172.18.0.5:9095", Some(origin)), "{origin}");
        }
        assert!(!verdict("monitor.example", Some("http://172.18.0.5:9095")));
    }

    fn verdict(headers: &[(HeaderName, &str)]) -> u16 {
        let owned = |(name, value): &(HeaderName, &str)| {
            (name.clone(), HeaderValue::from_str(value).unwrap())
        };
        let mut map = HeaderMap::new();
        headers.iter().map(owned).for_each(|(name, value)| map.append(name, value));
        hosts("monitor.example,10.0.0.7:9090,[fd00::7]")
            .check(&map)
            .map_or_else(|problem| problem.status_code().as_u16(), |()| 200)
    }

    #[test]
    fn loopback_and_configured_names_are_answered() {
        for host in [
            "localhost",
            "LocalHost:9090",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:9090",
            "monitor.example",
            "MONITOR.example:443",
            "10.0.0.7:9090",
            "[fd00::7]:80",
        ] {
            assert_eq!(verdict(&[(HOST, host)]), 200, "{host}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        for host in [
            "evil.example",
            "",
            "localhost.evil.example",
            "evil.example:80@localhost",
            "localhost:80@evil.example",
            "localhost:",
            "localhost:99999",
            "localhost:80:80",
            "[::1",
            "[::1]evil",
            "::1",
            "10.0.0.7",
            "10.0.0.7:9091",
        ] {
            assert_eq!(verdict(&[(HOST, host)]), 403, "{host}");
        }
    }

    #[test]
    fn an_origin_must_be_allowed_as_well() {
        let with = |origin| verdict(&[(HOST, "localhost:9090"), (ORIGIN, origin)]);
        assert_eq!(with("http://localhost:3000"), 200);
        assert_eq!(with("https://monitor.example"), 200);
        for origin in ["null", "", "http://evil.example", "file://localhost", "localhost"] {
            assert_eq!(with(origin), 403, "{origin}");
        }
    }

    #[test]
    fn one_host_is_needed() {
        assert_eq!(verdict(&[]), 400);
        assert_eq!(verdict(&[(HOST, "localhost"), (HOST, "localhost")]), 400);
    }

    #[test]
    fn a_name_that_can_never_match_is_a_fault_of_the_configuration() {
        for name in
            ["*", "http://a.example", "a.example/", "a b", "a:b", ":80", "[x]", "*.a.example"]
        {
            let sources = Sources::default().flag("--hosts", "demo.allowed_hosts", Some(name));
            let mut settings = Settings::load(sources).unwrap();
            AllowedHosts::from_settings(&mut settings, "demo");
            let errors = settings.finish().unwrap_err();
            assert!(errors.lines()[0].contains("is no host; expected a name"), "{errors}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_answered_is_a_known_name_with_or_without_a_port(
            name in "(localhost|127.0.0.1|\\[::1\\]|LOCALHOST)?\\PC{0,12}",
        ) {
            let known = |name: &str| {
                let rest = LOOPBACK.iter().find_map(|known| name.strip_prefix(known))?;
                let port = rest.strip_prefix(':').map(str::parse::<u16>);
                Some(rest.is_empty() || matches!(port, Some(Ok(_))))
            };
            if AllowedHosts::from_settings(&mut Settings::empty(), "demo").allows(&name) {
                prop_assert_eq!(known(&name.to_lowercase()), Some(true));
            }
        }
    }
}
