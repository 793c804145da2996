//! What is watched: the components of the configuration.

use std::sync::Arc;
use std::time::Duration;

use crate::probe::Probe;

/// One component, as configured.
#[derive(Debug, Clone)]
pub struct Component {
    /// Its name: 1 to 64 of `a-z A-Z 0-9 _ -`.
    pub name: String,
    /// Its kind, for instance `mcp`.
    pub kind: &'static str,
    /// The name under which the MCP server's calls are counted; of kind `mcp` alone.
    pub server: Option<String>,
    /// The components that this one needs, by name.
    pub depends_on: Vec<String>,
    /// The group that must keep a number of healthy members.
    pub group: Option<String>,
    /// How often it is checked.
    pub interval: Duration,
    /// How soon a result that is not the last word is confirmed; no longer than the interval.
    pub recheck: Duration,
    /// After this time a check has failed.
    pub deadline: Duration,
    /// An answer that takes longer is slow, and the component degraded.
    pub slow: Duration,
    pub probe: Arc<dyn Probe>,
}

impl Component {
    /// After this time a check is given up.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.probe.patience().map_or(self.deadline, |longer| longer.max(self.deadline))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::finding::Finding;

    /// A probe that finds what a test wrote down, and the last of it again and again.
    #[derive(Debug)]
    pub(crate) struct Scripted(Mutex<VecDeque<Finding>>);

    impl Scripted {
        pub(crate) fn new(findings: impl IntoIterator<Item = Finding>) -> Arc<Self> {
            Arc::new(Self(Mutex::new(findings.into_iter().collect())))
        }
    }

    #[async_trait]
    impl Probe for Scripted {
        async fn check(&self, _: Duration) -> Finding {
            let mut findings = self.0.lock().unwrap();
            let next = findings.pop_front().expect("the script is not empty");
            if findings.is_empty() {
                findings.push_back(next.clone());
            }
            next
        }
    }

    /// A component that always answers.
    pub(crate) fn component(name: &str) -> Component {
        Component {
            name: name.to_owned(),
            kind: "http",
            server: None,
            depends_on: Vec::new(),
            group: None,
            interval: Duration::from_secs(300),
            recheck: Duration::from_secs(30),
            deadline: Duration::from_secs(5),
            slow: Duration::from_secs(1),
            probe: Scripted::new([Finding::ok(Duration::from_millis(5))]),
        }
    }
}
