//! From what was found to what is known: a component's next record. Pure; the check calls it, and
//! so do the tests.
//!
//! Hysteresis both ways. A component that is known to be well fails softly: it is degraded until
//! three failures in a row, or five of the last twelve, say that it is in trouble. Trouble lasts
//! until two successes in a row; while five of the last twelve failed they do not end it, the
//! component is flapping: degraded, in one and the same trouble. A component that never answered
//! has no good name to lose and is unhealthy at once, but in trouble only after three failures.

use mcpmon_coordination::incident::Failure;
use mcpmon_coordination::streak::{CheckResult, History};

use crate::component::Component;
use crate::drift;
use crate::finding::{Finding, Outcome, Unknown};
use crate::record::{Record, State};

/// Failures in a row that are trouble.
const FAILURES: u32 = 3;
/// Failures among the last twelve that are trouble.
const RECENT_FAILURES: usize = 5;
/// Successes in a row that end it.
const SUCCESSES: u32 = 2;

/// One check: when it was scheduled, when it ended, and what it found.
#[derive(Debug)]
pub struct Check<'c> {
    /// Unix milliseconds.
    pub slot: u64,
    /// Unix milliseconds.
    pub ended_at: u64,
    pub finding: &'c Finding,
}

/// What is known after a check. `history` holds its result already, if it counts.
#[must_use]
pub fn next_record(
    component: &Component,
    previous: Option<&Record>,
    check: &Check<'_>,
    history: &History,
) -> Record {
    let finding = check.finding;
    let Judgement { state, in_trouble, warning } = match finding.outcome {
        Outcome::Unknown(why) => Judgement {
            state: match why {
                Unknown::OurSide => State::Unknown,
                Unknown::UnsupportedTransport => State::UnsupportedTransport,
                Unknown::RateLimited => State::RateLimited,
            },
            // What nobody could see neither began nor ended.
            in_trouble: previous.is_some_and(|record| record.in_trouble),
            warning: None,
        },
        Outcome::Ok => answered(component, previous, finding, history),
        Outcome::Fail(failure) => failed(previous, failure, history),
    };
    let up = match finding.outcome {
        Outcome::Unknown(_) => previous.and_then(|record| record.up),
        Outcome::Ok | Outcome::Fail(_) => Some(is_up(state)),
    };
    let tools = drift::tools(previous.and_then(|record| record.tools.as_ref()), finding, up);
    let (state, warning) = match drift::vanished(tools.as_ref()) {
        Some(vanished) if state == State::Healthy => (State::Degraded, Some(vanished)),
        _ => (state, warning),
    };
    // The incident keeps its name over a whole flapping episode.
    let began = previous.filter(|record| record.in_trouble && in_trouble);
    let first_failed_at = match began.and_then(|record| record.first_failed_at) {
        Some(began) => Some(began),
        None => history.first_failed_at(),
    };
    let same_state = previous.filter(|record| record.state == state);
    let unknown = matches!(finding.outcome, Outcome::Unknown(Unknown::OurSide));
    let unknown_before = previous.map_or(0, |record| record.consecutive_unknown);
    Record {
        kind: component.kind.to_owned(),
        server: component.server.clone(),
        group: component.group.clone(),
        depends_on: component.depends_on.clone(),
        interval_ms: milliseconds(component.interval.as_secs_f64()),
        slot: check.slot,
        checked_at: check.ended_at,
        state,
        since: same_state.map_or(check.ended_at, |record| record.since),
        outcome: finding.outcome,
        up,
        in_trouble,
        latency_ms: finding.latency.map(|latency| milliseconds(latency.as_secs_f64())),
        error: finding.error.clone(),
        warning,
        consecutive_failures: history.consecutive_failures(),
        consecutive_unknown: if unknown { unknown_before.saturating_add(1) } else { 0 },
        first_failed_at,
        not_before: finding
            .retry_after
            .map(|wait| check.ended_at.saturating_add(milliseconds(wait.as_secs_f64()))),
        tools,
    }
}

struct Judgement {
    state: State,
    in_trouble: bool,
    warning: Option<String>,
}

fn answered(
    component: &Component,
    previous: Option<&Record>,
    finding: &Finding,
    history: &History,
) -> Judgement {
    let was_in_trouble = previous.filter(|record| record.in_trouble);
    let degraded = |warning: String, in_trouble| Judgement {
        state: State::Degraded,
        in_trouble,
        warning: Some(warning),
    };
    if let Some(record) = was_in_trouble {
        if history.recent_failures() >= RECENT_FAILURES {
            return degraded(flapping(history), true);
        }
        if history.consecutive_successes() < SUCCESSES {
            let warning = format!(
                "answers again; {SUCCESSES} successes in a row are needed, {} so far",
                history.consecutive_successes()
            );
            // What it was called when it failed last; not what our own blindness made of it.
            let state = if is_severe(record.state) { record.state } else { State::Unhealthy };
            return Judgement { state, in_trouble: true, warning: Some(warning) };
        }
    }
    let slow = finding.latency.filter(|latency| *latency >= component.slow);
    match (&finding.warning, slow) {
        (Some(warning), _) => degraded(warning.clone(), false),
        (None, Some(latency)) => degraded(
            format!(
                "took {:.2} s to answer, {} s or more is slow",
                latency.as_secs_f64(),
                component.slow.as_secs_f64()
            ),
            false,
        ),
        (None, None) => Judgement { state: State::Healthy, in_trouble: false, warning: None },
    }
}

