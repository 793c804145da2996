//! One message to people, whatever the channel: its lines, and what is known once it arrived.

use std::collections::{BTreeMap, BTreeSet};

use super::repairs::{self, Kind};
use super::{About, Notice, Notices, words};
use crate::snapshot::Snapshot;

/// How many components a section names.
const NAMED: usize = 20;

/// The longest text of an error in a message, in characters.
const LONGEST_ERROR: usize = 160;

/// Everything that is said at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub items: Vec<Item>,
    /// The whole in a few words.
    pub headline: String,
    /// What all that is down needs and is down itself.
    pub cause: Option<String>,
    /// In the order in which they should be read.
    pub sections: Vec<Section>,
}

/// What is said of one incident.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub notice: Notice,
    pub said: Said,
}

/// The news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    Opened,
    /// It was over before anybody could be told that it began.
    OpenedAndRecovered,
    Recovered,
    /// It is still open.
    Reminder,
    /// What remediation says.
    Repair,
}

/// Lines of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    pub tone: Tone,
    pub title: String,
    pub lines: Vec<Line>,
    /// How many more there are than lines.
    pub more: usize,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Bad,
    Warning,
    Good,
}

/// One incident.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub component: String,
    pub text: String,
    /// What a person may type.
    pub command: Option<String>,
    pub moment: Moment,
    pub key: String,
}

/// Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Since(u64),
    At(u64),
}

impl Item {
    /// The notice after the message arrived at `at`.
    #[must_use]
    pub fn arrived(&self, at: u64) -> Notice {
        let mut notice = Notice { waiting_since: None, ..self.notice.clone() };
        match self.said {
            Said::Opened | Said::Repair => notice.opened_sent = Some(at),
            Said::OpenedAndRecovered => {
                notice.opened_sent = Some(at);
                notice.recovered_sent = Some(at);
            }
            Said::Recovered => notice.recovered_sent = Some(at),
            Said::Reminder => notice.reminded = Some(at),
        }
        notice
    }

    fn line(&self, now: u64) -> Line {
        let notice = &self.notice;
        if let Some(news) = &notice.repair {
            return repairs::line(news, notice.earlier, now);
        }
        let down = |until: u64| words::duration(until.saturating_sub(notice.first_failed_at));
        let failure = notice.failure.map(words::failure).map(str::to_owned);
        let error = notice.error.as_deref().map(|error| words::line(error, LONGEST_ERROR));
        let why = [failure, error].into_iter().flatten().collect::<Vec<_>>().join(": ");
        let over = notice.resolved_at.unwrap_or(now);
        let mut text = match self.said {
            // A notice without news is none of a repair.
            Said::Opened | Said::Repair => why,
            Said::Reminder => format!("for {}, {why}", down(now)),
            Said::Recovered => format!("down for {}", down(over)),
            Said::OpenedAndRecovered => format!("down for {}, {why}", down(over)),
        };
        if notice.about == About::Monitor && self.said == Said::Recovered {
            text = format!("degraded for {}", down(over));
        }
        if notice.earlier > 0 {
            let earlier = notice.earlier;
            text.push_str(&format!("; {earlier} earlier {}", plural(earlier as usize, "outage")));
        }
        Line {
            component: notice.component.clone(),
            text,
            command: None,
            moment: Moment::Since(notice.first_failed_at),
            key: notice.key(),
        }
    }
}

