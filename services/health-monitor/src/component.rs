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
    /// After this time a check has failed.
    pub deadline: Duration,
    /// An answer that takes longer is slow, and the component degraded.
    pub slow: Duration,
    pub probe: Arc<dyn Probe>,
}
