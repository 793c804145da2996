//! The words behind `mcp-tap wrap`.

use std::path::PathBuf;

use clap::Parser;

use super::files::Client;

/// Puts mcp-tap before the stdio servers of existing MCP client configurations.
///
/// Each file is backed up beside itself. Comments, unknown keys and blanks stay as they are.
/// Restart the client afterwards.
#[derive(Debug, Parser)]
#[command(name = "mcp-tap wrap", bin_name = "mcp-tap wrap", version)]
pub(super) struct Arguments {
    /// Take the tap away again
    #[arg(long)]
    pub(super) undo: bool,

    /// Show what would be changed, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Whose configuration; may be given several times [default: claude, cursor and vscode]
    #[arg(long, value_enum, value_name = "CLIENT")]
    pub(super) client: Vec<Client>,

    /// This file instead; may be given several times
    #[arg(long, value_name = "FILE", conflicts_with = "client")]
    pub(super) file: Vec<PathBuf>,

    /// The exporter that the taps are to report to [default: the tap's own default]
    #[arg(long, value_name = "URL", conflicts_with = "undo", value_parser = exporter)]
    pub(super) exporter: Option<String>,

    /// A file with the exporter's write token
    #[arg(long, value_name = "FILE", conflicts_with = "undo")]
    pub(super) token_file: Option<PathBuf>,

    /// The taps' configuration, see `mcp-tap --help`
    #[arg(long, value_name = "FILE", conflicts_with = "undo")]
    pub(super) config: Option<PathBuf>,
}

fn exporter(url: &str) -> Result<String, String> {
    let is_http = url.starts_with("http://") || url.starts_with("https://");
    if is_http { Ok(url.to_owned()) } else { Err("expected http:// or https://".into()) }
}
