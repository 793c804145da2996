//! One step of the outbox, a function of values: what is known now against what was said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mcpmon_coordination::Incident;
use mcpmon_coordination::incident::{Origin, State};
use mcpmon_coordination::marks::ALL;
use mcpmon_coordination::repair::News;

use super::growing::{Growing, MANY};
use super::message::{Item, Message, Said};
use super::patience::Patience;
use super::{About, Notice, Notices, repairs, words};
use crate::record;
use crate::snapshot::{Snapshot, Watched};

/// Of one component, how many outages may wait to be told one by one, and how many told ones are
/// kept. Beyond that, outages are told as a number: Slack may be away for weeks.
const KEPT: usize = 10;

/// When [`MANY`] components were told within this time, further news waits for more of the storm; in
/// times of [`Policy::group`]: by default 10 minutes.
const STORM: u64 = 200;

/// The longest text of an error that is kept, in characters.
const LONGEST_ERROR: usize = 300;

/// When people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long the first news waits for more, to be told in one message.
    pub group: Duration,
    /// People are reminded of what is open at most this often.
    pub reminder: Duration,
}

/// What follows from one step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// To be written whatever becomes of the message.
    pub changed: Vec<Notice>,
    /// Keys of notices that are no longer needed.
    pub dropped: Vec<String>,
    /// To be sent now.
    pub message: Option<Message>,
    /// When something will be due that is not now, in Unix milliseconds.
    pub look_again_at: Option<u64>,
}

/// Looks at everything that is known at `now`, in Unix milliseconds.
#[must_use]
pub fn step(
    snapshot: &Snapshot,
    incidents: &[Incident],
    news: &[News],
    before: &Notices,
    now: u64,
    policy: Policy,
) -> Step {
    let mut outbox = Outbox {
        notices: before.clone(),
        incidents: incidents.iter().map(|known| (known.component.as_str(), known)).collect(),
        watched: snapshot.components.iter().map(|w| (w.component.name.as_str(), w)).collect(),
        now,
        policy,
    };
    outbox.learn_incidents();
    outbox.learn_endings();
    outbox.learn_own_trouble(snapshot);
    outbox.learn_repairs(news);
    let dropped = outbox.shorten();
    let (items, look_again_at) = outbox.due();

    let changed = outbox.notices.iter().filter(|(key, notice)| before.get(*key) != Some(notice));
    let changed = changed.map(|(_, notice)| notice.clone()).collect();
    let message = (!items.is_empty()).then(|| Message::new(items, snapshot, &outbox.notices, now));
    Step { changed, dropped, message, look_again_at }
}

struct Outbox<'a> {
    notices: Notices,
    /// The last of each component.
    incidents: BTreeMap<&'a str, &'a Incident>,
    watched: BTreeMap<&'a str, &'a Watched>,
    now: u64,
    policy: Policy,
}

