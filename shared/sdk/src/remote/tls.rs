//! TLS without touching the process's defaults: the provider is handed to our client alone, so
//! an application may install its own, before or after.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

/// The client's TLS settings: ring, and the platform's trust store.
///
/// With plain HTTP the trust store is not loaded: a container without one must work, yet the
/// client wants settings all the same.
pub(crate) fn config(https: bool) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = if https {
        builder.with_platform_verifier()?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}
