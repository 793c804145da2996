//! What remediation did, in the outbox: each piece of its news is a notice of its own, which is
//! over once it was told.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use mcpmon_coordination::Key;
use mcpmon_coordination::marks::ALL;
use mcpmon_coordination::repair::{News, What};

use super::message::{Line, Moment, Tone};
use super::{About, Notice, Notices, words};

/// Of one component, how much news may wait to be told. Slack may be away for weeks.
const KEPT: usize = 10;

/// The longest text that is kept, in characters.
const LONGEST_TEXT: usize = 160;

/// With this begins what a person may type.
const COMMAND: &str = "mcp-remediation ";

/// What is said in one section of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Storm,
    NeedsPerson,
    Approval,
    Failed,
    InDoubt,
    Stopped,
    Repaired,
}

impl Kind {
    /// In the order in which they should be read.
    pub(super) const ALL: [Self; 7] = [
        Self::Storm,
        Self::NeedsPerson,
        Self::Approval,
        Self::Failed,
        Self::InDoubt,
        Self::Stopped,
        Self::Repaired,
    ];

    pub(super) fn of(what: &What) -> Self {
        match what {
            What::Storm { .. } => Self::Storm,
            What::Escalated { .. } | What::CircuitOpen => Self::NeedsPerson,
            What::AwaitingApproval { .. } => Self::Approval,
            What::Failed { .. } => Self::Failed,
            What::Unknown { .. } => Self::InDoubt,
            What::StoppedByOperator => Self::Stopped,
            What::Repaired { .. } => Self::Repaired,
        }
    }

    pub(super) fn tone(self) -> Tone {
        match self {
            Self::Storm | Self::NeedsPerson => Tone::Bad,
            Self::Approval | Self::Failed | Self::InDoubt | Self::Stopped => Tone::Warning,
            Self::Repaired => Tone::Good,
        }
    }

    pub(super) fn title(self, lines: &[Line]) -> String {
        match (self, lines) {
            (Self::Storm, _) => "storm: nothing is repaired".to_owned(),
            (Self::NeedsPerson, [Line { component, .. }]) => format!("{component} needs a person"),
            (Self::Approval, [Line { component, .. }]) => {
                format!("a repair of {component} waits for approval")
            }
            (Self::Failed, [Line { component, .. }]) => {
                format!("a repair of {component} did not help")
            }
            (Self::InDoubt, [Line { component, .. }]) => {
                format!("a repair of {component} is in doubt")
            }
            (Self::Stopped, [Line { component, .. }]) => {
                format!("{component} was stopped by a person")
            }
            (Self::Repaired, [Line { component, .. }]) => format!("🔧 {component} was repaired"),
            (Self::NeedsPerson, lines) => format!("{} repairs need a person", lines.len()),
            (Self::Approval, lines) => format!("{} repairs wait for approval", lines.len()),
            (Self::Failed, lines) => format!("{} repairs did not help", lines.len()),
            (Self::InDoubt, lines) => format!("{} repairs are in doubt", lines.len()),
            (Self::Stopped, lines) => {
                format!("{} components were stopped by a person", lines.len())
            }
            (Self::Repaired, lines) => format!("🔧 {} repairs helped", lines.len()),
        }
    }
}

/// The notice's key. A component's name has no `/`, so it is none of an incident.
pub(super) fn key(id: &str) -> String {
    Key::new(&[&format!("news/{id}")]).as_str().to_owned()
}

/// Takes up what is new, and gives up what need not be told: what is in maintenance, and the oldest
/// of too much.
pub(super) fn learn(notices: &mut Notices, news: &[News], is_quiet: impl Fn(&str) -> bool) {
    for news in news {
        notices.entry(key(&news.id)).or_insert_with(|| begin(news));
    }
    let mut waiting: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, notice) in notices.iter_mut() {
        if notice.about != About::Repair || notice.is_over() {
            continue;
        }
        notice.quiet = is_quiet(&notice.component);
        if !notice.quiet {
            waiting.entry(notice.component.clone()).or_default().push(key.clone());
        }
    }
    for mut keys in waiting.into_values().filter(|keys| keys.len() > KEPT) {
        keys.sort_by_key(|key| notices[key].first_failed_at);
        for pair in keys.windows(2).take(keys.len() - KEPT) {
            // It stays, quiet: or it would be taken for new as long as its news is there.
            let given_up = notices.get_mut(&pair[0]).expect("it was listed just now");
            given_up.quiet = true;
            let told_with_next = given_up.earlier + 1;
            notices.get_mut(&pair[1]).expect("it was listed just now").earlier += told_with_next;
        }
    }
}

