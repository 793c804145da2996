//! Which cores the programs of a benchmark have.

use std::process::Command;

use crate::process::{self, Running};
use crate::product;

/// Where the programs run. A thread that wakes another on its own core hands over in a few
/// microseconds; on another core of a virtual machine it takes several times as long. Which it is,
/// the scheduler decides anew all the time, and it is no work of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cores {
    /// Client, server and what is between them share one: what is measured is their work.
    One,
    /// What is between them has another core than they.
    Apart,
    /// Where the scheduler puts them.
    Any,
}

/// The core of client and server, where they have one.
const ENDS: usize = 1;
/// The other one.
pub(crate) const OTHER: usize = 0;

impl Cores {
    /// The core of the client's threads.
    pub(crate) fn of_client(self) -> Option<usize> {
        (self != Self::Any).then_some(ENDS)
    }

    /// The core of what is between client and server.
    pub(crate) fn of_middle(self) -> Option<usize> {
        match self {
            Self::One => Some(ENDS),
            Self::Apart => Some(OTHER),
            Self::Any => None,
        }
    }

    /// How a table calls it.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::One => "all on one core",
            Self::Apart => "what is between client and server on another core",
            Self::Any => "on any core",
        }
    }
}

/// The command, on that core if there is one.
pub(crate) fn on(core: Option<usize>, command: Command) -> Command {
    match core {
        Some(core) => process::pinned(core, &command),
        None => command,
    }
}

/// Starts a server on that core if there is one, and waits for its address.
pub(crate) fn serve(core: Option<usize>, command: Command) -> anyhow::Result<(Running, String)> {
    product::serve(&mut on(core, command))
}
