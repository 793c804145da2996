//! The machine's shape, for the page of figures: nothing that names the machine itself.

use std::fs;
use std::thread;

use anyhow::Context;

/// Cores, processor and memory in one line.
pub(crate) fn shape() -> anyhow::Result<String> {
    let cores = cores()?;
    let cpu = field("/proc/cpuinfo", "model name")?;
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

/// The value of the first line `name : value` of a file under `/proc`.
pub(crate) fn field(path: &str, name: &str) -> anyhow::Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines
        .find(|(key, _)| key.trim() == name)
        .with_context(|| format!("{path} has no line {name:?}"))?;
    Ok(value.trim().to_owned())
}
