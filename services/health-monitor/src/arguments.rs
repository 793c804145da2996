//! What the command takes, and the settings that follow from it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use mcp_health_monitor::SECTIONS;
use mcp_health_monitor::config::COMPONENTS;
use mcpmon_bootstrap::process::{self, TwoThings};
use mcpmon_bootstrap::{ConfigErrors, Settings, Sources};

/// What is checked where nobody named anything.
const API: &str = "http://localhost:8000";
const EXPORTER: &str = "http://localhost:9090";

/// Probes MCP servers and what they need, keeps their states, tells people once.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// Checks every component once, prints the result and ends; exit code 0 green, 1 yellow, 2 red,
    /// 3 unknown
    #[arg(long)]
    pub(crate) once: bool,
    /// Seconds between the checks of a component
    #[arg(long, value_name = "SECONDS")]
    interval: Option<f64>,
    /// How `--once` prints
    #[arg(long, value_enum, default_value_t = Format::Text, requires = "once")]
    pub(crate) format: Format,
    /// Checks this API too, at /health where the URL has no path [env: DEVSKYY_API_URL]
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// Checks this exporter too, at /health where the URL has no path
    #[arg(long, value_name = "URL")]
    metrics_url: Option<String>,
    /// Slack's incoming webhook; better in the environment or a file, for others see a command
    /// line [env: SLACK_WEBHOOK_URL or SLACK_WEBHOOK_URL_FILE]
    #[arg(long, value_name = "URL")]
    slack_webhook: Option<String>,
    /// TOML file; docs/CONFIG.md lists its keys and the environment variables over them
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Checks the configuration and ends
    #[arg(long)]
    pub(crate) check_config: bool,
    /// Asks the monitor that runs with this configuration whether it is ready; exit code 70 says no
    #[arg(long, conflicts_with_all = ["check_config", "once"])]
    pub(crate) health: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// How `--once` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// What an operator tells the running monitor.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Maintenance windows: the component is checked, and nobody is told
    Maintenance {
        #[command(subcommand)]
        command: Maintenance,
    },
    /// Says that a component's present trouble is known, and that tools which vanished are gone
    Ack { component: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Maintenance {
    /// Opens a window, or changes the one that is open
    Start {
        /// The component; `_all` for every one
        component: String,
        /// How long, such as 30m or 2h
        #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
        duration: Duration,
        #[arg(long)]
        reason: String,
    },
    /// Closes a window
    End { component: String },
    /// Lists the windows that are open
    List,
}

impl Arguments {
    /// See [`process::one_request`].
    ///
    /// # Errors
    /// When a command stands beside an option that is a request itself.
    pub(crate) fn one_request(&self) -> Result<(), TwoThings> {
        process::one_request(
            self.command.is_some(),
            &[
                ("--once", self.once),
                ("--check-config", self.check_config),
                ("--health", self.health),
            ],
        )
    }

    /// The settings of this command line, the environment and the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigErrors> {
        // Which components there are decides which of the old names have a meaning.
        let named = Settings::load(self.sources())?.tables(COMPONENTS);
        let mut sources = self.sources();
        let environment =
            |name: &str| sources.environment.get(name).filter(|value| !value.is_empty()).cloned();
        let (api, key) = (environment("DEVSKYY_API_URL"), environment("DEVSKYY_API_KEY"));
        let default = named.is_empty();
        if let Some((origin, url)) = chosen(&self.api_url, api, default.then_some(API)) {
            sources = http(sources, "api", origin, &url);
            if key.is_some() {
                sources = sources.alias("DEVSKYY_API_KEY", &format!("{COMPONENTS}.api.token"));
            }
        }
        let exporter = chosen(&self.metrics_url, None, default.then_some(EXPORTER));
        if let Some((origin, url)) = exporter {
            sources = http(sources, "metrics_server", origin, &url);
        }
        Settings::load(sources)
    }

    fn sources(&self) -> Sources {
        Sources::from_process(self.config.clone(), SECTIONS)
            .alias("RUST_LOG", "log.filter")
            .alias("SLACK_WEBHOOK_URL", "slack.webhook_url")
            .alias("SLACK_WEBHOOK_URL_FILE", "slack.webhook_url_file")
            .flag("--interval", "health_monitor.interval_seconds", self.interval)
            .flag("--slack-webhook", "slack.webhook_url", self.slack_webhook.as_ref())
    }
}

/// The URL that counts, and where it comes from.
fn chosen(
    flag: &Option<String>,
    environment: Option<String>,
    default: Option<&str>,
) -> Option<(&'static str, String)> {
    let default = default.map(|url| ("the default", url.to_owned()));
    let environment = environment.filter(|_| default.is_some());
    flag.clone()
        .map(|url| ("the command line", url))
        .or(environment.map(|url| ("DEVSKYY_API_URL", url)))
        .or(default)
}

/// Adds a component of kind `http`.
fn http(sources: Sources, name: &str, origin: &str, url: &str) -> Sources {
    let key = |key: &str| format!("{COMPONENTS}.{name}.{key}");
    sources.flag(origin, &key("kind"), Some("http")).flag(origin, &key("url"), Some(health_of(url)))
}

/// A URL without a path means the health endpoint there.
fn health_of(url: &str) -> String {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
    if after_scheme.contains(['/', '?']) {
        url.to_owned()
    } else {
        format!("{}/health", url.trim_end_matches('/'))
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

    #[test]
    fn a_command_stands_alone() {
        let parse = |words: &[&str]| Arguments::try_parse_from([&["m"], words].concat()).unwrap();
        assert!(parse(&["--config", "f", "ack", "api"]).one_request().is_ok());
        for flag in ["--once", "--check-config", "--health"] {
            assert!(parse(&[flag]).one_request().is_ok());
            let error = parse(&[flag, "ack", "api"]).one_request().unwrap_err();
            assert!(error.to_string().starts_with(flag));
        }
    }

    #[test]
    fn a_url_without_a_path_means_its_health_endpoint() {
        for (given, meant) in [
            ("http://localhost:8000", "http://localhost:8000/health"),
            ("http://localhost:8000/", "http://localhost:8000/health"),
            ("http://localhost:8000/status", "http://localhost:8000/status"),
        ] {
            assert_eq!(health_of(given), meant);
        }
    }
}
