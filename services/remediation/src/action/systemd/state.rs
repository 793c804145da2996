//! What systemd says of a unit, and whose move it is then.

use crate::action::{Condition, Run, Sight, Trouble};

/// A unit's properties, as both D-Bus and `systemctl show` tell them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    /// `LoadState`
    pub(super) load: String,
    /// `ActiveState`
    pub(super) active: String,
    /// `SubState`
    pub(super) sub: String,
    /// The service's `Result`: how its last run ended.
    pub(super) result: String,
    /// `InvocationID` in hexadecimal; empty when it never ran.
    pub(super) invocation: String,
    /// When the last run began, in Unix milliseconds; 0 when it never did.
    pub(super) started_at: u64,
    /// Whether a job for it waits or runs.
    pub(super) has_job: bool,
}

impl State {
    /// Whether `reset-failed` must come before a restart. A unit that has used up its start limit is
    /// not started until then, and its `Result` often still tells the fault before that, such as
    /// `exit-code`; so this holds for every unit that failed.
    pub(super) fn needs_reset(&self) -> bool {
        self.active == "failed" || self.result == "start-limit-hit"
    }

    pub(super) fn sight(&self, unit: &str, act_on_stopped: bool) -> Result<Sight, Trouble> {
        let State { load, active, sub, result, .. } = self;
        let condition = match load.as_str() {
            // A masked unit cannot be restarted, whatever is configured.
            "masked" => Condition::Stopped("masked".to_owned()),
            "loaded" => match active.as_str() {
                _ if self.has_job => Condition::Supervised(format!("{active} ({sub}), with a job")),
                "active" | "failed" => Condition::Ours,
                "inactive" if result == "success" && !act_on_stopped => {
                    Condition::Stopped("inactive".to_owned())
                }
                "inactive" => Condition::Ours,
                _ => Condition::Supervised(format!("{active} ({sub})")),
            },
            _ => return Err(Trouble::Absent(format!("unit {unit} is {load}"))),
        };
        let run = (!self.invocation.is_empty() && self.started_at > 0)
            .then(|| Run { generation: self.invocation.clone(), started_at: self.started_at });
        Ok(Sight { run, condition })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(load: &str, active: &str, sub: &str, result: &str) -> Result<Condition, Trouble> {
        let [load, active, sub, result] = [load, active, sub, result].map(str::to_owned);
        let state = State { load, active, sub, result, ..State::default() };
        state.sight("it.service", false).map(|sight| sight.condition)
    }

    #[test]
    fn whose_move_it_is_follows_from_the_state() {
        let supervised = |how: &str| Ok(Condition::Supervised(how.to_owned()));
        let stopped = |how: &str| Ok(Condition::Stopped(how.to_owned()));
        assert_eq!(seen("loaded", "active", "running", "success"), Ok(Condition::Ours));
        assert_eq!(seen("loaded", "failed", "failed", "exit-code"), Ok(Condition::Ours));
        assert_eq!(seen("loaded", "failed", "failed", "start-limit-hit"), Ok(Condition::Ours));
        assert_eq!(seen("loaded", "inactive", "dead", "exec-condition"), Ok(Condition::Ours));
        assert_eq!(seen("loaded", "inactive", "dead", "success"), stopped("inactive"));
        assert_eq!(seen("masked", "inactive", "dead", "success"), stopped("masked"));
        for (active, sub) in [
            ("activating", "start"),
            ("activating", "auto-restart"),
            ("deactivating", "stop-sigterm"),
            ("reloading", "reload"),
            ("maintenance", "cleaning"),
        ] {
            let expected = supervised(&format!("{active} ({sub})"));
            assert_eq!(seen("loaded", active, sub, "success"), expected);
        }
        let absent = Err(Trouble::Absent("unit it.service is not-found".to_owned()));
        assert_eq!(seen("not-found", "inactive", "dead", "success"), absent);
    }

    #[test]
    fn what_a_person_stopped_is_ours_only_when_told_so() {
        let mut state = State {
            load: "loaded".to_owned(),
            active: "inactive".to_owned(),
            result: "success".to_owned(),
            ..State::default()
        };
        assert_eq!(state.sight("it.service", true).unwrap().condition, Condition::Ours);
        state.has_job = true;
        let condition = state.sight("it.service", true).unwrap().condition;
        assert!(matches!(condition, Condition::Supervised(_)));
    }
}
