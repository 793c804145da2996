//! Random histories against a model: whatever happens, each incident's beginning and end are told
//! at least once and in order, twice only after a crash, and reminders keep their hour.

use std::collections::BTreeMap;

use mcp_health_monitor::notice::message::{Message, Said};
use mcp_health_monitor::notice::step::step;
use mcp_health_monitor::snapshot::Snapshot;
use mcpmon_coordination::Incident;
use mcpmon_coordination::incident::State;
use mcpmon_coordination::repair::What;
use proptest::prelude::*;

use crate::world::{
    Outbox, POLICY, START, action, maintenance, news, opened, resolved, snapshot, watched,
};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// More would be told as a number.
const INCIDENTS: usize = 9;
const REPAIRS: usize = 9;

#[derive(Debug, Clone, Copy)]
enum Event {
    Open(usize),
    Resolve(usize),
    Repair(usize),
    Maintenance(usize, bool),
    Acknowledge(usize, bool),
    Pass(u64),
    Look(Channel),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Channel {
    Arrives,
    Fails,
    /// The process ends after the answer, before it writes that down.
    Crashes,
}

#[derive(Debug, Default)]
struct Told {
    opened: u32,
    recovered: u32,
    /// Known to the outbox, and whether it only knew it in maintenance.
    seen: bool,
    quiet: bool,
    resolved: bool,
    /// When the outbox last knew that people were told.
    last: Option<u64>,
}

#[derive(Debug)]
struct World {
    now: u64,
    snapshot: Snapshot,
    incidents: BTreeMap<usize, Incident>,
    opened: [usize; 3],
    outbox: Outbox,
    told: BTreeMap<String, Told>,
    /// Of each repair, by its id.
    repairs: BTreeMap<String, Repair>,
    crashes: u32,
}

#[derive(Debug, Default)]
struct Repair {
    told: u32,
    /// Seen in maintenance before anybody was told.
    quiet: bool,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let component = 0..NAMES.len();
    let channel = prop_oneof![
        4 => Just(Channel::Arrives), 3 => Just(Channel::Fails), 1 => Just(Channel::Crashes)
    ];
    let event = prop_oneof![
        3 => component.clone().prop_map(Event::Open),
        3 => component.clone().prop_map(Event::Resolve),
        2 => component.clone().prop_map(Event::Repair),
        1 => (component.clone(), any::<bool>()).prop_map(|(c, on)| Event::Maintenance(c, on)),
        1 => (component, any::<bool>()).prop_map(|(c, on)| Event::Acknowledge(c, on)),
        2 => (0_u64..10_000).prop_map(Event::Pass),
        2 => (0_u64..5_000_000).prop_map(Event::Pass),
        8 => channel.prop_map(Event::Look),
    ];
    prop::collection::vec(event, 0..120)
}

impl World {
    fn new() -> Self {
        Self {
            now: START,
            snapshot: snapshot(NAMES.iter().map(|name| watched(name, &[])).collect()),
            incidents: BTreeMap::new(),
            opened: [0; 3],
            outbox: Outbox::default(),
            told: BTreeMap::new(),
            repairs: BTreeMap::new(),
            crashes: 0,
        }
    }

    fn apply(&mut self, event: Event) {
        self.now += 1;
        match event {
            Event::Open(c) => {
                let is_open = self.incidents.get(&c).is_some_and(|i| i.state == State::Opened);
                if !is_open && self.opened[c] < INCIDENTS {
                    self.opened[c] += 1;
                    self.incidents.insert(c, opened(NAMES[c], self.now));
                }
            }
            Event::Resolve(c) => {
                if let Some(incident) = self.incidents.get_mut(&c)
                    && incident.state == State::Opened
                {
                    *incident = resolved(NAMES[c], incident.first_failed_at, self.now);
                }
            }
            Event::Repair(c) => {
                let of_c = self.outbox.news.iter().filter(|news| news.component == NAMES[c]);
                if of_c.count() < REPAIRS {
                    let id = format!("{}/{}", NAMES[c], self.now);
                    let what = match self.now % 3 {
                        0 => What::Repaired { action: action() },
                        1 => What::Failed { action: action() },
                        _ => What::CircuitOpen,
                    };
                    self.outbox.news.push(news(&id, NAMES[c], self.now, what));
                    self.repairs.insert(id, Repair::default());
                }
            }
            Event::Maintenance(c, on) => {
                self.snapshot.components[c].maintenance = on.then(maintenance);
            }
            Event::Acknowledge(c, on) => self.snapshot.components[c].acknowledged = on,
            Event::Pass(ms) => self.now += ms,
            Event::Look(channel) => self.look(channel),
        }
    }

