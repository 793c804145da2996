//! The overall status: from what is known of the components, the calls and the alerts, to one
//! colour and its reasons. Pure; whoever asks has read the sources.

mod words;

use mcpmon_metrics::redact;
use serde::Serialize;

use self::words::{cannot_be_read, of_component, plain, short};
use crate::objectives::{Limit, Limits, Objectives};
use crate::record::State;
use crate::snapshot::{Snapshot, Watched};
use crate::traffic::{Figures, FiringAlert, Traffic};

/// Below this many calls, a ratio or a percentile says nothing.
const ENOUGH_CALLS: f64 = 20.0;
/// The reasons that are told one by one.
const MOST_REASONS: usize = 10;
/// The names that one reason tells.
const MOST_NAMES: usize = 5;

/// The overall status, from best to worst: what is not known may be red.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    Green,
    Yellow,
    Unknown,
    Red,
}

/// How everything is, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overall {
    pub status: Colour,
    /// Why it is not green, one sentence each, the worst first.
    pub reasons: Vec<String>,
    /// What counted for nothing, and why.
    pub left_out: Vec<String>,
}

/// What a source beside the probes says.
#[derive(Debug, Clone, PartialEq)]
pub enum Source<T> {
    NotConfigured,
    /// It is configured and cannot be read; in words for people, redacted.
    Unreadable(String),
    Read(T),
}

/// The overall status of one moment.
#[must_use]
pub fn overall(
    snapshot: &Snapshot,
    traffic: &Source<Traffic>,
    alerts: &Source<Vec<FiringAlert>>,
    objectives: &Objectives,
) -> Overall {
    let mut judge = Judge::default();
    judge.components(snapshot);
    judge.tools(snapshot);
    match traffic {
        Source::Read(traffic) => judge.traffic(snapshot, traffic, objectives),
        Source::Unreadable(why) => judge.reason(Colour::Yellow, cannot_be_read("calls", why)),
        Source::NotConfigured => judge.left_out(
            "error ratio and p95 of calls: neither a Prometheus nor an exporter is configured",
        ),
    }
    match alerts {
        Source::Read(alerts) => judge.alerts(alerts),
        Source::Unreadable(why) => judge.reason(Colour::Yellow, cannot_be_read("alerts", why)),
        Source::NotConfigured => judge.left_out("alerts: no Alertmanager is configured"),
    }
    judge.ourselves(snapshot);
    judge.end()
}

/// Collects reasons, each with the best colour that it leaves possible.
#[derive(Debug, Default)]
struct Judge {
    reasons: Vec<(Colour, String)>,
    left_out: Vec<String>,
}

impl Colour {
    /// The exit code of `--once`.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Green => 0,
            Self::Yellow => 1,
            Self::Red => 2,
            Self::Unknown => 3,
        }
    }

    /// The colour in the words of the text report.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Green => "GREEN",
            Self::Yellow => "YELLOW",
            Self::Unknown => "UNKNOWN",
            Self::Red => "RED",
        }
    }

    /// What a component in that state leaves possible, when something is known of others.
    #[must_use]
    pub fn of_state(state: State) -> Self {
        match state {
            State::Healthy => Self::Green,
            State::Degraded | State::AuthRequired | State::RateLimited => Self::Yellow,
            State::Unknown | State::UnsupportedTransport => Self::Unknown,
            State::Unhealthy
            | State::HttpUpMcpBroken
            | State::ProtocolMismatch
            | State::ToolsMissing => Self::Red,
        }
    }
}

impl Judge {
    fn reason(&mut self, colour: Colour, sentence: impl AsRef<str>) {
        self.reasons.push((colour, plain(sentence.as_ref())));
    }

    fn left_out(&mut self, sentence: impl AsRef<str>) {
        self.left_out.push(plain(sentence.as_ref()));
    }

    fn components(&mut self, snapshot: &Snapshot) {
        for watched in &snapshot.components {
            if let Some(maintenance) = &watched.maintenance {
                let name = &watched.component.name;
                self.left_out(format!("{name}: in maintenance ({})", maintenance.reason));
            }
        }
        let counted = || counted(snapshot);
        let known = counted().any(|watched| Colour::of_state(state(watched)) != Colour::Unknown);
        for watched in counted() {
            let colour = match Colour::of_state(state(watched)) {
                Colour::Green => continue,
                // One of which nothing is known hides nothing that is known of the others.
                Colour::Unknown if known => Colour::Yellow,
                other => other,
            };
            self.reason(colour, of_component(watched));
        }
        if counted().next().is_none() {
            let why = if snapshot.components.is_empty() {
                "no component is configured"
            } else {
                "every component is in maintenance"
            };
            self.reason(Colour::Unknown, why);
        }
    }

    fn tools(&mut self, snapshot: &Snapshot) {
        let listed: Vec<_> = counted(snapshot).filter_map(Missing::of).collect();
        let known: usize = listed.iter().map(|server| server.known).sum();
        let missing: usize = listed.iter().map(|server| server.names.len()).sum();
        // Four of five, in whole numbers.
        let enough = (known - missing) * 5 >= known * 4;
        let colour = if enough { Colour::Yellow } else { Colour::Red };
        if !enough {
            let available = known - missing;
            self.reason(
                colour,
                format!("only {available} of all {known} tools are available, less than 80 %"),
            );
        }
        for Missing { component, known, names } in &listed {
            if !names.is_empty() {
                let told = names[..names.len().min(MOST_NAMES)].join(", ");
                let more = names.len().saturating_sub(MOST_NAMES);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let missing = names.len();
                self.reason(
                    colour,
                    format!(
                        "{component}: {missing} of {known} tools are unavailable: {told}{more}"
                    ),
                );
            }
        }
    }

