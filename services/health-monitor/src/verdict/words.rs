//! Reasons as sentences.

use crate::record::State;
use crate::snapshot::Watched;

/// The longest reason, in characters: names come from servers, summaries from anybody's rules.
pub(super) const LONGEST_REASON: usize = 400;

/// How a component is, and why.
pub(super) fn of_component(watched: &Watched) -> String {
    let name = &watched.component.name;
    let Some(record) = &watched.record else { return format!("{name} was not checked yet") };
    let what = match record.state {
        State::Healthy => "is healthy".to_owned(),
        State::Degraded => "is degraded".to_owned(),
        State::Unhealthy => match record.consecutive_failures {
            0 | 1 => "is unhealthy".to_owned(),
            failures => format!("is unhealthy after {failures} failures in a row"),
        },
        State::Unknown => "is unknown".to_owned(),
        State::AuthRequired => "wants credentials".to_owned(),
        State::RateLimited => "limits our rate".to_owned(),
        State::HttpUpMcpBroken => "is up and broken".to_owned(),
        State::ProtocolMismatch => "speaks no revision of MCP that we speak".to_owned(),
        State::ToolsMissing => "lacks tools that it must have".to_owned(),
        State::UnsupportedTransport => "speaks a transport that cannot be probed".to_owned(),
    };
    let repairing = if watched.repairing { " and is being repaired" } else { "" };
    let why = match (&record.error, &record.warning, record.latency_ms) {
        (Some(why), _, _) | (None, Some(why), _) => format!(": {why}"),
        (None, None, Some(latency)) if record.state == State::Degraded => {
            format!(": it answers in {latency} ms")
        }
        _ => String::new(),
    };
    format!("{name} {what}{repairing}{why}")
}

pub(super) fn cannot_be_read(what: &str, why: &str) -> String {
    format!("the {what} cannot be read: {why}")
}

/// At most two places, and none that are zero: 5, 1.25, 0.5.
pub(super) fn short(figure: f64) -> String {
    let text = format!("{figure:.2}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// On one line, without what moves a terminal's cursor, and not endless.
pub(super) fn plain(sentence: &str) -> String {
    let mut chars = sentence.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut plain: String = chars.by_ref().take(LONGEST_REASON).collect();
    if chars.next().is_some() {
        plain.push('…');
    }
    plain
}
