//! The Python baselines: their environment, and a program that is asked line by line.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::machine;
use crate::process::Running;

const REQUIREMENTS: &str = include_str!("../python/requirements.txt");

/// A Python program that answers each line with a line.
#[derive(Debug)]
pub(crate) struct Interpreter(Running);

impl Interpreter {
    pub(crate) fn start(script: &str) -> anyhow::Result<Self> {
        Running::start(&mut command(script)?).map(Self)
    }

    pub(crate) fn ask(&mut self, request: &str) -> anyhow::Result<String> {
        self.0.write_line(request)?;
        self.0.read_line()
    }
}

/// The command that runs a script of `python/`.
pub(crate) fn command(script: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(environment("", REQUIREMENTS)?.join("bin/python"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script));
    Ok(command)
}

/// Where programs live that the benchmarks install: outside the clone, with those of the tests.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    if let Some(cache) = std::env::var_os("MCPMON_CACHE") {
        return Ok(cache.into());
    }
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = base.or_else(home).context("HOME is not set; set MCPMON_CACHE to a folder")?;
    Ok(base.join("mcpmon"))
}

/// The environment with `requirements`, which are those of this folder of `python/`, made when it
/// is not there.
pub(crate) fn environment(folder: &str, requirements: &str) -> anyhow::Result<PathBuf> {
    let mut digest = DefaultHasher::new();
    requirements.hash(&mut digest);
    let made = cache()?.join(format!("python-bench-{:012x}", digest.finish() >> 16));
    let complete = made.join(".complete");
    if !complete.exists() {
        machine::need("python3", "python3-venv")?;
        let file = Path::new("python").join(folder).join("requirements.txt");
        eprintln!("bench: installing the Python packages of tests/bench/{}", file.display());
        let advice = "the Python baselines need python3 with venv, and PyPI or a mirror of it";
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&made)).context(advice)?;
        let mut pip = Command::new(made.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        run(pip.arg("--requirement").arg(file)).context(advice)?;
        fs::write(&complete, "").with_context(|| format!("cannot write {}", complete.display()))?;
    }
    Ok(made)
}

/// Runs a command to its end, which has to be a good one.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {program}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} failed: {}: {}", output.status, errors.trim());
    Ok(())
}
