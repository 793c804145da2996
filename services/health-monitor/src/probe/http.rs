//! Kind `http`: whether a URL answers as it should, and how long its certificate lasts.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mcpmon_bootstrap::settings::within;
use mcpmon_coordination::incident::Failure;
use secrecy::SecretString;

use super::address::Place;
use super::client::{Asked, Client, Reply, Request};
use super::status::{Expected, wrong};
use super::{Keys, Probe, address, certificate, own_time};
use crate::finding::Finding;

/// The part of a body that is looked at.
const MAX_BODY: usize = 64 << 10;

#[derive(Debug)]
struct Http {
    url: Place,
    token: Option<SecretString>,
    expect_status: Expected,
    expect_body: Option<String>,
    certificate_days: u16,
    follow_redirects: bool,
    client: Arc<Client>,
}

pub(super) fn read(keys: &mut Keys<'_>) -> Option<Box<dyn Probe>> {
    Some(Box::new(Http::read(keys)?))
}

impl Http {
    fn read(keys: &mut Keys<'_>) -> Option<Self> {
        let url = address::url(keys, "What to ask for, such as `http://localhost:8080/health`.");
        let token = address::token(keys);
        let expect_status = keys
            .optional_checked("expect_status", "The right statuses; unset: 200 to 399.", statuses)
            .unwrap_or(Expected::Good);
        let expect_body = keys.optional_checked(
            "expect_body",
            "A text that the first 64 KiB of the body must hold.",
            |text: String| match text.len() {
                1..=MAX_BODY => Ok(text),
                _ => Err("expected a text of 1 to 65536 bytes"),
            },
        );
        let certificate_days = keys.checked(
            "certificate_days",
            14,
            "A certificate that ends within this many days is warned about; 0: never.",
            within(0..=3650_u16),
        );
        let follow_redirects = keys.value(
            "follow_redirects",
            true,
            "Whether redirects are followed, at most 5; the token stays with the URL's own origin.",
        );
        Some(Self {
            url: url?,
            token,
            expect_status,
            expect_body,
            certificate_days,
            follow_redirects,
            client: Client::shared(),
        })
    }

    fn judge(&self, reply: &Reply) -> Finding {
        let asked = Asked(&self.url.0);
        if let Some(finding) = wrong(asked, reply, &self.expect_status) {
            return finding;
        }
        if let Some(text) = &self.expect_body
            && memchr::memmem::find(&reply.body, text.as_bytes()).is_none()
        {
            let (part, length) = match reply.whole {
                true => ("", reply.body.len()),
                false => ("first ", MAX_BODY),
            };
            let error = format!("{asked}: `{text}` is not in the {part}{length} bytes of the body");
            return Finding::fail(Failure::BadBody, error).after(reply.latency);
        }
        let finding = Finding::ok(reply.latency);
        let ends = reply.certificate.as_ref();
        let warning = ends.and_then(|certificate| {
            certificate::warning(certificate, self.certificate_days, SystemTime::now())
        });
        match warning.filter(|_| self.certificate_days > 0) {
            Some(warning) => finding.warn(format!("{asked}: {warning}")),
            None => finding,
        }
    }
}

#[async_trait]
impl Probe for Http {
    async fn check(&self, deadline: Duration) -> Finding {
        let request = Request {
            url: &self.url.0,
            token: self.token.as_ref(),
            follow_redirects: self.follow_redirects,
            max_body: MAX_BODY,
            deadline: own_time(deadline),
        };
        match self.client.get(request).await {
            Ok(reply) => self.judge(&reply),
            Err(finding) => finding,
        }
    }
}

fn statuses(list: Vec<u16>) -> Result<Expected, &'static str> {
    if list.is_empty() || list.iter().any(|status| !(100..=599).contains(status)) {
        return Err("expected a list of statuses from 100 to 599, such as [200, 204]");
    }
    Ok(Expected::OneOf(list))
}

#[cfg(test)]
mod tests;
