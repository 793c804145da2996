//! systemd through its own program, for machines without a system bus.

use std::path::Path;
use std::time::Duration;

use super::state::State;
use crate::action::Trouble;
use crate::action::process::{self, Ended};

const PROGRAM: &str = "/usr/bin/systemctl";
const PROPERTIES: &str = "LoadState,ActiveState,SubState,Result,InvocationID,\
                          ExecMainStartTimestamp,ActiveEnterTimestamp,Job";

pub(super) async fn state(unit: &str, limit: Duration) -> Result<State, Trouble> {
    let property = format!("--property={PROPERTIES}");
    let arguments = ["show", &property, "--timestamp=unix", "--", unit];
    let ended = run(&arguments, limit).await?;
    match ended.status.success() {
        true => Ok(parse(&ended.output)),
        false => Err(Trouble::Refused(ended.words())),
    }
}

pub(super) async fn restart(unit: &str, limit: Duration) -> Result<(), Trouble> {
    let start = tokio::time::Instant::now();
    if state(unit, limit).await?.needs_reset() {
        let rest = limit.saturating_sub(start.elapsed());
        // Whether it may is not asked: a unit that is not at its start limit can do without.
        run(&["--no-ask-password", "reset-failed", "--", unit], rest).await?;
    }
    let rest = limit.saturating_sub(start.elapsed());
    let arguments = ["--no-ask-password", "--job-mode=replace", "restart", "--", unit];
    check(&run(&arguments, rest).await?)
}

async fn run(arguments: &[&str], limit: Duration) -> Result<Ended, Trouble> {
    let arguments: Vec<_> = arguments.iter().map(|text| (*text).to_owned()).collect();
    process::run(Path::new(PROGRAM), &arguments, &[], limit).await
}

fn check(ended: &Ended) -> Result<(), Trouble> {
    let denied = ["Access denied", "authentication required", "Failed to connect"];
    match ended.status.success() {
        true => Ok(()),
        false if denied.iter().any(|words| ended.errors.contains(words)) => {
            Err(Trouble::Refused(ended.words()))
        }
        false => Err(Trouble::Failed(ended.words())),
    }
}

/// Lines of `Name=value`; moments are `@` and seconds.
fn parse(text: &str) -> State {
    let value = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        lines.find(|(found, _)| *found == name).map_or("", |(_, value)| value)
    };
    let seconds = |name| value(name).strip_prefix('@').and_then(|text| text.parse::<u64>().ok());
    let started = seconds("ExecMainStartTimestamp").or_else(|| seconds("ActiveEnterTimestamp"));
    State {
        load: value("LoadState").to_owned(),
        active: value("ActiveState").to_owned(),
        sub: value("SubState").to_owned(),
        result: value("Result").to_owned(),
        invocation: value("InvocationID").to_owned(),
        // The second's end: who compares must not take a later start for an earlier one.
        started_at: started.filter(|s| *s > 0).map_or(0, |seconds| seconds * 1000 + 999),
        has_job: !matches!(value("Job"), "" | "0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_show_prints_is_read() {
        let text = "Job=\nResult=exit-code\nExecMainStartTimestamp=@1795516800\nLoadState=loaded\n\
                    ActiveState=failed\nSubState=failed\nActiveEnterTimestamp=@1795516801\n\
                    InvocationID=b543996e0f1d4b0b9e3c9e2f5d1a7c44\n";
        let state = parse(text);
        assert_eq!((state.load.as_str(), state.active.as_str()), ("loaded", "failed"));
        assert_eq!((state.sub.as_str(), state.result.as_str()), ("failed", "exit-code"));
        assert_eq!(state.invocation, "b543996e0f1d4b0b9e3c9e2f5d1a7c44");
        assert_eq!(state.started_at, 1_795_516_800_999);
        assert!(!state.has_job);
        assert!(parse("Job=17\n").has_job);
        assert_eq!(parse("ExecMainStartTimestamp=\nActiveEnterTimestamp=@0\n").started_at, 0);
    }
}