impl Message {
    pub(super) fn new(items: Vec<Item>, snapshot: &Snapshot, notices: &Notices, now: u64) -> Self {
        let (ours, theirs): (Vec<_>, Vec<_>) =
            items.iter().partition(|item| item.notice.about == About::Monitor);
        let of = |items: &[&Item], said| -> Vec<Line> {
            items.iter().filter(|item| item.said == said).map(|item| item.line(now)).collect()
        };
        let components = |count| format!("{count} {}", plural(count, "component"));
        let section = |tone, name: &dyn Fn(&[Line]) -> String, mut lines: Vec<Line>| {
            let title = name(&lines);
            let more = lines.len().saturating_sub(NAMED);
            lines.truncate(NAMED);
            Section { tone, title, lines, more }
        };
        let count = |one: &'static str, many: &'static str| {
            move |lines: &[Line]| match lines {
                [line] => format!("{} {one}", line.component),
                lines => format!("{} {many}", components(lines.len())),
            }
        };
        let fixed = |title: &'static str| move |_: &[Line]| title.to_owned();

        let mut sections = vec![
            section(
                Tone::Warning,
                &fixed("monitor degraded: what it says of components may be incomplete"),
                of(&ours, Said::Opened),
            ),
            section(Tone::Bad, &count("is down", "are down"), of(&theirs, Said::Opened)),
            section(
                Tone::Bad,
                &count("is still down", "are still down"),
                of(&theirs, Said::Reminder),
            ),
            section(Tone::Warning, &fixed("monitor still degraded"), of(&ours, Said::Reminder)),
            section(
                Tone::Warning,
                &count("was down and recovered", "were down and recovered"),
                of(&theirs, Said::OpenedAndRecovered),
            ),
            section(
                Tone::Warning,
                &fixed("monitor was degraded and is well again"),
                of(&ours, Said::OpenedAndRecovered),
            ),
            section(Tone::Good, &count("recovered", "recovered"), of(&theirs, Said::Recovered)),
            section(Tone::Good, &fixed("monitor is well again"), of(&ours, Said::Recovered)),
        ];
        for kind in Kind::ALL {
            let is_of_kind = |item: &&&Item| {
                item.notice.repair.as_ref().is_some_and(|news| Kind::of(&news.what) == kind)
            };
            let lines = theirs.iter().filter(is_of_kind).map(|item| item.line(now)).collect();
            sections.push(section(kind.tone(), &|lines| kind.title(lines), lines));
        }
        sections.retain(|section| !section.lines.is_empty());
        let cause = shared_cause(&items, snapshot, notices);
        let mut titles: Vec<_> = sections.iter().map(|section| section.title.clone()).collect();
        if let Some(cause) = &cause {
            // Behind the first title about what is down, which it explains.
            let down = sections.iter().position(|section| section.tone == Tone::Bad);
            if let Some(title) = down.and_then(|at| titles.get_mut(at)) {
                title.push_str(&format!(", shared cause: {cause}"));
            }
        }
        Self { items, headline: titles.join("; "), cause, sections }
    }
}

/// The component that all others need, directly or not, and that is down itself. Of several, the
/// one that the others need.
fn shared_cause(items: &[Item], snapshot: &Snapshot, notices: &Notices) -> Option<String> {
    let said = |wanted: Said| -> BTreeSet<&str> {
        let open = items.iter().filter(|item| item.said == wanted);
        let theirs = open.filter(|item| item.notice.about == About::Component);
        theirs.map(|item| item.notice.component.as_str()).collect()
    };
    let opened = said(Said::Opened);
    let down = if opened.is_empty() { said(Said::Reminder) } else { opened };
    let needs: BTreeMap<&str, &[String]> = snapshot
        .components
        .iter()
        .map(|w| (w.component.name.as_str(), w.component.depends_on.as_slice()))
        .collect();
    let all_needs: BTreeMap<&str, BTreeSet<&str>> =
        down.iter().map(|name| (*name, reach(name, &needs))).collect();
    let is_down = |name: &str| {
        let has_incident = notices.values().any(|notice| {
            notice.about == About::Component
                && notice.component == name
                && notice.resolved_at.is_none()
        });
        let record = snapshot.components.iter().find(|w| w.component.name == name);
        let record = record.and_then(|w| w.record.as_ref());
        has_incident || record.is_some_and(|record| record.in_trouble || record.up == Some(false))
    };
    let explains = |root: &str| {
        let mut others = down.iter().filter(|name| **name != root).peekable();
        others.peek().is_some() && others.all(|name| all_needs[name].contains(root))
    };
    let roots: Vec<&str> = snapshot
        .components
        .iter()
        .map(|w| w.component.name.as_str())
        .filter(|root| explains(root) && is_down(root))
        .collect();
    let deepest = roots.iter().find(|root| {
        let needed = reach(root, &needs);
        roots.iter().all(|other| !needed.contains(other))
    });
    deepest.map(|root| (*root).to_owned())
}

/// Everything that it needs, directly or not.
fn reach<'a>(name: &str, needs: &BTreeMap<&'a str, &'a [String]>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut ahead: Vec<&'a String> =
        needs.get(name).map(|needs| needs.iter().collect()).unwrap_or_default();
    while let Some(next) = ahead.pop() {
        if reached.insert(next.as_str()) {
            ahead.extend(needs.get(next.as_str()).into_iter().flat_map(|needs| needs.iter()));
        }
    }
    reached
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}
