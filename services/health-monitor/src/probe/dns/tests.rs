//! The resolver of the system, in processes that see other files in `/etc`: one thread asks for
//! each of them, for a resolver is a matter of the whole process.

use std::env;
use std::fs;
use std::time::Duration;

use mcpmon_coordination::incident::Failure;
use mcpmon_mcp_client::resolver::LOOKUPS;

use crate::finding::{Finding, Outcome, Unknown};
use crate::probe::testing::{probe, rerun};

const CASE: &str = "MCPMON_TEST_RESOLVER";

/// Every kind that looks names up, with a name that nobody has.
const PROBES: [(&str, (&str, &str)); 4] = [
    ("http", ("url", "http://nobody.example:9/x?token=abc")),
    ("tcp", ("address", "nobody.example:9")),
    ("redis", ("url", "redis://:s3cret@nobody.example:9")),
    ("mcp", ("url", "http://nobody.example:9/mcp?token=abc")),
];

async fn findings(deadline: Duration) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (kind, key) in PROBES {
        findings.push(probe(kind, &[key]).check(deadline).await);
    }
    findings
}

/// Runs `test` again under that `resolv.conf` and with these sources of host names.
fn under(resolv_conf: &str, hosts: &str, test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let resolv_conf = file("resolv.conf", resolv_conf);
    let switch = file("nsswitch.conf", &format!("hosts: {hosts}\n"));
    // There is no route to any but the first.
    let names =
        "127.0.0.1 localhost near.example\n2001:db8::1 near.example\n192.0.2.1 far.example\n";
    let names = file("hosts", names);
    let root =
        fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    let launcher: &[&str] = if root {
        &["unshare", "--mount", "--net"]
    } else {
        &["unshare", "--mount", "--net", "--map-root-user"]
    };
    let script = format!(
        "ip link set lo up; mount --bind {resolv_conf} /etc/resolv.conf; mount --bind {switch} /etc/nsswitch.conf; \
         mount --bind {names} /etc/hosts; \
         exec \"$@\""
    );
    rerun(&format!("probe::dns::tests::{test}"), (CASE, "1"), launcher, &script);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_the_components_trouble() {
    if env::var_os(CASE).is_none() {
        return under("", "files", "a_name_that_does_not_exist_is_the_components_trouble");
    }
    for finding in findings(Duration::from_secs(20)).await {
        assert_eq!(finding.outcome, Outcome::Fail(Failure::Dns), "{finding:?}");
        let error = finding.error.unwrap();
        assert!(error.ends_with(": the name `nobody.example` does not exist"), "{error}");
        assert!(!error.contains("abc") && !error.contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn a_resolver_without_a_server_is_our_own_trouble() {
    if env::var_os(CASE).is_none() {
        // Nobody listens on that address's port 53.
        let resolv_conf = "nameserver 127.0.0.253\n";
        return under(resolv_conf, "files dns", "a_resolver_without_a_server_is_our_own_trouble");
    }
    for finding in findings(Duration::from_secs(20)).await {
        assert_eq!(finding.outcome, Outcome::Unknown(Unknown::OurSide), "{finding:?}");
        let error = finding.error.unwrap();
        let expected = "this host's resolver cannot look up `nobody.example`";
        assert!(error.contains(expected), "{error}");
    }
}

/// A name server that knows `known.example` and refuses to answer for any other name, as a
/// container engine's does for a container that was stopped.
fn name_server(address: &str) {
    let socket = std::net::UdpSocket::bind(address).unwrap();
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut packet) {
            let query = &packet[..length];
            let known = query.windows(14).any(|w| w == b"\x05known\x07example");
            // Behind the name's last byte stand the type, of which 1 is an IPv4 address, and class.
            let question = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
            let is_address = query[question - 3] == 1;
            let answers = u8::from(known && is_address);
            let code = if known { 0 } else { 2 };
            let mut reply = query[..2].to_vec();
            reply.extend([0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0]);
            reply.extend(&query[12..question]);
            if answers == 1 {
                reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 127, 0, 0, 1]);
            }
            socket.send_to(&reply, client).unwrap();
        }
    });
}

#[tokio::test]
async fn a_name_that_alone_is_refused_is_the_components_trouble() {
    if env::var_os(CASE).is_none() {
        let resolv_conf = "nameserver 127.0.0.253\noptions attempts:1\n";
        let test = "a_name_that_alone_is_refused_is_the_components_trouble";
        return under(resolv_conf, "files dns", test);
    }
    name_server("127.0.0.253:53");
    // While no other name is known to resolve, it may be the server.
    for finding in findings(Duration::from_secs(20)).await {
        assert_eq!(finding.outcome, Outcome::Unknown(Unknown::OurSide), "{finding:?}");
    }
    let known =
        probe("tcp", &[("address", "known.example:9")]).check(Duration::from_secs(20)).await;
    assert_eq!(known.outcome, Outcome::Fail(Failure::ConnectionRefused), "{known:?}");
    for finding in findings(Duration::from_secs(20)).await {
        assert_eq!(finding.outcome, Outcome::Fail(Failure::Dns), "{finding:?}");
        let error = finding.error.unwrap();
        let expected =
            "the name servers give no answer for `nobody.example`, and do for other names";
        assert!(error.ends_with(expected), "{error}");
    }
}

#[tokio::test]
async fn a_lookup_that_outlasts_the_check_is_our_own_trouble() {
    // As if silent name servers kept every lookup busy.
    let _busy = LOOKUPS.acquire_many(64).await.unwrap();
    for finding in findings(Duration::from_millis(300)).await {
        assert_eq!(finding.outcome, Outcome::Unknown(Unknown::OurSide), "{finding:?}");
        let error = finding.error.unwrap();
        // The probe of MCP rounds it.
        let expected = [": this host's resolver did not answer within ", "0.27 s", "0.3 s"];
        assert!(error.contains(expected[0]), "{error}");
        assert!(expected[1..].iter().any(|end| error.ends_with(end)), "{error}");
    }
}

#[tokio::test]
async fn a_lost_route_is_our_own_trouble() {
    if env::var_os(CASE).is_none() {
        return under("", "files", "a_lost_route_is_our_own_trouble");
    }
    for (kind, key, [near, far]) in [
        ("http", "url", ["http://near.example:9/", "http://far.example:9/"]),
        ("tcp", "address", ["near.example:9", "far.example:9"]),
        ("redis", "url", ["redis://near.example:9", "redis://far.example:9"]),
        ("mcp", "url", ["http://near.example:9/mcp", "http://far.example:9/mcp"]),
    ] {
        let far = probe(kind, &[(key, far)]).check(Duration::from_secs(20)).await;
        assert_eq!(far.outcome, Outcome::Unknown(Unknown::OurSide), "{far:?}");
        // One of its addresses says whose trouble it is.
        let near = probe(kind, &[(key, near)]).check(Duration::from_secs(20)).await;
        assert_eq!(near.outcome, Outcome::Fail(Failure::ConnectionRefused), "{near:?}");
    }
}