impl Outbox<'_> {
    fn learn_incidents(&mut self) {
        // A component has one open incident at the most, so a later one says that the earlier is
        // over, even when nobody saw its end.
        for notice in self.notices.values_mut().filter(|n| n.about == About::Component) {
            if let Some(incident) = self.incidents.get(notice.component.as_str())
                && notice.first_failed_at < incident.first_failed_at
            {
                notice.resolved_at.get_or_insert(incident.first_failed_at);
            }
        }
        for incident in self.incidents.values() {
            let key = &incident.key;
            if !self.notices.contains_key(key) && self.is_ours(incident) {
                self.notices.insert(key.clone(), self.begin(incident));
            }
            if let Some(notice) = self.notices.get_mut(key)
                && incident.state == State::Resolved
            {
                notice.resolved_at.get_or_insert(incident.slot);
            }
        }
    }

    /// Whether the monitor tells it. What an alert alone says, Alertmanager tells.
    fn is_ours(&self, incident: &Incident) -> bool {
        let watched = self.watched.get(incident.component.as_str());
        let in_trouble = |w: &&Watched| w.record.as_ref().is_some_and(|record| record.in_trouble);
        watched.is_some_and(|w| incident.origin == Origin::Monitor || in_trouble(w))
    }

    fn begin(&self, incident: &Incident) -> Notice {
        let error = incident.evidence.error.as_deref();
        Notice {
            failure: Some(incident.failure),
            error: error.map(|error| words::line(error, LONGEST_ERROR)),
            quiet: self.in_maintenance(&incident.component),
            ..Notice::new(About::Component, &incident.component, incident.first_failed_at)
        }
    }

    /// What outlasted its maintenance is told. And an incident that the store lost has no end of
    /// its own: the component's record tells.
    fn learn_endings(&mut self) {
        for notice in self.notices.values_mut() {
            if notice.about != About::Component || notice.resolved_at.is_some() {
                continue;
            }
            let Some(watched) = self.watched.get(notice.component.as_str()) else { continue };
            notice.quiet &= watched.maintenance.is_some();
            // Or it was replaced by one that began before: replicas that could not see each other
            // may each have opened theirs.
            let last = self.incidents.get(notice.component.as_str());
            let is_lost = last.is_none_or(|incident| incident.key != notice.key());
            if let Some(record) = &watched.record
                && record.state == record::State::Healthy
                && !record.in_trouble
                && is_lost
            {
                notice.resolved_at = Some(record.since.max(notice.first_failed_at));
            }
        }
    }

    fn learn_own_trouble(&mut self, snapshot: &Snapshot) {
        if self.knows_nothing() {
            return;
        }
        let (now, trouble) = (self.now, &snapshot.own_trouble);
        let mut open = self
            .notices
            .values_mut()
            .filter(|notice| notice.about == About::Monitor && notice.resolved_at.is_none())
            .peekable();
        let Some(trouble) = trouble else {
            open.for_each(|notice| notice.resolved_at = Some(now.max(notice.first_failed_at)));
            return;
        };
        // Another replica may count its trouble from another moment: it is the same one.
        if open.peek().is_some() {
            return;
        }
        drop(open);
        let mut why = words::line(&trouble.why, LONGEST_ERROR);
        if !snapshot.coordination_up && !why.contains("coordination") {
            why.push_str("; the coordination store is away, so each replica tells by itself");
        }
        let mut notice = Notice::new(About::Monitor, "monitor", trouble.since);
        while self.notices.contains_key(&notice.key()) {
            notice.first_failed_at = now.max(notice.first_failed_at + 1);
        }
        notice.error = Some(why);
        self.notices.insert(notice.key(), notice);
    }

    fn learn_repairs(&mut self, news: &[News]) {
        if self.knows_nothing() {
            return;
        }
        let watched = &self.watched;
        let in_maintenance = |component: &str| match component {
            ALL => watched.values().all(|watched| watched.maintenance.is_some()),
            name => watched.get(name).is_some_and(|watched| watched.maintenance.is_some()),
        };
        repairs::learn(&mut self.notices, news, in_maintenance);
    }

    /// Keeps the outbox bounded, and gives the keys that fall out of it.
    fn shorten(&mut self) -> Vec<String> {
        let mut dropped = Vec::new();
        let mut groups: BTreeMap<(About, String), Vec<String>> = BTreeMap::new();
        // Those of repairs end by themselves.
        let incidents = self.notices.iter().filter(|(_, notice)| notice.about != About::Repair);
        let mut in_order: Vec<_> = incidents.collect();
        in_order.sort_by_key(|(_, notice)| notice.first_failed_at);
        for (key, notice) in in_order {
            let group = (notice.about, notice.component.clone());
            groups.entry(group).or_default().push(key.clone());
        }
        for keys in groups.into_values().filter(|keys| keys.len() > KEPT) {
            let (over, waiting): (Vec<_>, Vec<_>) =
                keys.into_iter().partition(|key| self.notices[key].is_over());
            let surplus = over.len().saturating_sub(KEPT);
            // What the store may still report must be known as said.
            let is_last = |key: &String| {
                let last = self.incidents.get(self.notices[key].component.as_str());
                last.is_some_and(|incident| incident.key == *key)
            };
            let old = over.into_iter().filter(|key| !is_last(key)).take(surplus);
            dropped.extend(old);

            let unsaid: Vec<_> = waiting
                .into_iter()
                .filter(|key| {
                    let notice = &self.notices[key];
                    notice.opened_sent.is_none() && notice.resolved_at.is_some()
                })
                .collect();
            for pair in unsaid.windows(2).take(unsaid.len().saturating_sub(KEPT)) {
                let told_with_next = self.notices[&pair[0]].earlier + 1;
                let next = self.notices.get_mut(&pair[1]).expect("it was listed just now");
                next.earlier += told_with_next;
                dropped.push(pair[0].clone());
            }
        }
        self.notices.retain(|key, _| !dropped.contains(key));
        dropped
    }

    /// What to say now, in the order of its beginnings, and when there will be more.
    fn due(&mut self) -> (Vec<Item>, Option<u64>) {
        let group = millis(self.policy.group);
        let patience = self.patience();
        let growing = self.growing();
        let mut items = Vec::new();
        let (mut ready, mut next) = (false, None::<u64>);
        let mut wait_until = |at: u64| next = Some(next.map_or(at, |next| next.min(at)));
        for (key, notice) in self.notices.clone() {
            let said = self.news(&notice);
            let waiting_since = said.map(|_| notice.waiting_since.unwrap_or(self.now));
            if let Some(known) = self.notices.get_mut(&key)
                && known.waiting_since != waiting_since
            {
                known.waiting_since = waiting_since;
            }
            let notice = Notice { waiting_since, ..notice };
            if let (Some(said), Some(since)) = (said, waiting_since) {
                // The clock may have been set back: what lies ahead has waited enough.
                let waited = self.now.abs_diff(since);
                let wait = patience.of(&notice, said, &self.watched);
                // While a storm grows, other news goes without it.
                let grows = notice.about == About::Component && group > 0;
                if let Some(until) = growing.until(said).filter(|_| grows) {
                    wait_until(until);
                    continue;
                }
                ready |= waited >= wait;
                if waited < wait {
                    wait_until(since + wait);
                }
                items.push(Item { notice, said });
            } else if let Some(due_at) = self.reminder_at(&notice) {
                // Reminders that come due at different times of the hour grow together: one waits
                // for the next.
                let sent_at = due_at + group.max(millis(self.policy.reminder) / 12);
                if due_at <= self.now {
                    items.push(Item { notice, said: Said::Reminder });
                }
                ready |= sent_at <= self.now;
                if sent_at > self.now {
                    wait_until(sent_at);
                }
            }
        }
        items.sort_by(|a, b| {
            let order = |item: &Item| (item.notice.first_failed_at, item.notice.about);
            order(a).cmp(&order(b)).then_with(|| a.notice.component.cmp(&b.notice.component))
        });
        if ready { (items, next) } else { (Vec::new(), next) }
    }

    /// Who is about to be in the news with others.
    fn growing(&self) -> Growing {
        let told = self.notices.values().filter(|notice| notice.about == About::Component);
        let news: BTreeMap<_, _> = told
            .filter_map(|notice| {
                let since = notice.waiting_since.unwrap_or(self.now);
                Some((notice.component.as_str(), (self.news(notice)?, since)))
            })
            .collect();
        Growing::new(self.watched.values().copied(), |name| news.get(name).copied(), self.now)
    }

    /// How long news waits for more, by what was told lately.
    fn patience(&self) -> Patience {
        let group = millis(self.policy.group);
        let lately = |at: Option<u64>| {
            at.is_some_and(|at| self.now.abs_diff(at) < group.saturating_mul(STORM))
        };
        let about = |about| self.notices.values().filter(move |notice| notice.about == about);
        let told = || about(About::Component);
        let is_down =
            |notice: &&Notice| notice.opened_sent.is_some() && notice.resolved_at.is_none();
        // One that goes down again and again is no storm.
        let many = |who: About, sent: fn(&Notice) -> Option<u64>| {
            let lately = about(who).filter(|notice| lately(sent(notice)));
            lately.map(|notice| &notice.component).collect::<BTreeSet<_>>().len() >= MANY
        };
        Patience {
            group,
            falling: many(About::Component, |notice| notice.opened_sent),
            rising: many(About::Component, |notice| notice.recovered_sent),
            repairing: many(About::Repair, |notice| notice.opened_sent),
            down: told().filter(is_down).map(|notice| notice.component.clone()).collect(),
        }
    }

    /// What must be said of it, reminders aside.
    fn news(&self, notice: &Notice) -> Option<Said> {
        if notice.is_over() || notice.quiet || self.is_muted(notice) {
            return None;
        }
        if notice.about == About::Repair {
            return Some(Said::Repair);
        }
        match (notice.opened_sent, notice.resolved_at) {
            (None, None) => Some(Said::Opened),
            (None, Some(_)) => Some(Said::OpenedAndRecovered),
            (Some(_), Some(_)) => Some(Said::Recovered),
            (Some(_), None) => None,
        }
    }

    fn reminder_at(&self, notice: &Notice) -> Option<u64> {
        let last = notice.opened_sent?.max(notice.reminded.unwrap_or(0));
        let watched = match notice.about {
            About::Component => {
                let watched = self.watched.get(notice.component.as_str())?;
                !watched.acknowledged && watched.maintenance.is_none()
            }
            About::Monitor => !self.knows_nothing(),
            About::Repair => return None,
        };
        let is_open = notice.resolved_at.is_none() && !notice.quiet;
        (is_open && watched).then_some(last + millis(self.policy.reminder))
    }

    fn is_muted(&self, notice: &Notice) -> bool {
        self.knows_nothing()
            || notice.about == About::Component && self.in_maintenance(&notice.component)
    }

    /// A snapshot without components is one from before the first look: it does not say that
    /// nothing is in maintenance, and not that we are well.
    fn knows_nothing(&self) -> bool {
        self.watched.is_empty()
    }

    fn in_maintenance(&self, component: &str) -> bool {
        self.watched.get(component).is_some_and(|watched| watched.maintenance.is_some())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