    fn traffic(&mut self, snapshot: &Snapshot, traffic: &Traffic, objectives: &Objectives) {
        let in_maintenance = |server: &str| {
            let mut own = snapshot
                .components
                .iter()
                .filter(|watched| watched.component.server.as_deref() == Some(server))
                .peekable();
            own.peek().is_some() && own.all(|watched| watched.maintenance.is_some())
        };
        let tools_of = |server: &str| {
            let server = server.to_owned();
            traffic.tools.iter().filter(move |((of, _), _)| *of == server)
        };
        for (server, figures) in &traffic.servers {
            if in_maintenance(server) {
                continue;
            }
            let singled_out =
                tools_of(server).any(|((_, tool), _)| objectives.singles_out(server, tool));
            if !singled_out {
                self.figures(server, figures, objectives.of_server(server));
                continue;
            }
            for ((_, tool), figures) in tools_of(server) {
                let limits = objectives.of_tool(server, tool);
                self.figures(&format!("{server}, tool {tool}"), figures, limits);
            }
        }
    }

    fn figures(&mut self, whose: &str, figures: &Figures, limits: Limits) {
        // Not a number is not enough either.
        let enough = figures.calls >= ENOUGH_CALLS;
        if !enough {
            return;
        }
        if let Some(ratio) = figures.error_ratio.filter(|ratio| !ratio.is_nan()) {
            let limit = limits.error_ratio;
            let colour = limit.judge(ratio);
            if colour > Colour::Green {
                let (percent, under) = (ratio * 100.0, limit.passed(ratio) * 100.0);
                self.reason(
                    colour,
                    format!(
                        "{whose}: {} % of calls fail, expected less than {} %",
                        short(percent),
                        short(under)
                    ),
                );
            }
        }
        if let Some(p95) = figures.p95_seconds.filter(|p95| !p95.is_nan()) {
            let limit = limits.p95_seconds;
            let colour = limit.judge(p95);
            if colour > Colour::Green {
                let under = short(limit.passed(p95));
                self.reason(
                    colour,
                    format!("{whose}: p95 is {} s, expected less than {under} s", short(p95)),
                );
            }
        }
    }

    fn alerts(&mut self, alerts: &[FiringAlert]) {
        for alert in alerts.iter().filter(|a| a.severity.eq_ignore_ascii_case("critical")) {
            let summary = redact::redact(&alert.summary);
            let separator = if summary.trim().is_empty() { "" } else { ": " };
            let name = &alert.name;
            self.reason(
                Colour::Red,
                format!("the critical alert {name} is firing{separator}{}", summary.trim()),
            );
        }
    }

    fn ourselves(&mut self, snapshot: &Snapshot) {
        if let Some(trouble) = &snapshot.own_trouble {
            self.reason(Colour::Yellow, format!("the monitor itself is degraded: {}", trouble.why));
        }
        if !snapshot.coordination_up {
            self.reason(
                Colour::Yellow,
                "the coordination store does not answer, so each replica of the monitor goes on \
                 alone",
            );
        }
    }

    fn end(mut self) -> Overall {
        // Stable: within a colour, components stand before calls, alerts and ourselves.
        self.reasons.sort_by_key(|(colour, _)| std::cmp::Reverse(*colour));
        let status = self.reasons.first().map_or(Colour::Green, |(colour, _)| *colour);
        let more = self.reasons.len().saturating_sub(MOST_REASONS);
        let mut reasons: Vec<_> =
            self.reasons.into_iter().take(MOST_REASONS).map(|(_, reason)| reason).collect();
        if more > 0 {
            reasons.push(format!("and {more} more"));
        }
        Overall { status, reasons, left_out: self.left_out }
    }
}

impl Limit {
    fn judge(self, figure: f64) -> Colour {
        if figure < self.green {
            Colour::Green
        } else if figure < self.yellow {
            Colour::Yellow
        } else {
            Colour::Red
        }
    }

    /// The limit that the figure does not keep, of the two the higher one.
    fn passed(self, figure: f64) -> f64 {
        if figure < self.yellow { self.green } else { self.yellow }
    }
}

/// The tools of one server that cannot be called.
struct Missing<'s> {
    component: &'s str,
    known: usize,
    names: Vec<&'s str>,
}

impl<'s> Missing<'s> {
    /// None while nobody knows which tools there are: a server that could not be listed through
    /// no fault of its own says nothing about its tools.
    fn of(watched: &'s Watched) -> Option<Self> {
        match state(watched) {
            State::Unknown
            | State::UnsupportedTransport
            | State::AuthRequired
            | State::RateLimited => return None,
            State::Healthy
            | State::Degraded
            | State::Unhealthy
            | State::HttpUpMcpBroken
            | State::ProtocolMismatch
            | State::ToolsMissing => {}
        }
        let tools = &watched.record.as_ref()?.tools.as_ref()?.available;
        let names = tools.iter().filter(|(_, available)| !**available);
        Some(Self {
            component: &watched.component.name,
            known: tools.len(),
            names: names.map(|(name, _)| name.as_str()).collect(),
        })
    }
}

fn counted(snapshot: &Snapshot) -> impl Iterator<Item = &Watched> {
    snapshot.components.iter().filter(|watched| watched.maintenance.is_none())
}

fn state(watched: &Watched) -> State {
    watched.record.as_ref().map_or(State::Unknown, |record| record.state)
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod monotone;
#[cfg(test)]
mod tests;
