//! All that takes part: the server, what stands before it, and the exporter.

use crate::cores::{self, Cores, OTHER};
use crate::peers::{self, Listening};
use crate::process::{self, Running};
use crate::product;

/// The programs, and where they listen.
#[derive(Debug)]
pub(super) struct Cast {
    _exporter: Running,
    _origin: Running,
    _relay: Running,
    _blind: Running,
    /// The tap that observes.
    pub(super) tap: Running,
    pub(super) exporter: String,
    pub(super) direct: String,
    pub(super) relayed: String,
    pub(super) tapped: String,
    pub(super) unobserved: String,
    pub(super) theirs: Listening,
    pub(super) python: Listening,
}

impl Cast {
    pub(super) fn start(cores: Cores) -> anyhow::Result<Self> {
        let middle = cores.of_middle();
        let apart = middle.map(|_| OTHER);
        let (exporter_process, exporter) = cores::serve(apart, product::exporter()?)?;
        let (origin, direct) =
            cores::serve(cores.of_client(), process::helper("echo-http-helper")?)?;
        let mut relay = process::helper("relay-helper")?;
        relay.arg(&direct);
        let (relay, relayed) = cores::serve(middle, relay)?;
        let (tap, tapped) = cores::serve(middle, product::tapped_http(&exporter, &direct, true)?)?;
        let (blind, unobserved) =
            cores::serve(middle, product::tapped_http(&exporter, &direct, false)?)?;
        let theirs = peers::crate_before(&direct, |command| cores::on(middle, command))?;
        let python = peers::python_bridge_to_stdio(|command| cores::on(middle, command))?;
        Ok(Self {
            _exporter: exporter_process,
            _origin: origin,
            _relay: relay,
            _blind: blind,
            tap,
            exporter,
            direct,
            relayed,
            tapped,
            unobserved,
            theirs,
            python,
        })
    }
}
