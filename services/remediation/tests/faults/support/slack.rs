//! A receiver that behaves as Slack and remembers what people were told.

use mcpmon_testkit::http_script::{Answer, HttpScript};
use serde_json::Value;

use super::PATIENCE;

#[derive(Debug)]
pub(crate) struct Slack(HttpScript);

impl Slack {
    pub(crate) fn start() -> Self {
        Self(HttpScript::start(|_| Answer::status(200, "ok")))
    }

    pub(crate) fn webhook(&self) -> String {
        format!("{}/services/T0planted/B0planted/w3bh00k", self.0.url())
    }

    /// The title of every section of every message, in order.
    pub(crate) fn titles(&self) -> Vec<String> {
        self.0.requests().iter().flat_map(|request| titles(&request.body)).collect()
    }

    /// How many titles have that in them.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.titles().iter().filter(|title| title.contains(part)).count()
    }

    /// Waits for a title with that in it.
    #[track_caller]
    pub(crate) fn wait(&self, part: &str) {
        self.0.wait_within(PATIENCE, |requests| {
            requests.iter().any(|it| titles(&it.body).iter().any(|title| title.contains(part)))
        });
    }

    /// Every byte that was sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.requests().into_iter().flat_map(|request| request.body).collect()
    }
}

fn titles(body: &[u8]) -> Vec<String> {
    let message: Value = serde_json::from_slice(body).unwrap();
    let attachments = message["attachments"].as_array().cloned().unwrap_or_default();
    attachments.iter().map(|it| it["fallback"].as_str().unwrap_or_default().to_owned()).collect()
}
