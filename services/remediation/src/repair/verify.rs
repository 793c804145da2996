//! Whether an action helped: the monitor checks, end to end.

use tokio::time::{Instant, sleep, timeout_at};

use super::Repairer;
use crate::monitor::{Checked, Outcome};
use crate::policy::Timing;

impl Repairer {
    /// Asks until so many checks in a row were good, or the time is over.
    ///
    /// # Errors
    /// What was wrong at last.
    pub(super) async fn verify(
        &self,
        component: &str,
        tools: Option<&str>,
        timing: &Timing,
    ) -> Result<(), String> {
        let over = Instant::now() + timing.verify;
        let mut good = 0;
        loop {
            let why = match timeout_at(over, self.monitor.check(component)).await {
                Ok(Ok(checked)) => wrong(&checked, tools),
                Ok(Err(why)) => Some(format!("the monitor cannot be asked: {why}")),
                Err(_) => return Err("the time was over before a check was".to_owned()),
            };
            match why {
                None => good += 1,
                Some(_) => good = 0,
            }
            if good >= timing.verify_checks {
                return Ok(());
            }
            if Instant::now() + timing.verify_every > over {
                return Err(why.unwrap_or_else(|| "it was well for too short a time".to_owned()));
            }
            sleep(timing.verify_every).await;
        }
    }
}

/// What is wrong with it, if anything: it must answer, and an MCP server must offer what it did.
fn wrong(checked: &Checked, tools: Option<&str>) -> Option<String> {
    let error = checked.error.as_deref().unwrap_or("without a word");
    match checked.outcome {
        Outcome::Fail(_) => Some(format!("still {}: {error}", checked.state)),
        Outcome::Unknown => Some(format!("a check cannot say: {error}")),
        Outcome::Ok if tools.is_some() && checked.tools_hash.as_deref() != tools => {
            Some("it answers, but its tools are not those of before".to_owned())
        }
        Outcome::Ok => None,
    }
}

#[cfg(test)]
mod tests {
    use mcpmon_coordination::incident::Failure;

    use super::*;

    #[test]
    fn answering_is_not_enough_for_an_mcp_server() {
        let checked = |outcome, tools: Option<&str>| Checked {
            outcome,
            state: "unhealthy".into(),
            error: Some("refused".into()),
            latency_ms: None,
            tools_hash: tools.map(str::to_owned),
        };
        assert_eq!(wrong(&checked(Outcome::Ok, None), None), None);
        assert_eq!(wrong(&checked(Outcome::Ok, Some("a")), Some("a")), None);
        assert_eq!(wrong(&checked(Outcome::Ok, Some("a")), None), None);
        for tools in [Some("b"), None] {
            assert!(wrong(&checked(Outcome::Ok, tools), Some("a")).unwrap().contains("tools"));
        }
        let still = wrong(&checked(Outcome::Fail(Failure::ConnectionRefused), None), None).unwrap();
        assert_eq!(still, "still unhealthy: refused");
        assert!(wrong(&checked(Outcome::Unknown, Some("a")), Some("a")).is_some());
    }
}
