//! The monitor as it is shipped, over many components of one kind, with its own state in memory and
//! its journal in a folder of the run.

use std::fmt::Write as _;
use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::process::{self, Running};
use crate::{http, product};

/// How long all components may take to be in a state.
const PATIENCE: Duration = Duration::from_secs(60);

/// A monitor that watches.
#[derive(Debug)]
pub(crate) struct Watching {
    pub(crate) process: Running,
    address: String,
    count: usize,
    _folder: TempDir,
}

/// What the monitor says of a component.
#[derive(Debug, Deserialize)]
pub(crate) struct Component {
    pub(crate) name: String,
    pub(crate) state: String,
    /// RFC 3339.
    pub(crate) since: Option<String>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Components {
    components: Vec<Component>,
}

impl Watching {
    /// Starts it on one core over the components `c0`, `c1` and so on of the kind.
    pub(crate) fn start(
        core: usize,
        kind: &str,
        count: usize,
        url: impl Fn(usize) -> String,
        interval: Duration,
        recheck: Duration,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let path = folder.path().join("monitor.toml");
        let mut text = format!(
            "[coordination]\nbackend = \"memory\"\nstate_dir = {:?}\n\
             [health_monitor]\nport = 0\ninterval_seconds = {}\nrecheck_seconds = {}\n",
            folder.path().join("state"),
            interval.as_secs_f64(),
            recheck.as_secs_f64(),
        );
        for number in 0..count {
            let url = url(number);
            write!(
                text,
                "[health_monitor.components.{}]\nkind = \"{kind}\"\nurl = \"{url}\"\n",
                name(number)
            )?;
        }
        fs::write(&path, text).context("cannot write the monitor's configuration")?;
        let mut command = process::pinned(core, &product::monitor(&path)?);
        let (process, address) = product::serve(&mut command)?;
        Ok(Self { process, address, count, _folder: folder })
    }

    /// What it says of all components.
    pub(crate) fn components(&self) -> anyhow::Result<Vec<Component>> {
        let text = http::get(&self.address, "/api/v1/components")?;
        let said: Components = serde_json::from_str(&text)
            .with_context(|| format!("the monitor's components cannot be read: {text}"))?;
        Ok(said.components)
    }

    /// Waits until all components are in this state.
    pub(crate) fn await_all(&self, state: &str) -> anyhow::Result<Vec<Component>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let components = self.components()?;
            let others: Vec<_> = components.iter().filter(|c| c.state != state).collect();
            if others.is_empty() && components.len() == self.count {
                return Ok(components);
            }
            ensure!(
                Instant::now() < deadline,
                "{} of {} components are not {state}, for instance {:?}",
                others.len(),
                components.len(),
                others.first().map(|other| (&other.name, &other.state, &other.error)),
            );
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The name of a component.
pub(crate) fn name(number: usize) -> String {
    format!("c{number}")
}
