//! All that takes part: the server, what stands before it, and the exporter.

use std::process::Command;

use crate::peers::{self, Listening};
use crate::process::{self, Running};
use crate::product;

/// Where the programs run. A thread that wakes another on its own core hands over in a few
/// microseconds; on another core of a virtual machine it takes several times as long. Which it is,
/// the scheduler decides anew all the time, and it is no work of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cores {
    /// Client, server and what is between them share one: what is measured is their work.
    One,
    /// What is between them has another core than they.
    Apart,
    /// Where the scheduler puts them.
    Any,
}

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

/// The core of client and server, where they have one.
const ENDS: usize = 1;
const OTHER: usize = 0;

impl Cores {
    /// The core of the client's threads.
    pub(super) fn of_client(self) -> Option<usize> {
        (self != Self::Any).then_some(ENDS)
    }

    fn of_middle(self) -> Option<usize> {
        match self {
            Self::One => Some(ENDS),
            Self::Apart => Some(OTHER),
            Self::Any => None,
        }
    }

    /// How a table calls it.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::One => "all on one core",
            Self::Apart => "what is between client and server on another core",
            Self::Any => "on any core",
        }
    }
}

impl Cast {
    pub(super) fn start(cores: Cores) -> anyhow::Result<Self> {
        let middle = cores.of_middle();
        let apart = middle.map(|_| OTHER);
        let (exporter_process, exporter) = serve(apart, product::exporter()?)?;
        let (origin, direct) = serve(cores.of_client(), process::helper("echo-http-helper")?)?;
        let mut relay = process::helper("relay-helper")?;
        relay.arg(&direct);
        let (relay, relayed) = serve(middle, relay)?;
        let (tap, tapped) = serve(middle, product::tapped_http(&exporter, &direct, true)?)?;
        let (blind, unobserved) = serve(middle, product::tapped_http(&exporter, &direct, false)?)?;
        let theirs = peers::crate_before(&direct, |command| on(middle, command))?;
        let python = peers::python_bridge_to_stdio(|command| on(middle, command))?;
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

fn serve(core: Option<usize>, command: Command) -> anyhow::Result<(Running, String)> {
    product::serve(&mut on(core, command))
}

fn on(core: Option<usize>, command: Command) -> Command {
    match core {
        Some(core) => process::pinned(core, &command),
        None => command,
    }
}
