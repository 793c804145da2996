//! What happens, in lines for the terminal: components that change their state, and what
//! remediation decides and does about it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mcp_health_monitor::report::Report;
use mcp_remediation::audit::{Audit, Record};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often the audit is looked at.
const OFTEN: Duration = Duration::from_millis(250);
const RECORDS: usize = 50;

/// Follows both.
#[derive(Debug)]
pub(crate) struct Events {
    reports: watch::Receiver<Arc<Report>>,
    audit: Audit,
    states: BTreeMap<String, String>,
    /// The last record that was shown.
    seen: u64,
    often: Interval,
}

impl Events {
    pub(crate) fn new(reports: watch::Receiver<Arc<Report>>, audit: Audit) -> Self {
        let mut often = interval(OFTEN);
        often.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { reports, audit, states: BTreeMap::new(), seen: 0, often }
    }

    /// What happened since the last call; waits a moment.
    pub(crate) async fn next(&mut self) -> Vec<String> {
        self.often.tick().await;
        let mut lines = self.changes();
        // In a moment again.
        let mut records = self.audit.page(None, RECORDS).await.unwrap_or_default();
        records.retain(|record| record.seq > self.seen);
        records.reverse();
        self.seen = records.last().map_or(self.seen, |record| record.seq);
        lines.extend(records.iter().filter_map(line));
        lines
    }

    fn changes(&mut self) -> Vec<String> {
        let report = self.reports.borrow_and_update().clone();
        let mut lines = Vec::new();
        for component in &report.components {
            let state = component.state.to_string();
            let before = self.states.insert(component.name.clone(), state.clone());
            // That it is well at the beginning is no event.
            let is_news =
                before.map_or(!matches!(&*state, "healthy" | "unknown"), |it| it != state);
            if is_news {
                let error = component.error.as_ref().map(|error| format!(": {error}"));
                lines.push(format!("{} is {state}{}", component.name, error.unwrap_or_default()));
            }
        }
        lines
    }
}

/// One record for people, if it is for them.
fn line(record: &Record) -> Option<String> {
    let event = &record.event;
    let component = event.component.as_deref()?;
    match &*event.event {
        "decision" => Some(format!("{component}: repair decided: {}", event.verdict.as_ref()?)),
        "intent" => Some(format!("{component}: repairing: {}", event.action.as_ref()?)),
        "outcome" => {
            let took = Duration::from_millis(event.took_ms?).as_secs_f64();
            let (result, note) =
                (event.result?.as_str(), event.note.as_deref().unwrap_or_default());
            Some(format!("{component}: repair: {result} after {took:.1} s, {note}"))
        }
        _ => None,
    }
}
