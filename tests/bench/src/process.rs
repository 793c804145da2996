//! Processes under measurement: started, asked, pinned to a core, read under `/proc`, and ended
//! with their handle.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail, ensure};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::machine;

/// A child that is killed when its handle goes.
#[derive(Debug)]
pub(crate) struct Running {
    program: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    /// Starts a command whose stdin and stdout are ours.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Ok(Self { program, child, stdin, stdout })
    }

    /// Writes one line to the child's stdin.
    pub(crate) fn write_line(&mut self, line: &str) -> anyhow::Result<()> {
        let line = format!("{line}\n");
        let stdin = self.stdin.as_mut().expect("only finish() takes it");
        stdin
            .write_all(line.as_bytes())
            .with_context(|| format!("{} closed its stdin", self.program))
    }

    /// Waits for the next line of the child's stdout.
    pub(crate) fn read_line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line);
        if read.with_context(|| format!("cannot read from {}", self.program))? == 0 {
            bail!("{} ended: {}", self.program, self.child.wait()?);
        }
        Ok(line.trim_end().to_owned())
    }

    /// Waits until the child says where it listens; gives host and port.
    pub(crate) fn address(&mut self) -> anyhow::Result<String> {
        loop {
            let line = self.read_line()?;
            if let Some((_, url)) = line.split_once("listening on http://") {
                return Ok(url.trim_end_matches('/').to_owned());
            }
        }
    }

    /// Closes the child's stdin and waits for its end, which has to be a good one.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        drop(self.stdin.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "{} ended: {status}", self.program);
        Ok(())
    }

    /// The CPU time that the child has taken so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        // The kernel counts in USER_HZ, which is 100 on every architecture that Rust has as tier 1.
        const TICKS_PER_SECOND: f64 = 100.0;
        let path = format!("/proc/{}/stat", self.child.id());
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        // The name before the last parenthesis may hold anything.
        let (_, fields) = text.rsplit_once(')').with_context(|| format!("{path} has no name"))?;
        let ticks = |place| fields.split_ascii_whitespace().nth(place)?.parse::<f64>().ok();
        let (user, system) = (ticks(11), ticks(12));
        let ticks = user.zip(system).with_context(|| format!("{path} has no CPU times"))?;
        Ok((ticks.0 + ticks.1) / TICKS_PER_SECOND)
    }

    /// The child's resident memory, in MB.
    pub(crate) fn resident_mb(&self) -> anyhow::Result<f64> {
        resident_mb(&self.child.id().to_string())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The resident memory of a process, or of this one for `self`, in MB.
pub(crate) fn resident_mb(process: &str) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/status");
    let text = machine::field(&path, "VmRSS")?;
    let kib: f64 =
        text.trim_end_matches(" kB").parse().with_context(|| format!("{path}: {text}"))?;
    Ok(kib * 1024.0 / 1e6)
}

/// A command that runs on one core only.
pub(crate) fn pinned(core: usize, command: &Command) -> Command {
    let mut pinned = Command::new("taskset");
    pinned.arg("--cpu-list").arg(core.to_string()).arg(command.get_program());
    pinned.args(command.get_args());
    for (key, value) in command.get_envs() {
        pinned.env(key, value.unwrap_or(OsStr::new("")));
    }
    pinned
}

/// This program again, as one of its helpers.
pub(crate) fn helper(name: &str) -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("this program's own path is not known")?;
    let mut command = Command::new(program);
    command.arg(name);
    Ok(command)
}

/// Runs the calling thread on one core only.
pub(crate) fn pin_thread(core: usize) -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).with_context(|| format!("cannot pin to core {core}"))
}
