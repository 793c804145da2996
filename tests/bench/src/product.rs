//! The product's own programs, each built alone as it is shipped: building them together would
//! unify features and measure something else.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::process::{self, Running};

/// Builds a package and gives its program; or takes it from `MCPMON_BINARIES`, as the end-to-end
/// tests do.
fn build(package: &str) -> anyhow::Result<PathBuf> {
    if let Some(folder) = env::var_os("MCPMON_BINARIES") {
        return Ok(PathBuf::from(folder).join(package));
    }
    eprintln!("bench: building {package}");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // Where this program stands, its own build put it.
    let folder = env::current_exe()?.parent().context("no target folder")?.to_owned();
    let target = folder.parent().context("no target folder")?;
    command.args(["build", "--quiet", "--release", "--package", package, "--target-dir"]);
    let status = command
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "cargo could not build {package}: {status}");
    Ok(target.join("release").join(package))
}

/// The command that runs an exporter of one worker on a port of its own.
pub(crate) fn exporter() -> anyhow::Result<Command> {
    let mut command = Command::new(build("mcp-exporter")?);
    command.env("METRICS_PORT", "0").env("MCPMON__EXPORTER__WORKERS", "1");
    command.env("RUST_LOG", "warn");
    Ok(command)
}

/// The command that runs the echo server behind a tap.
pub(crate) fn tapped_echo(exporter: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(build("mcp-tap")?);
    let echo = process::helper("echo-helper")?;
    command.args(["--server", "bench", "--exporter", &format!("http://{exporter}"), "--"]);
    command.arg(echo.get_program()).args(echo.get_args());
    Ok(command)
}

/// The command that runs a tap in front of an HTTP server.
pub(crate) fn tapped_http(exporter: &str, origin: &str, observed: bool) -> anyhow::Result<Command> {
    let mut command = Command::new(build("mcp-tap")?);
    command.args(["--listen", "127.0.0.1:0", "--exporter", &format!("http://{exporter}")]);
    command.args(["--upstream", &format!("bench=http://{origin}/mcp")]);
    if !observed {
        command.arg("--unobserved");
    }
    Ok(command)
}

/// The command that runs a monitor with this configuration.
pub(crate) fn monitor(config: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(build("mcp-health-monitor")?);
    command.arg("--config").arg(config).env("RUST_LOG", "error");
    Ok(command)
}

/// Starts a server and waits for its address.
pub(crate) fn serve(command: &mut Command) -> anyhow::Result<(Running, String)> {
    let mut server = Running::start(command)?;
    let address = server.address()?;
    Ok((server, address))
}
