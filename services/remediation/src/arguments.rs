//! What the command takes, and the settings that follow from it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use mcp_remediation::SECTIONS;
use mcpmon_bootstrap::process::{self, TwoThings};
use mcpmon_bootstrap::{ConfigErrors, Settings, Sources};

/// Repairs known failures: guarded, verified and on record.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// TOML file; docs/CONFIG.md lists its keys and the environment variables over them
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Checks the configuration and ends
    #[arg(long)]
    pub(crate) check_config: bool,
    /// Asks the remediation that runs with this configuration whether it is ready; exit code 70
    /// says no
    #[arg(long, conflicts_with = "check_config")]
    pub(crate) health: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What an operator tells the running remediation, or asks of it.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Says which rule answers an incident, what would be decided and why; acts on nothing
    Explain {
        /// A file with an incident, such as {"component":"api","failure":"connection_refused"}, or
        /// an Alertmanager webhook body; `-` for standard input
        file: String,
        /// By the configuration alone, without asking the service
        #[arg(long)]
        offline: bool,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Prints what was decided and done, the newest first
    History {
        /// How many records
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
        /// Only records before this number
        #[arg(long, value_name = "NUMBER")]
        before: Option<u64>,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Lets the actions for an incident go on that waits for it
    Approve {
        /// The incident's key, `<component>@<milliseconds>`
        key: String,
    },
    /// Repairs nothing for a while; the component is checked, and nobody is told
    Pause {
        /// The component; `_all` for every one
        component: String,
        /// How long, such as 30m or 2h
        #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
        duration: Duration,
        #[arg(long)]
        reason: String,
    },
    /// Ends a pause
    Resume { component: String },
    /// Gives a component its budget back, `_system` for all together
    CloseCircuit { component: String },
}

impl Arguments {
    /// See [`process::one_request`].
    ///
    /// # Errors
    /// When a command stands beside an option that is a request itself.
    pub(crate) fn one_request(&self) -> Result<(), TwoThings> {
        process::one_request(
            self.command.is_some(),
            &[("--check-config", self.check_config), ("--health", self.health)],
        )
    }

    /// The settings of this command line, the environment and the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigErrors> {
        let sources =
            Sources::from_process(self.config.clone(), SECTIONS).alias("RUST_LOG", "log.filter");
        Settings::load(sources)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }
}
