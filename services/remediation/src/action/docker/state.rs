//! What an engine's description of a container says about whose move it is.
//!
//! An engine shows a container as `restarting` from the moment it ends until its restart policy
//! brings it back, so one that is `exited` comes back by nobody: it was stopped or killed through
//! the engine, its policy does not cover its end, or the policy gave up. Whether it was a person is
//! told by the exit code alone: 0 and 143 are those of a program that was asked to end. One that
//! ignores SIGTERM is killed by `docker stop` and ends with 137, as a crash may.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum as Status};

use crate::action::{Condition, Run, Sight};

/// A container that was brought back and has run for less than this may be on its next way down.
/// After this time engines too begin their back-off anew.
const SETTLED: Duration = Duration::from_secs(10);

/// The exit codes of a program that ended by itself without a fault, or because of SIGTERM.
const ASKED_TO_END: [i64; 2] = [0, 143];

pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `None` when the description lacks the state. `now` counts from the Unix epoch.
pub(super) fn sight(
    found: &ContainerInspectResponse,
    act_on_stopped: bool,
    now: Duration,
) -> Option<Sight> {
    let state = found.state.as_ref()?;
    // A container that never ran has the year 1, which is no Unix time.
    let run = state.started_at.as_deref().and_then(run);
    let stopped = |why: String| match act_on_stopped {
        true => Condition::Ours,
        false => Condition::Stopped(why),
    };
    let condition = match state.status? {
        Status::RUNNING if state.restarting == Some(true) => supervised("restarting"),
        Status::RUNNING if is_unsettled(found.restart_count, run.as_ref(), now) => {
            supervised("running again for less than 10 s")
        }
        Status::RUNNING => Condition::Ours,
        Status::EXITED => match state.exit_code? {
            code if ASKED_TO_END.contains(&code) => stopped(format!("exited with {code}")),
            _ => Condition::Ours,
        },
        Status::PAUSED => stopped("paused".to_owned()),
        Status::CREATED => stopped("created and never started".to_owned()),
        Status::RESTARTING | Status::REMOVING | Status::DEAD | Status::STOPPING => {
            supervised(state.status?.as_ref())
        }
        Status::EMPTY => return None,
    };
    Some(Sight { run, condition })
}

fn supervised(how: &str) -> Condition {
    Condition::Supervised(how.to_owned())
}

fn run(started_at: &str) -> Option<Run> {
    let since = humantime::parse_rfc3339(started_at).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let started_at_millis = u64::try_from(since.as_millis()).ok().filter(|millis| *millis > 0)?;
    Some(Run { generation: started_at.to_owned(), started_at: started_at_millis })
}

/// Whether its restart policy brought it back a moment ago. The count begins anew when somebody
/// starts it.
fn is_unsettled(restart_count: Option<i64>, run: Option<&Run>, now: Duration) -> bool {
    let age = run.and_then(|run| now.checked_sub(Duration::from_millis(run.started_at)));
    restart_count.is_some_and(|count| count > 0) && age.is_some_and(|age| age < SETTLED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: &str = "2026-11-22T10:00:00.123456789Z";

    fn seen(state: &serde_json::Value, restart_count: i64, age: u64) -> Condition {
        let text = serde_json::json!({ "State": state, "RestartCount": restart_count });
        let found = serde_json::from_value(text).unwrap();
        let start = humantime::parse_rfc3339(STARTED).unwrap().duration_since(UNIX_EPOCH).unwrap();
        let sight = sight(&found, false, start + Duration::from_secs(age)).unwrap();
        if let Some(run) = sight.run {
            assert_eq!((run.generation.as_str(), run.started_at % 1000), (STARTED, 123));
        }
        sight.condition
    }

    fn state(status: &str, code: i64) -> serde_json::Value {
        serde_json::json!({ "Status": status, "ExitCode": code, "StartedAt": STARTED })
    }

    #[test]
    fn whose_move_it_is_follows_from_the_state() {
        let stopped = |why: &str| Condition::Stopped(why.to_owned());
        assert_eq!(seen(&state("running", 0), 0, 1), Condition::Ours);
        assert_eq!(seen(&state("running", 0), 3, 11), Condition::Ours);
        assert!(matches!(seen(&state("running", 0), 3, 9), Condition::Supervised(_)));
        assert_eq!(seen(&state("exited", 137), 0, 1), Condition::Ours);
        assert_eq!(seen(&state("exited", 1), 5, 1), Condition::Ours);
        assert_eq!(seen(&state("exited", 0), 0, 1), stopped("exited with 0"));
        assert_eq!(seen(&state("exited", 143), 0, 1), stopped("exited with 143"));
        assert_eq!(seen(&state("paused", 0), 0, 1), stopped("paused"));
        for status in ["restarting", "removing", "dead", "stopping"] {
            let expected = Condition::Supervised(status.to_owned());
            assert_eq!(seen(&state(status, 1), 0, 1), expected);
        }
        let new = serde_json::json!({ "Status": "created", "StartedAt": "0001-01-01T00:00:00Z" });
        assert_eq!(seen(&new, 0, 1), stopped("created and never started"));
    }
}