fn begin(news: &News) -> Notice {
    let line = |text: &str| words::line(text, LONGEST_TEXT);
    let what = match &news.what {
        What::Repaired { action } => What::Repaired { action: line(action) },
        What::Failed { action } => What::Failed { action: line(action) },
        What::Escalated { why } => What::Escalated { why: line(why) },
        What::AwaitingApproval { action, until } => {
            What::AwaitingApproval { action: line(action), until: *until }
        }
        What::Unknown { action } => What::Unknown { action: line(action) },
        other => other.clone(),
    };
    let detail = match command_in(news) {
        // Names and keys are ours and stay.
        Some((rest, command)) => Some(format!("{} {COMMAND}{command}", line(rest))),
        None => news.detail.as_deref().map(line),
    };
    let repair = News { what, detail, ..news.clone() };
    Notice {
        repair: Some(Box::new(repair)),
        ..Notice::new(About::Repair, &news.component, news.at)
    }
}

/// What a person may type stands at the end of the detail; before it, the rest.
fn command_in(news: &News) -> Option<(&str, &str)> {
    if !matches!(news.what, What::CircuitOpen | What::AwaitingApproval { .. }) {
        return None;
    }
    let (rest, command) = news.detail.as_deref()?.rsplit_once(COMMAND)?;
    let is_plain = command.len() < 200 && command.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    is_plain.then(|| (rest.trim_end_matches([':', ' ']), command))
}

/// The news as people read it at `now`.
pub(super) fn line(news: &News, earlier: u32, now: u64) -> Line {
    let command = command_in(news);
    let detail = match command {
        Some((rest, _)) => Some(rest).filter(|rest| !rest.is_empty()),
        None => news.detail.as_deref(),
    };
    let in_brackets = detail.map(|detail| format!(" ({detail})")).unwrap_or_default();
    let behind = detail.map(|detail| format!("; {detail}")).unwrap_or_default();
    let mut text = match &news.what {
        What::Repaired { action } => {
            let took = news.took_ms.map(words::duration);
            let took = took.map(|took| format!(" after {took}")).unwrap_or_default();
            format!("repaired by {action}, verified healthy{took}{behind}")
        }
        What::Failed { action } => format!("{action} did not help{in_brackets}"),
        What::Escalated { why } => format!("not repaired: {why}{in_brackets}"),
        What::CircuitOpen => {
            let why = "the budget is spent, until somebody closes the circuit";
            format!("not repaired: {}", detail.unwrap_or(why))
        }
        What::StoppedByOperator => format!("was stopped by a person{in_brackets}: left alone"),
        What::AwaitingApproval { action, until } => {
            let waits = if now < *until { "waits" } else { "waited" };
            let behind = if detail == Some(action) { "" } else { &behind };
            format!("{action} {waits} for approval until {}{behind}", utc(*until))
        }
        What::Storm { components } => {
            format!("{components} components are down at once; nothing is repaired{in_brackets}")
        }
        What::Unknown { action } => {
            format!("whether {action} was done is not known{in_brackets}")
        }
    };
    if earlier > 0 {
        text.push_str(&format!("; {earlier} earlier of its repairs were not told"));
    }
    let told = command.map(|(_, command)| format!("{COMMAND}{command}"));
    let command = match &news.what {
        What::AwaitingApproval { until, .. } if now >= *until => None,
        _ if told.is_some() => told,
        What::CircuitOpen => Some(format!("mcp-remediation close-circuit {}", news.component)),
        What::AwaitingApproval { .. } => Some(format!("mcp-remediation approve {}", news.incident)),
        _ => None,
    };
    let component = if news.component == ALL { "storm" } else { &news.component };
    Line {
        component: component.to_owned(),
        text,
        command,
        moment: Moment::At(news.at),
        key: news.id.clone(),
    }
}

fn utc(ms: u64) -> String {
    // A number beyond the year 9999 is none of a clock.
    let seconds = Duration::from_secs((ms / 1_000).min(253_402_300_799));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + seconds).to_string()
}
