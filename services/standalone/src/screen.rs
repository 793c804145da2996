//! What a person sees in the terminal: where everything is, and a live line of totals.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use mcp_exporter::{Counted, Overview};
use mcp_health_monitor::report::Report;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::events::Events;

/// On a terminal the line is rewritten; into a file or a pipe a new one is enough now and then.
const LIVE: Duration = Duration::from_secs(1);
const LOGGED: Duration = Duration::from_secs(5);

/// Where the parts answer.
#[derive(Debug)]
pub(crate) struct Urls {
    pub(crate) exporter: String,
    pub(crate) demo: Option<String>,
    pub(crate) health: String,
    pub(crate) repairs: String,
}

/// The health monitor.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) url: String,
    pub(crate) reports: watch::Receiver<Arc<Report>>,
}

/// Standard output while the services run.
#[derive(Debug)]
pub(crate) struct Screen {
    started: Instant,
    is_terminal: bool,
}

impl Screen {
    /// Says where everything is.
    pub(crate) fn open(urls: &Urls) -> Self {
        let Urls { exporter, demo, health, repairs } = urls;
        let mut text = format!(
            "DevSkyy MCP Monitoring\n\n  \
             Status page   {exporter}/\n  \
             Metrics       {exporter}/metrics\n  \
             JSON          {exporter}/api/v1/summary\n  \
             Health        {health}/api/v1/components\n  \
             Repairs       {repairs}/api/v1/remediation\n"
        );
        if let Some(demo) = demo {
            text += &format!("  Demo server   {demo}   (its work is simulated)\n");
        }
        text += &format!(
            "\nWatch a server of yours: mcp-tap --exporter {exporter} -- uvx mcp-server-git\n\
             Ctrl-C stops.\n\n"
        );
        say(&text);
        Self { started: Instant::now(), is_terminal: io::stdout().is_terminal() }
    }

    /// Shows the totals, and what happens, until it is dropped. `died` waits until the demo's server
    /// ends by itself.
    pub(crate) async fn follow(
        &self,
        overview: &Overview,
        health: &Health,
        mut events: Events,
        mut died: impl AsyncFnMut() -> String,
    ) {
        let mut ticks = interval(if self.is_terminal { LIVE } else { LOGGED });
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.show(overview, health).await,
                lines = events.next() => lines.iter().for_each(|line| self.happened(line)),
                how = died() => self.happened(&format!("demo server ended by itself: {how}")),
            }
        }
    }

    /// A line that stays, above the totals.
    fn happened(&self, what: &str) {
        let seconds = self.started.elapsed().as_secs();
        let line = format!("{:02}:{:02}  {what}\n", seconds / 60, seconds % 60);
        if self.is_terminal { say(&format!("\r\x1b[K{line}")) } else { say(&line) }
    }

    /// Shows the totals a last time.
    pub(crate) async fn close(self, overview: &Overview, health: &Health) {
        self.show(overview, health).await;
        if self.is_terminal {
            say("\n");
        }
    }

    async fn show(&self, overview: &Overview, health: &Health) {
        let line = match overview.read().await {
            Ok(counted) => {
                let health = health.reports.borrow().overall.status.as_str();
                line(self.started.elapsed(), counted, health)
            }
            Err(error) => format!("no totals: {error}"),
        };
        // Carriage return, and what was there before is erased.
        if self.is_terminal { say(&format!("\r\x1b[K{line}")) } else { say(&format!("{line}\n")) }
    }
}

fn line(age: Duration, counted: Counted, health: &str) -> String {
    let Counted { calls, errors, tokens, cost_usd } = counted;
    let seconds = age.as_secs();
    let ratio = if calls == 0 { 0.0 } else { errors as f64 * 100.0 / calls as f64 };
    format!(
        "{:02}:{:02}  {calls} calls  {errors} errors ({ratio:.1} %)  {tokens} tokens  ${cost_usd:.4}  health {health}",
        seconds / 60,
        seconds % 60,
    )
}

/// A closed standard output does not stop the services.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_was_counted() {
        let counted = Counted { calls: 412, errors: 31, tokens: 58_211, cost_usd: 0.42 };
        assert_eq!(
            line(Duration::from_secs(72), counted, "green"),
            "01:12  412 calls  31 errors (7.5 %)  58211 tokens  $0.4200  health green"
        );
        let nothing = Counted { calls: 0, errors: 0, tokens: 0, cost_usd: 0.0 };
        assert_eq!(
            line(Duration::ZERO, nothing, "unknown"),
            "00:00  0 calls  0 errors (0.0 %)  0 tokens  $0.0000  health unknown"
        );
    }
}
