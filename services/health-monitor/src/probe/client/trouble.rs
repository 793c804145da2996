//! What an error of the HTTP client says of the component.

use std::error::Error;
use std::io;
use std::iter::successors;
use std::time::{Duration, UNIX_EPOCH};

use mcpmon_coordination::incident::Failure;
use mcpmon_mcp_client::is_ours;
use mcpmon_mcp_client::resolver::LookupError;
use rustls::CertificateError;

use crate::finding::{Finding, Unknown};
use crate::probe::dns;

type Cause<'e> = &'e (dyn Error + 'static);

pub(super) fn finding(asked: &str, scheme: &str, error: &reqwest::Error) -> Finding {
    if let Some(error) = find::<LookupError>(error) {
        return dns::finding(error, asked);
    }
    if let Some(error) = find::<rustls::Error>(error) {
        return Finding::fail(Failure::Tls, format!("{asked}: {}", handshake(error)));
    }
    let last = causes(error).last().map(ToString::to_string).unwrap_or_default();
    let text = format!("{asked}: {last}");
    let Some(fault) = find::<io::Error>(error) else {
        // What came was no HTTP, or broke off; or it led in circles.
        let failure = if error.is_decode() { Failure::BadBody } else { Failure::Other };
        return Finding::fail(failure, text);
    };
    if is_ours(fault) {
        return Finding::unknown(Unknown::OurSide, text);
    }
    let failure = match fault.kind() {
        io::ErrorKind::ConnectionRefused => Failure::ConnectionRefused,
        io::ErrorKind::TimedOut => Failure::Timeout,
        // The connection stood, and broke in the handshake.
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
            if scheme == "https" && error.is_connect() =>
        {
            Failure::Tls
        }
        _ if error.is_decode() => Failure::BadBody,
        _ => Failure::Other,
    };
    Finding::fail(failure, text)
}

fn handshake(error: &rustls::Error) -> String {
    let date = |at: rustls::pki_types::UnixTime| {
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(at.as_secs()))
    };
    match error {
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
            not_after, ..
        }) => {
            format!("the certificate ended on {}", date(*not_after))
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
            not_before,
            ..
        }) => format!("the certificate begins on {}", date(*not_before)),
        other => format!("TLS handshake failed: {other}"),
    }
}

/// The error and what caused it, also what an `io::Error` wraps and does not call its source.
fn causes<'e>(error: Cause<'e>) -> impl Iterator<Item = Cause<'e>> {
    successors(Some(error), |&error: &Cause<'e>| {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as Cause<'e>),
            None => error.source(),
        }
    })
}

/// The innermost cause of that type: an outer `io::Error` may merely wrap it.
fn find<'e, T: Error + 'static>(error: Cause<'e>) -> Option<&'e T> {
    causes(error).filter_map(|cause| cause.downcast_ref()).last()
}
