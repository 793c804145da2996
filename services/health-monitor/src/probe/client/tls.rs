//! The client's TLS settings, without touching the process's defaults.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

/// Settings with the platform's trust store and these roots. In a container without a trust store
/// plain HTTP must work all the same: then nobody is trusted, and the second value says why.
pub(super) fn config(roots: Vec<CertificateDer<'static>>) -> (ClientConfig, Option<String>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring speaks the versions that rustls speaks");
    let (mut config, no_trust) = match Verifier::new_with_extra_roots(roots, provider) {
        Ok(verifier) => {
            let verifier: Arc<dyn ServerCertVerifier> = Arc::new(verifier);
            let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
            (builder.with_no_client_auth(), None)
        }
        Err(error) => {
            let builder = builder.with_root_certificates(RootCertStore::empty());
            (builder.with_no_client_auth(), Some(error.to_string()))
        }
    };
    // A resumed session would show the certificate of its first day, and nobody would check it.
    config.resumption = Resumption::disabled();
    (config, no_trust)
}
