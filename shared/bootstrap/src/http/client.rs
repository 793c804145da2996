//! The client for calls to other services, and the URLs that it calls.

use std::error::Error;
use std::sync::Arc;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

/// An `http` or `https` URL with a host.
///
/// # Errors
/// Says what would be right.
pub fn web_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok();
    url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or("expected a URL that begins with http:// or https://")
}

/// Whether a text must not be shown: it has the mark of a user or a password, and is not a URL
/// that has it elsewhere, as a path may.
#[must_use]
pub fn may_hold_password(text: &str) -> bool {
    let is_harmless = |url: Url| url.username().is_empty() && url.password().is_none();
    text.contains('@') && !web_url(text).is_ok_and(is_harmless)
}

/// A client to be: ring and the platform's trust store, and no redirect, for what is sent must not
/// go where nobody told us. For plain HTTP the store is not loaded: a container without one must
/// work.
///
/// # Errors
/// When the machine's trust store cannot be used.
pub fn builder(https: bool) -> Result<ClientBuilder, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let tls = if https {
        tls.with_platform_verifier()?
    } else {
        tls.with_root_certificates(RootCertStore::empty())
    };
    Ok(Client::builder()
        .tls_backend_preconfigured(tls.with_no_client_auth())
        .redirect(Policy::none()))
}

/// An error with its causes, in one line.
#[must_use]
pub fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
