//! A server that speaks TLS.

use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;

use base64::Engine as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

fn issuer() -> CertifiedIssuer<'static, KeyPair> {
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap()
}

fn pem(issuer: &CertifiedIssuer<'static, KeyPair>) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(issuer.der());
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

/// Answers one call over TLS, if the handshake succeeds.
fn serve(origin: Origin, issuer: &CertifiedIssuer<'static, KeyPair>) -> thread::JoinHandle<()> {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    thread::spawn(move || {
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(connection, origin.accept().into_stream());
        let mut seen = Vec::new();
        while !seen.ends_with(b"}}") {
            let mut byte = [0];
            if !matches!(stream.read(&mut byte), Ok(1)) {
                return;
            }
            seen.extend(byte);
        }
        stream.write_all(reply(OK).as_bytes()).unwrap();
        stream.flush().unwrap();
    })
}

fn tap(exporter: &HttpScript, origin: &Origin, roots: &str) -> (Tap, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, roots).unwrap();
    let port = origin.authority().rsplit_once(':').unwrap().1.to_owned();
    let mut command = listener();
    command.args(["--exporter", &exporter.url()]);
    command.args(["--upstream", &format!("test=https://localhost:{port}/mcp")]);
    command.env("SSL_CERT_FILE", file.path()).env_remove("SSL_CERT_DIR");
    (Tap::spawn(&mut command), file)
}

#[test]
fn a_server_that_the_platform_trusts_is_asked() {
    let (origin, exporter, issuer) = (Origin::start(), exporter(), issuer());
    let (tap, _file) = tap(&exporter, &origin, &pem(&issuer));
    let serving = serve(origin, &issuer);
    let mut client = tap.connect();
    client.send(call(1));
    assert_eq!(client.message().1, OK);
    serving.join().unwrap();
    assert_eq!(endings(&tap.told(&exporter)), ["a success"]);
}

#[test]
fn a_server_that_it_does_not_trust_is_not() {
    let (origin, exporter) = (Origin::start(), exporter());
    let (tap, _file) = tap(&exporter, &origin, &pem(&issuer()));
    let serving = serve(origin, &issuer());
    let mut client = tap.connect();
    client.send(call(1));
    assert!(client.message().0.starts_with("HTTP/1.1 502"));
    serving.join().unwrap();
    assert_eq!(endings(&tap.told(&exporter)), ["a error transport_error tls"]);
}
