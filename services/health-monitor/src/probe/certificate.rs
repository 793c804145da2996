//! When a server's certificate ends.

use std::time::{Duration, SystemTime};

use x509_cert::Certificate;
use x509_cert::der::Decode as _;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A warning when the certificate ends within that many days.
pub(super) fn warning(der: &[u8], days: u16, now: SystemTime) -> Option<String> {
    let certificate = match Certificate::from_der(der) {
        Ok(certificate) => certificate,
        Err(error) => return Some(format!("the certificate's end cannot be read: {error}")),
    };
    let end = certificate.tbs_certificate().validity().not_after.to_system_time();
    // One that has ended does not come here: its handshake fails.
    let left = end.duration_since(now).unwrap_or_default();
    (left <= DAY * u32::from(days)).then(|| {
        let (end, left) = (humantime::format_rfc3339_seconds(end), left.as_secs() / DAY.as_secs());
        format!("the certificate ends on {end}, in {left} days")
    })
}
