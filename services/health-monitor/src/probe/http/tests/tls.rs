//! Certificates: good ones, ones that end, and ones that nobody should trust.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mcpmon_coordination::incident::Failure;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::super::Http;
use crate::finding::{Finding, Outcome};
use crate::probe::Probe as _;
use crate::probe::client::Client;
use crate::probe::testing::{PATIENCE, serve_raw, skip_head, with_keys};

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
        let _ = std::io::Write::write_all(&mut tls, b"HTTP/1.1 204 No Content\r\n\r\n");
        let _ = std::io::Read::read(&mut tls, &mut [0]);
    })
}

async fn check(
    authority: &CertifiedIssuer<'static, KeyPair>,
    address: SocketAddr,
    days: &str,
) -> Finding {
    let url = format!("https://{address}/");
    let keys = [("url", &*url), ("certificate_days", days)];
    let mut probe = with_keys(&keys, Http::read).unwrap();
    probe.client = Arc::new(Client::trusting(vec![authority.der().clone()]));
    probe.check(PATIENCE).await
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
