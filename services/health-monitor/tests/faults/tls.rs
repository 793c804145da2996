//! Certificates that the whole program trusts, and one that has ended.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use mcpmon_testkit::redis_server::{Persistence, RedisServer};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::{Kind, Slack, World, assert_sound, history};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// An HTTPS server whose certificate lasts until then. It ends with the process of this test.
fn server(authority: &Authority, until: SystemTime) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.not_before = (SystemTime::now() - DAY * 90).into();
    params.not_after = until.into();
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = rustls::crypto::ring::default_provider().into();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut tls = StreamOwned::new(connection, stream.unwrap());
            thread::spawn(move || {
                // Whoever refuses the certificate sends no request.
                if tls.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {
                    let reply =
                        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    let _ = tls.write_all(reply);
                    tls.conn.send_close_notify();
                    let _ = tls.flush();
                }
            });
        }
    });
    addr
}

#[test]
fn a_certificate_that_has_ended_fails_in_time_and_is_named() {
    let (redis, slack) = (RedisServer::start(Persistence::Aof), Slack::start());
    let (authority, folder) = (authority(), tempfile::tempdir().unwrap());
    let trusted = folder.path().join("trusted.pem");
    fs::write(&trusted, authority.pem()).unwrap();
    let https =
        |until| format!("kind = \"http\"\nurl = \"https://{}/\"", server(&authority, until));
    let variable = format!("SSL_CERT_FILE={}", trusted.display());
    let world = World::new(&slack)
        .redis(redis.port())
        .component("good", &https(SystemTime::now() + DAY * 90))
        .component("expired", &https(SystemTime::now() - DAY))
        .under(&["env", &variable]);
    let monitor = world.start("a");
    monitor.wait_state("good", "healthy");
    let opened = slack.wait_for("expired", Kind::Opened);
    assert!(opened.text.starts_with("TLS failed: "), "{opened:?}");
    let is = monitor.component("expired");
    assert_eq!(is["state"], "unhealthy", "{is:#}");
    assert!(is["error"].as_str().unwrap().contains("the certificate ended on "), "{is:#}");
    assert_eq!(monitor.component("good")["state"], "healthy");
    assert!(slack.of("good").is_empty());
    slack.assert_sound(false);
    assert_sound(&history(&redis, "expired"));
}
