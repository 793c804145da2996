//! Other programs that stand between a client and a server, started as their pages say and with
//! nothing switched on that they need not do. None of them passes messages as they are: each ends
//! the session and begins another. The Python programs are in an environment of their own.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::process::{self, Running};
use crate::{http, python};

const REQUIREMENTS: &str = include_str!("../python/peers/requirements.txt");

/// The path of the crate's endpoint.
pub(crate) const PATH_OF_CRATE: &str = "/";
/// The tool's name behind the crate, which puts the server's name before it.
pub(crate) const TOOL_BEHIND_CRATE: &str = "bench/echo";

/// A peer that listens.
#[derive(Debug)]
pub(crate) struct Listening {
    _process: Running,
    pub(crate) address: String,
    _folder: Option<TempDir>,
}

/// `mcp-proxy` of crates.io: HTTP in front of an HTTP server, without any of its middleware; run
/// where `place` puts it.
pub(crate) fn crate_before(
    origin: &str,
    place: impl FnOnce(Command) -> Command,
) -> anyhow::Result<Listening> {
    let path = env::var_os("MCPMON_BENCH_MCP_PROXY_CRATE").map(PathBuf::from);
    let program = path.filter(|path| path.is_file());
    let program = program.context("the crate mcp-proxy is missing; `make bench` installs it")?;
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let config = folder.path().join("proxy.toml");
    let address = free_address()?;
    let port = address.rsplit(':').next().unwrap_or_default();
    let text = format!(
        "[proxy]\nname = \"peer\"\n[proxy.listen]\nhost = \"127.0.0.1\"\nport = {port}\n\
         [[backends]]\nname = \"bench\"\ntransport = \"http\"\nurl = \"http://{origin}/mcp\"\n\
         [observability]\naudit = false\nlog_level = \"error\"\n"
    );
    fs::write(&config, text).context("cannot write the configuration of mcp-proxy")?;
    let mut command = Command::new(program);
    command.arg("--config").arg(config);
    let process = Running::start(&mut place(command))?;
    http::await_answer(&address, "/admin/health")?;
    Ok(Listening { _process: process, address, _folder: Some(folder) })
}

/// `mcp-proxy` of PyPI with HTTP in front: a bridge to a stdio server, for it cannot have HTTP on
/// both sides.
pub(crate) fn python_bridge_to_stdio(
    place: impl FnOnce(Command) -> Command,
) -> anyhow::Result<Listening> {
    let address = free_address()?;
    let port = address.rsplit(':').next().unwrap_or_default();
    let echo = process::helper("echo-helper")?;
    let mut command = program("mcp-proxy")?;
    command.args(["--log-level", "ERROR", "--port", port, "--"]);
    command.arg(echo.get_program()).args(echo.get_args());
    let process = Running::start(&mut place(command))?;
    http::await_answer(&address, "/status")?;
    Ok(Listening { _process: process, address, _folder: None })
}

/// `mcp-proxy` of PyPI with stdio in front: a bridge to an HTTP server, for it cannot have stdio on
/// both sides.
pub(crate) fn python_bridge_to_http(origin: &str) -> anyhow::Result<Command> {
    let mut command = program("mcp-proxy")?;
    command.args(["--log-level", "ERROR", "--transport", "streamablehttp"]);
    command.arg(format!("http://{origin}/mcp"));
    Ok(command)
}

/// `talyx` of PyPI: stdio on both sides, with metrics of what passes.
pub(crate) fn talyx() -> anyhow::Result<Command> {
    let port = free_address()?.rsplit(':').next().unwrap_or_default().to_owned();
    let echo = process::helper("echo-helper")?;
    let mut command = program("talyx")?;
    command.env("TALYX_METRICS_PORT", port).arg("--");
    command.arg(echo.get_program()).args(echo.get_args());
    Ok(command)
}

fn program(name: &str) -> anyhow::Result<Command> {
    let program = python::environment("peers", REQUIREMENTS)?.join("bin").join(name);
    ensure!(program.is_file(), "{} is missing", program.display());
    Ok(Command::new(program))
}

/// An address that was free a moment ago, for programs that do not say which one they got.
fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
