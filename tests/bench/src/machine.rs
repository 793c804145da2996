//! The machine: its shape, for the page of figures, with nothing that names the machine itself; and
//! the programs that it has to have.

use std::env;
use std::fs;
use std::thread;

use anyhow::{Context, bail};

/// Cores, processor and memory in one line.
pub(crate) fn shape() -> anyhow::Result<String> {
    let cores = cores()?;
    let mut cpu = field("/proc/cpuinfo", "model name")?;
    // A name may stand for processors of many years.
    if let Ok(family) = field("/proc/cpuinfo", "cpu family") {
        cpu = format!("{cpu} of family {family}");
    }
    let kib: f64 = field("/proc/meminfo", "MemTotal")?
        .trim_end_matches(" kB")
        .parse()
        .context("MemTotal in /proc/meminfo is no number of kB")?;
    Ok(format!("{cores} cores of {cpu}, {:.0} GiB of memory, Linux.", kib / 1024.0 / 1024.0))
}

/// How many cores there are to pin to.
pub(crate) fn cores() -> anyhow::Result<usize> {
    Ok(thread::available_parallelism().context("the number of cores is not known")?.get())
}

/// How much other work the machine has: what a benchmark asks before it begins, so that who reads
/// its figures knows.
pub(crate) fn load() -> anyhow::Result<String> {
    let text = fs::read_to_string("/proc/loadavg").context("cannot read /proc/loadavg")?;
    let load = text.split(' ').next().unwrap_or_default();
    Ok(format!("The load average was {load} on {} cores when this began.", cores()?))
}

/// Fails when a program is missing, before anything has been built and measured for it.
pub(crate) fn need(program: &str, package: &str) -> anyhow::Result<()> {
    let path = env::var_os("PATH").unwrap_or_default();
    if !env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        bail!(
            "{program} is missing; Debian has it as package {package}, which `make bench` installs"
        );
    }
    Ok(())
}

/// The value of the first line `name : value` of a file under `/proc`.
pub(crate) fn field(path: &str, name: &str) -> anyhow::Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines
        .find(|(key, _)| key.trim() == name)
        .with_context(|| format!("{path} has no line {name:?}"))?;
    Ok(value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        need("sh", "dash").unwrap();
        assert_eq!(
            need("no-such-program", "wrk").unwrap_err().to_string(),
            "no-such-program is missing; Debian has it as package wrk, which `make bench` installs"
        );
    }
}
