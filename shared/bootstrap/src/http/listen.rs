//! Where a service listens, and under which conditions.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use super::{AllowedHosts, Scope, Tokens};
use crate::settings::{Settings, environment_name};

/// Address, tokens and names of one HTTP service: the keys `bind`, `port`,
/// `allow_unauthenticated`, `allowed_hosts` and `…_token` of its section.
#[derive(Debug)]
pub struct Listen {
    /// The address, loopback by default. Port 0 means any free port.
    pub address: SocketAddr,
    /// Who may do what.
    pub tokens: Tokens,
    /// Under which names.
    pub hosts: AllowedHosts,
    section: String,
}

/// A service would be open to strangers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address} is not a loopback address, and {} not set; set the tokens, or bind to 127.0.0.1, \
     or set {section}.allow_unauthenticated = true",
    are(.missing)
)]
pub struct Exposed {
    section: String,
    address: IpAddr,
    missing: Vec<String>,
}

/// Why an address cannot be listened on, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {fault}; {advice}")]
pub struct BindError {
    address: SocketAddr,
    fault: io::Error,
    advice: String,
}

impl Listen {
    /// Reads the keys of `section`, and notes an error when the service would be exposed.
    pub fn from_settings(
        settings: &mut Settings,
        section: &str,
        default_port: u16,
        scopes: &[Scope],
    ) -> Self {
        let bind_key = format!("{section}.bind");
        let ip = settings.value(
            &bind_key,
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            "Address to listen on. Any but a loopback address needs tokens.",
        );
        let port = settings.value(
            &format!("{section}.port"),
            default_port,
            "Port to listen on; 0 means any free port.",
        );
        let tokens = Tokens::from_settings(settings, section, scopes);
        let mut hosts = AllowedHosts::from_settings(settings, section);
        hosts.add_address(ip);
        let allow_unauthenticated = settings.value(
            &format!("{section}.allow_unauthenticated"),
            false,
            "Listen on an address that others can reach even without tokens.",
        );
        if let Err(exposed) = refuse_exposed(section, ip, &tokens, allow_unauthenticated) {
            settings.reject(&bind_key, exposed);
        }
        Self { address: SocketAddr::new(ip, port), tokens, hosts, section: section.to_owned() }
    }

    /// Starts to listen. The listener tells the port when it was 0.
    ///
    /// # Errors
    /// When the system refuses, above all because the port is in use.
    pub fn bind(&self) -> Result<TcpListener, BindError> {
        let address = self.address;
        TcpListener::bind(address).map_err(|fault| BindError {
            address,
            advice: advice(&fault, address.port(), &self.section),
            fault,
        })
    }
}

/// Refuses to listen where others can reach a scope that has no token, unless that was asked for
/// in so many words.
///
/// # Errors
/// Names the address, the keys that are missing, and the ways out.
pub fn refuse_exposed(
    section: &str,
    address: IpAddr,
    tokens: &Tokens,
    allow_unauthenticated: bool,
) -> Result<(), Exposed> {
    let missing: Vec<_> = tokens.open_keys().collect();
    let loopback = address.to_canonical().is_loopback();
    if loopback || allow_unauthenticated || missing.is_empty() {
        return Ok(());
    }
    Err(Exposed { section: section.to_owned(), address, missing })
}

fn are(keys: &[String]) -> String {
    let verb = if keys.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", keys.join(", "))
}

fn advice(error: &io::Error, port: u16, section: &str) -> String {
    let key = |name: &str| {
        let key = format!("{section}.{name}");
        format!("{key} ({})", environment_name(&key))
    };
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "`ss -ltnp 'sport = :{port}'` shows who holds the port; {} chooses another",
            key("port")
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine has no such address; {} chooses another", key("bind"))
        }
        io::ErrorKind::PermissionDenied => {
            format!("ports below 1024 need a privilege; {} chooses another", key("port"))
        }
        _ => format!("see {} and {}", key("bind"), key("port")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Sources;

    const SCOPES: [Scope; 3] = [Scope::Read, Scope::Write, Scope::Operate];

    fn listen(keys: &[(&str, &str)]) -> Result<Listen, String> {
        let given = keys.iter().fold(Sources::default(), |sources, (key, value)| {
            sources.flag("--given", &format!("demo.{key}"), Some(value))
        });
        let mut settings = Settings::load(given).unwrap();
        let listen = Listen::from_settings(&mut settings, "demo", 9090, &SCOPES);
        settings.finish().map_err(|errors| errors.lines().join("\n"))?;
        Ok(listen)
    }

    #[test]
    fn loopback_is_the_default_and_needs_no_token() {
        assert_eq!(listen(&[]).unwrap().address.to_string(), "127.0.0.1:9090");
        for loopback in ["127.0.0.2", "::1", "::ffff:127.0.0.1"] {
            assert!(listen(&[("bind", loopback)]).is_ok(), "{loopback}");
        }
    }

    #[test]
    fn elsewhere_every_scope_needs_its_token() {
        let exposed = listen(&[("bind", "0.0.0.0")]).unwrap_err();
        insta::assert_snapshot!(exposed, @"demo.bind in --given: 0.0.0.0 is not a loopback address, and demo.read_token, demo.write_token are not set; set the tokens, or bind to 127.0.0.1, or set demo.allow_unauthenticated = true [env: MCPMON__DEMO__BIND]");
        let half = listen(&[("bind", "::"), ("read_token", "r")]).unwrap_err();
        insta::assert_snapshot!(half, @"demo.bind in --given: :: is not a loopback address, and demo.write_token is not set; set the tokens, or bind to 127.0.0.1, or set demo.allow_unauthenticated = true [env: MCPMON__DEMO__BIND]");

        let tokens = [("bind", "0.0.0.0"), ("read_token", "r"), ("write_token", "w")];
        assert!(listen(&tokens).is_ok());
        assert!(listen(&[("bind", "0.0.0.0"), ("allow_unauthenticated", "true")]).is_ok());
    }

    #[test]
    fn a_port_in_use_is_told_with_the_ways_out() {
        let free = listen(&[("port", "0")]).unwrap().bind().unwrap();
        let port = free.local_addr().unwrap().port();
        let error = listen(&[("port", &port.to_string())]).unwrap().bind().unwrap_err();
        let error = error.to_string().replace(&port.to_string(), "PORT");
        insta::assert_snapshot!(error, @"cannot listen on 127.0.0.1:PORT: Address already in use (os error 98); `ss -ltnp 'sport = :PORT'` shows who holds the port; demo.port (MCPMON__DEMO__PORT) chooses another");
    }

    #[test]
    fn an_address_of_another_machine_is_told_too() {
        // TEST-NET-1 belongs to no machine.
        let keys = [("bind", "192.0.2.1"), ("allow_unauthenticated", "true"), ("port", "0")];
        let error = listen(&keys).unwrap().bind().unwrap_err();
        insta::assert_snapshot!(error, @"cannot listen on 192.0.2.1:0: Cannot assign requested address (os error 99); this machine has no such address; demo.bind (MCPMON__DEMO__BIND) chooses another");
    }
}
