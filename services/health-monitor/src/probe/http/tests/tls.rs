//! Certificates: good ones, ones that end, and ones that nobody should trust.

use std::env;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mcpmon_coordination::incident::Failure;
use mcpmon_testkit::http_script::{Answer, HttpScript};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};

use super::super::Http;
use crate::finding::{Finding, Outcome, Unknown};
use crate::probe::Probe as _;
use crate::probe::client::Client;
use crate::probe::testing::{self, PATIENCE, rerun, serve_raw, skip_head, with_keys};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// An HTTPS server with a certificate of that authority, which lasts until then.
fn server(authority: &CertifiedIssuer<'static, KeyPair>, until: SystemTime) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.not_before = (SystemTime::now() - DAY * 30).into();
    params.not_after = until.into();
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config =
        ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
    let config = Arc::new(config);
    serve_raw(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut tls = StreamOwned::new(connection, stream);
        skip_head(&mut tls);
        let reply: &[u8] = match tls.conn.handshake_kind() {
            Some(HandshakeKind::Full) => b"HTTP/1.1 204 No Content\r\n\r\n",
            _ => b"HTTP/1.1 500 The certificate was not shown\r\ncontent-length: 0\r\n\r\n",
        };
        let _ = std::io::Write::write_all(&mut tls, reply);
        let _ = std::io::Read::read(&mut tls, &mut [0]);
    })
}

fn probe(authority: &CertifiedIssuer<'static, KeyPair>, address: SocketAddr, days: &str) -> Http {
    let url = format!("https://{address}/");
    let keys = [("url", &*url), ("certificate_days", days)];
    let mut probe = with_keys(&keys, Http::read).unwrap();
    probe.client = Arc::new(Client::trusting(vec![authority.der().clone()]));
    probe
}

async fn check(
    authority: &CertifiedIssuer<'static, KeyPair>,
    address: SocketAddr,
    days: &str,
) -> Finding {
    probe(authority, address, days).check(PATIENCE).await
}

#[tokio::test]
async fn each_check_sees_the_certificate_anew() {
    let authority = authority();
    let probe = probe(&authority, server(&authority, SystemTime::now() + DAY * 90), "14");
    for _ in 0..3 {
        let finding = probe.check(PATIENCE).await;
        assert_eq!((finding.outcome, finding.error, finding.warning), (Outcome::Ok, None, None));
    }
}

#[tokio::test]
async fn a_host_without_a_trust_store_asks_over_plain_http_alone() {
    const CASE: &str = "MCPMON_TEST_TRUST";
    if env::var_os(CASE).is_none() {
        let test =
            "probe::http::tests::tls::a_host_without_a_trust_store_asks_over_plain_http_alone";
        let nothing = ["env", "SSL_CERT_FILE=/dev/null", "SSL_CERT_DIR=/nonexistent"];
        return rerun(test, (CASE, "1"), &nothing, "exec \"$@\"");
    }
    let server = HttpScript::start(|_| Answer::status(200, ""));
    let finding = testing::check("http", &[("url", &server.url())]).await;
    assert_eq!(finding.outcome, Outcome::Ok);
    let finding = testing::check("http", &[("url", "https://127.0.0.1:9/")]).await;
    assert_eq!(finding.outcome, Outcome::Unknown(Unknown::OurSide));
    let error = finding.error.unwrap();
    let expected = "GET https://127.0.0.1:9/: no certificate can be checked here: ";
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_a_warning_with_its_date() {
    let authority = authority();
    let until = SystemTime::now() + DAY * 6 + DAY / 2;
    let address = server(&authority, until);
    let finding = check(&authority, address, "14").await;
    assert_eq!((finding.outcome, finding.error), (Outcome::Ok, None));
    let date = humantime::format_rfc3339_seconds(until);
    let warning = format!("GET https://{address}/: the certificate ends on {date}, in 6 days");
    assert_eq!(finding.warning, Some(warning));
    for enough in ["6", "0"] {
        let finding = check(&authority, address, enough).await;
        assert_eq!((finding.outcome, finding.warning), (Outcome::Ok, None));
    }
}

#[tokio::test]
async fn a_certificate_that_has_ended_fails() {
    let authority = authority();
    let until = SystemTime::now() - DAY;
    let address = server(&authority, until);
    let finding = check(&authority, address, "14").await;
    assert_eq!(finding.outcome, Outcome::Fail(Failure::Tls));
    let date = humantime::format_rfc3339_seconds(until);
    let error = format!("GET https://{address}/: the certificate ended on {date}");
    assert_eq!(finding.error, Some(error));
}

#[tokio::test]
async fn a_stranger_and_a_server_without_tls_fail() {
    let (ours, another) = (authority(), authority());
    let address = server(&another, SystemTime::now() + DAY * 90);
    let finding = check(&ours, address, "14").await;
    assert_eq!(finding.outcome, Outcome::Fail(Failure::Tls));
    let error = finding.error.unwrap();
    assert!(error.contains("TLS handshake failed: invalid peer certificate"), "{error}");

    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b""] {
        let plain = serve_raw(move |mut stream| {
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            let _ = std::io::Write::write_all(&mut stream, answer);
        });
        let finding = check(&ours, plain, "14").await;
        assert_eq!(finding.outcome, Outcome::Fail(Failure::Tls), "{finding:?}");
    }
}
