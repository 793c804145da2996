//! The verdict that the page shows.
//!
//! The health monitor owns it. Without one, or while it cannot be reached, this is what traffic
//! alone says, and it says that it is traffic only.

use serde::Serialize;
use serde_json::Value;

use crate::window::Change;

/// Below this many calls in the window, a ratio or a percentile says nothing.
const ENOUGH_CALLS: u64 = 20;

/// Green, yellow, red, or unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Colour {
    Unknown,
    Green,
    Yellow,
    Red,
}

/// How the servers are, who says so, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Verdict {
    pub(crate) status: Colour,
    /// `health monitor` or `traffic only`.
    pub(crate) source: &'static str,
    pub(crate) reasons: Vec<String>,
    /// What counted for nothing, and why: a green without it would promise too much.
    pub(crate) left_out: Vec<String>,
    /// The monitor's components, as it gave them.
    pub(crate) components: Vec<Value>,
}

impl Verdict {
    /// What the calls of each server say; the worst server counts.
    pub(crate) fn of_traffic<'c>(servers: impl Iterator<Item = (&'c str, &'c Change)>) -> Self {
        let mut verdict = Self {
            status: Colour::Unknown,
            source: "traffic only",
            reasons: Vec::new(),
            left_out: Vec::new(),
            components: Vec::new(),
        };
        for (server, change) in servers.filter(|(_, change)| change.total() >= ENOUGH_CALLS) {
            let ratio = change.error_ratio().unwrap_or(0.0);
            let p95 = change.quantile(0.95).unwrap_or(0.0);
            verdict.raise(judge(ratio, 0.01, 0.05), || {
                format!("{server}: {:.1} % of calls fail", ratio * 100.0)
            });
            verdict.raise(judge(p95, 1.0, 5.0), || format!("{server}: p95 is {p95:.2} s"));
        }
        if verdict.status == Colour::Unknown {
            verdict.reasons.push(format!("no server had {ENOUGH_CALLS} calls in the window"));
        }
        verdict
    }

    fn raise(&mut self, status: Colour, reason: impl FnOnce() -> String) {
        if status > Colour::Green {
            self.reasons.push(reason());
        }
        self.status = self.status.max(status);
    }

    /// The monitor's own words, from its `GET /api/v1/components`.
    pub(crate) fn of_monitor(reply: &Value) -> Option<Self> {
        let overall = reply.get("overall")?;
        let status = match overall.get("status")?.as_str()?.to_ascii_lowercase().as_str() {
            "green" => Colour::Green,
            "yellow" => Colour::Yellow,
            "red" => Colour::Red,
            _ => Colour::Unknown,
        };
        let sentences = |key| {
            let listed = overall.get(key).and_then(Value::as_array).into_iter().flatten();
            listed.filter_map(|sentence| sentence.as_str().map(str::to_owned)).collect()
        };
        let components = reply.get("components").and_then(Value::as_array);
        Some(Self {
            status,
            source: "health monitor",
            reasons: sentences("reasons"),
            left_out: sentences("left_out"),
            components: components.cloned().unwrap_or_default(),
        })
    }
}

fn judge(value: f64, green_below: f64, yellow_below: f64) -> Colour {
    if value < green_below {
        Colour::Green
    } else if value < yellow_below {
        Colour::Yellow
    } else {
        Colour::Red
    }
}

#[cfg(test)]
mod tests {
    use mcpmon_metrics::catalogue::CALL_BOUNDS;
    use mcpmon_metrics::{ToolTotals, Totals};
    use serde_json::json;

    use super::*;
    use crate::window::changes;

    fn verdict(calls: [u64; 4], seconds: f64) -> Verdict {
        let ended = |bound: &f64| if *bound < seconds { 0 } else { calls.iter().sum() };
        let tool = ToolTotals {
            server: "s".into(),
            tool: "t".into(),
            calls,
            buckets: CALL_BOUNDS.iter().map(ended).collect(),
        };
        let (start, now) = (Totals::default(), Totals { tools: vec![tool], ..Totals::default() });
        let (_, change) = changes(&start, &now).next().unwrap();
        Verdict::of_traffic([("s", &change)].into_iter())
    }

    #[test]
    fn the_limits_are_those_of_the_monitor() {
        assert_eq!(verdict([1000, 9, 0, 0], 0.5).status, Colour::Green);
        assert_eq!(verdict([990, 5, 5, 500], 0.5).status, Colour::Yellow);
        assert_eq!(verdict([95, 5, 0, 0], 0.5).status, Colour::Red);
        assert_eq!(verdict([100, 0, 0, 0], 4.0).status, Colour::Yellow);
        assert_eq!(verdict([100, 0, 0, 0], 8.0).status, Colour::Red);
    }

    #[test]
    fn few_calls_say_nothing() {
        let verdict = verdict([0, 19, 0, 0], 0.5);
        assert_eq!(verdict.status, Colour::Unknown);
        assert_eq!(verdict.reasons, ["no server had 20 calls in the window"]);
    }

    #[test]
    fn the_worst_is_named() {
        let reasons = verdict([90, 10, 0, 0], 8.0).reasons;
        assert_eq!(reasons, ["s: 10.0 % of calls fail", "s: p95 is 9.75 s"]);
    }

    #[test]
    fn the_monitor_has_the_last_word() {
        let reply = json!({
            "overall": {
                "status": "RED",
                "reasons": ["api is down"],
                "left_out": ["alerts: no Alertmanager is configured"],
            },
            "components": [{"name": "api", "state": "unhealthy"}],
        });
        let verdict = Verdict::of_monitor(&reply).unwrap();
        assert_eq!((verdict.status, verdict.source), (Colour::Red, "health monitor"));
        assert_eq!(verdict.reasons, ["api is down"]);
        assert_eq!(verdict.left_out, ["alerts: no Alertmanager is configured"]);
        assert_eq!(verdict.components.len(), 1);
        assert_eq!(Verdict::of_monitor(&json!({"error": "no"})), None);
    }
}