    fn look(&mut self, channel: Channel) {
        for (c, incident) in &self.incidents {
            let silent = self.snapshot.components[*c].maintenance.is_some();
            for (key, told) in &mut self.told {
                let same = key.starts_with(&format!("{}@", NAMES[*c]));
                told.resolved |= same && *key != incident.key;
            }
            let told = self.told.entry(incident.key.clone()).or_default();
            if !told.seen {
                (told.seen, told.quiet) = (true, silent);
            }
            told.resolved |= incident.state == State::Resolved;
            told.quiet &= silent || told.resolved;
        }
        for news in &self.outbox.news {
            let c = NAMES.iter().position(|name| *name == news.component).unwrap();
            let repair = self.repairs.get_mut(&news.id).unwrap();
            let silent = self.snapshot.components[c].maintenance.is_some();
            // After a crash it is not known that it was told.
            let known = self.outbox.notices.values().any(|notice| {
                notice.repair.as_ref().is_some_and(|known| known.id == news.id)
                    && notice.opened_sent.is_some()
            });
            repair.quiet |= silent && !known;
        }
        let incidents: Vec<_> = self.incidents.values().cloned().collect();
        let (news, notices) = (&self.outbox.news, &self.outbox.notices);
        let step = step(&self.snapshot, &incidents, news, notices, self.now, POLICY);
        self.outbox.write(step.changed.iter().cloned());
        assert_eq!(step.dropped, Vec::<String>::new());
        let Some(message) = step.message.filter(|_| channel != Channel::Fails) else { return };
        self.hear(&message, channel == Channel::Crashes);
        if channel == Channel::Arrives {
            let arrived = message.items.iter().map(|item| item.arrived(self.now));
            self.outbox.write(arrived.collect::<Vec<_>>());
        }
    }

    fn hear(&mut self, message: &Message, crashes: bool) {
        self.crashes += u32::from(crashes);
        for item in &message.items {
            let c = NAMES.iter().position(|name| *name == item.notice.component).unwrap();
            let watched = &self.snapshot.components[c];
            assert!(watched.maintenance.is_none(), "nothing is said in maintenance");
            if let Some(news) = &item.notice.repair {
                let repair = self.repairs.get_mut(&news.id).expect("it was published");
                assert!(!repair.quiet, "{} is silent", news.id);
                assert_eq!((item.said, item.notice.earlier), (Said::Repair, 0));
                repair.told += 1;
                continue;
            }
            let told = self.told.get_mut(&item.notice.key()).expect("it was seen");
            assert!(!told.quiet, "{} began and ended in maintenance", item.notice.key());
            match item.said {
                Said::Opened => {
                    assert_eq!(told.recovered, 0, "in order");
                    told.opened += 1;
                }
                Said::OpenedAndRecovered => {
                    told.opened += 1;
                    told.recovered += 1;
                }
                Said::Recovered => {
                    assert!(told.opened > 0, "in order");
                    told.recovered += 1;
                }
                said @ (Said::Reminder | Said::Repair) => {
                    assert_eq!(said, Said::Reminder, "it is no repair's");
                    assert!(!watched.acknowledged && !told.resolved);
                    let since = self.now - told.last.expect("only what was told comes again");
                    assert!(since >= 3_600_000, "a reminder after {since} ms");
                }
            }
            if !crashes {
                told.last = Some(self.now);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn each_incident_is_told_once_with_its_end(events in events()) {
        let mut world = World::new();
        for event in events {
            world.apply(event);
        }
        for c in 0..NAMES.len() {
            world.apply(Event::Maintenance(c, false));
        }
        world.apply(Event::Look(Channel::Fails));
        for c in 0..NAMES.len() {
            world.apply(Event::Resolve(c));
        }
        for _ in 0..3 {
            world.apply(Event::Look(Channel::Arrives));
            // In a storm news waits longer.
            world.apply(Event::Pass(180_000));
        }
        for (key, told) in &world.told {
            prop_assert!(told.resolved, "{key} is over");
            if told.quiet {
                prop_assert_eq!((told.opened, told.recovered), (0, 0), "{} is silent", key);
                continue;
            }
            let allowed = 1..=1 + world.crashes;
            prop_assert!(allowed.contains(&told.opened), "{key}: {told:?}");
            prop_assert!(allowed.contains(&told.recovered), "{key}: {told:?}");
        }
        for (id, repair) in &world.repairs {
            let allowed = u32::from(!repair.quiet)..=1 + world.crashes;
            prop_assert!(allowed.contains(&repair.told), "{id}: {repair:?}");
        }
        // And then there is silence.
        world.apply(Event::Pass(9_000_000));
        let before = format!("{:?} {:?}", world.told, world.repairs);
        world.apply(Event::Look(Channel::Arrives));
        prop_assert_eq!(before, format!("{:?} {:?}", world.told, world.repairs));
    }
}