fn failed(previous: Option<&Record>, failure: Failure, history: &History) -> Judgement {
    let was_in_trouble = previous.is_some_and(|record| record.in_trouble);
    let in_a_row = history.consecutive_failures();
    let often = history.recent_failures() >= RECENT_FAILURES;
    let in_trouble = in_a_row >= FAILURES || often || was_in_trouble;
    let never_well = history.recent().all(|(_, result)| result == CheckResult::Fail);
    let severe = Judgement { state: severe(failure), in_trouble, warning: None };
    if in_a_row >= FAILURES || never_well {
        return severe;
    }
    // Once it answered in between, it is flapping until it fails for good.
    let answered_between = previous.is_some_and(|record| record.state == State::Degraded);
    if was_in_trouble && often && answered_between {
        return Judgement { state: State::Degraded, in_trouble, warning: Some(flapping(history)) };
    }
    if in_trouble {
        return severe;
    }
    let warning = format!("failed {in_a_row} of {FAILURES} times that make it unhealthy");
    Judgement { state: State::Degraded, in_trouble, warning: Some(warning) }
}

fn flapping(history: &History) -> String {
    format!(
        "flapping: {} of the last {} checks failed",
        history.recent_failures(),
        history.recent().count()
    )
}

/// What a component that failed for good is called.
fn severe(failure: Failure) -> State {
    match failure {
        Failure::McpBroken => State::HttpUpMcpBroken,
        Failure::ProtocolMismatch => State::ProtocolMismatch,
        Failure::ToolsMissing => State::ToolsMissing,
        Failure::AuthRequired => State::AuthRequired,
        _ => State::Unhealthy,
    }
}

/// Whether it is what [`severe`] calls a component.
fn is_severe(state: State) -> bool {
    !is_up(state) || state == State::AuthRequired
}

/// A server that wants another token is there, and so is one that fails now and then.
fn is_up(state: State) -> bool {
    !matches!(
        state,
        State::Unhealthy | State::HttpUpMcpBroken | State::ProtocolMismatch | State::ToolsMissing
    )
}

fn milliseconds(seconds: f64) -> u64 {
    // A float becomes the nearest whole number that fits.
    (seconds * 1_000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::component::tests::component;

    /// What a component goes through: `S` success, `F` failure, `A` a 401, `U` unknown, `L` slow
    /// success.
    fn states(results: &str) -> Vec<String> {
        let component = component("api");
        let (mut record, mut history) = (None, History::default());
        let step = |(slot, result): (usize, char)| {
            let slot = 1_000 * (slot as u64 + 1);
            let finding = match result {
                'S' => Finding::ok(Duration::from_millis(5)),
                'L' => Finding::ok(Duration::from_millis(1_500)),
                'F' => Finding::fail(Failure::ConnectionRefused, "refused"),
                'A' => Finding::fail(Failure::AuthRequired, "401"),
                _ => Finding::unknown(Unknown::OurSide, "no descriptors"),
            };
            match finding.outcome {
                Outcome::Ok => _ = history.record(slot, CheckResult::Ok),
                Outcome::Fail(_) => _ = history.record(slot, CheckResult::Fail),
                Outcome::Unknown(_) => {}
            }
            let check = Check { slot, ended_at: slot + 5, finding: &finding };
            let next = next_record(&component, record.as_ref(), &check, &history);
            let said = format!("{}{}", next.state, if next.in_trouble { "!" } else { "" });
            record = Some(next);
            said
        };
        results.chars().enumerate().map(step).collect()
    }

    fn last(results: &str) -> String {
        states(results).pop().unwrap()
    }

    #[test]
    fn three_failures_in_a_row_are_trouble_and_two_successes_end_it() {
        assert_eq!(
            states("SFFFSS"),
            ["healthy", "degraded", "degraded", "unhealthy!", "unhealthy!", "healthy"]
        );
        assert_eq!(last("SFFFSF"), "unhealthy!");
        assert_eq!(states("SFSF"), ["healthy", "degraded", "healthy", "degraded"]);
    }

    #[test]
    fn who_never_answered_is_unhealthy_at_once_and_in_trouble_after_three() {
        assert_eq!(states("FFF"), ["unhealthy", "unhealthy", "unhealthy!"]);
    }

    #[test]
    fn five_of_twelve_are_trouble_and_then_it_flaps_in_one_and_the_same() {
        let every_second = states("SFSFSFSFSFSFSF");
        assert_eq!(
            every_second[9..],
            ["unhealthy!", "degraded!", "degraded!", "degraded!", "degraded!"]
        );
        let pairs = states("SSFFSSFFSSFFSSFFSS");
        assert_eq!(pairs[10], "unhealthy!");
        assert!(pairs[11..].iter().all(|state| state.ends_with('!')), "{pairs:?}");
        // It ends when it is over, and once.
        assert_eq!(last("SSFFSSFFSSFFSSSSSSSS"), "healthy");
        // Failing for good is no flapping.
        assert_eq!(last("SFSFSFSFSFSFFF"), "unhealthy!");
    }

    #[test]
    fn what_nobody_could_see_changes_nothing() {
        assert_eq!(states("SFUFUF")[3..], ["degraded", "unknown", "unhealthy!"]);
        assert_eq!(states("SFFFUS")[4..], ["unknown!", "unhealthy!"]);
        assert_eq!(states("UU"), ["unknown", "unknown"]);
    }

    #[test]
    fn a_refused_token_has_a_state_of_its_own_until_it_is_over() {
        assert_eq!(
            states("SAAASS"),
            ["healthy", "degraded", "degraded", "auth_required!", "auth_required!", "healthy"]
        );
    }

    #[test]
    fn slow_is_degraded() {
        assert_eq!(last("L"), "degraded");
        assert_eq!(last("LS"), "healthy");
    }
}
