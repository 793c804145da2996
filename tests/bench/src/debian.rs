//! Baselines out of Debian's packages.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::python;

/// The program of the package that has its name, unpacked into the cache: its service would start
/// at once if it were installed.
pub(crate) fn program(package: &str) -> anyhow::Result<PathBuf> {
    let folder = python::cache()?.join(package);
    let program = folder.join("usr/bin").join(package);
    if !program.exists() {
        eprintln!("bench: unpacking Debian's package {package}");
        let advice = format!("the baseline {package} needs apt-get and Debian's package lists");
        // apt downloads as a user that may not enter the cache.
        let download = std::env::temp_dir().join(format!("mcpmon-bench-{}", std::process::id()));
        fs::create_dir_all(&download).context("cannot make a folder for the download")?;
        let mut apt = Command::new("apt-get");
        apt.args(["-q", "download", package]).current_dir(&download);
        python::run(&mut apt).context(advice.clone())?;
        let file = fs::read_dir(&download)?.next().context("apt-get downloaded nothing")??;
        python::run(Command::new("dpkg").arg("-x").arg(file.path()).arg(&folder))
            .context(advice)?;
        fs::remove_dir_all(&download).context("cannot remove the download")?;
    }
    Ok(program)
}
