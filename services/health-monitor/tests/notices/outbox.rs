//! The step, case by case.

use mcp_health_monitor::finding::Outcome;
use mcp_health_monitor::notice::message::Said;
use mcp_health_monitor::snapshot::{OwnTrouble, Snapshot};
use mcpmon_coordination::Incident;
use mcpmon_coordination::incident::Origin;
use serde_json::json;

use crate::world::{Outbox, START, failing, maintenance, opened, resolved, snapshot, watched};

const HOUR: u64 = 3_600_000;

#[test]
fn an_incident_is_told_once_with_its_end() {
    let (mut outbox, world) = (Outbox::default(), snapshot(vec![watched("api", &[])]));
    let incident = [opened("api", START)];
    let message = outbox.told(&world, &incident, START).unwrap().message.unwrap();
    assert_eq!(message.headline, "api is down");
    assert_eq!(message.sections[0].lines[0].text, "timeout: no answer within 10 s");
    assert_eq!(message.sections[0].lines[0].key, format!("api@{START}"));
    assert_eq!(outbox.step(&world, &incident, START + 60_000).message, None);

    let over = [resolved("api", START, START + 312_000)];
    let message = outbox.told(&world, &over, START + 312_000).unwrap().message.unwrap();
    assert_eq!(message.headline, "api recovered");
    assert_eq!(message.sections[0].lines[0].text, "down for 5 min 12 s");
    let step = outbox.step(&world, &over, START + 2 * HOUR);
    assert_eq!((step.message, step.look_again_at, step.changed.len()), (None, None, 0));
}

#[test]
fn what_opened_and_recovered_unheard_is_one_line_that_says_both() {
    let (mut outbox, world) = (Outbox::default(), snapshot(vec![watched("api", &[])]));
    outbox.step(&world, &[opened("api", START)], START);
    let over = [resolved("api", START, START + 60_000)];
    let step = outbox.step(&world, &over, START + 60_000);
    let message = step.message.unwrap();
    assert_eq!(message.headline, "api was down and recovered");
    let line = &message.sections[0].lines[0];
    assert_eq!(line.text, "down for 1 min, timeout: no answer within 10 s");
    assert_eq!(message.items[0].said, Said::OpenedAndRecovered);
    outbox.write(message.items.iter().map(|item| item.arrived(START + 60_000)));
    assert_eq!(outbox.step(&world, &over, START + HOUR).message, None);
}

#[test]
fn two_hundred_at_once_are_one_message_that_names_the_cause() {
    let names: Vec<String> = (0..199).map(|n| format!("server-{n:03}")).collect();
    let mut components = vec![watched("redis", &[]), watched("gateway", &["redis"])];
    components.extend(names.iter().map(|name| watched(name, &["gateway"])));
    let world = snapshot(components);
    let mut incidents: Vec<Incident> =
        names.iter().zip(START..).map(|(name, at)| opened(name, at)).collect();
    incidents.push(opened("redis", START + 500));
    let mut outbox = Outbox::default();
    let message = outbox.told(&world, &incidents, START + 500).unwrap().message.unwrap();
    assert_eq!(message.headline, "200 components are down, shared cause: redis");
    assert_eq!(message.items.len(), 200);
    assert_eq!((message.sections[0].lines.len(), message.sections[0].more), (20, 180));
    assert_eq!(outbox.step(&world, &incidents, START + 60_000).message, None);

    let over: Vec<_> = incidents
        .iter()
        .map(|incident| resolved(&incident.component, incident.first_failed_at, START + 90_000))
        .collect();
    let message = outbox.told(&world, &over, START + 90_000).unwrap().message.unwrap();
    assert_eq!(message.headline, "200 components recovered");
}

#[test]
fn a_dependency_that_is_up_or_not_needed_by_all_is_no_cause() {
    let components =
        vec![watched("redis", &[]), watched("a", &["redis"]), watched("b", &["redis"])];
    let world = snapshot(components);
    let both = [opened("a", START), opened("b", START)];
    let message = Outbox::default().told(&world, &both, START).unwrap().message.unwrap();
    assert_eq!(message.cause, None, "redis is up");

    let world = snapshot(vec![watched("redis", &[]), watched("a", &["redis"]), watched("c", &[])]);
    let all = [opened("a", START), opened("c", START), opened("redis", START)];
    let message = Outbox::default().told(&world, &all, START).unwrap().message.unwrap();
    assert_eq!(message.cause, None, "c does not need redis");
}

#[test]
fn a_cause_that_was_told_before_is_named() {
    let world = snapshot(vec![watched("redis", &[]), watched("a", &["redis"])]);
    let mut outbox = Outbox::default();
    let redis = opened("redis", START);
    outbox.told(&world, std::slice::from_ref(&redis), START).unwrap();
    let both = [redis, opened("a", START + 9_000)];
    // It waits for others of whom the same is the cause.
    assert!(outbox.told(&world, &both, START + 9_000).is_none());
    let message = outbox.step(&world, &both, START + 9_000 + 180_000).message.unwrap();
    assert_eq!(message.headline, "a is down, shared cause: redis");
}

/// By default each component is checked in a moment of its own within five minutes, and every thirty
/// seconds once it failed: two hundred that fail at once are noticed over six minutes.
#[test]
fn a_storm_that_is_noticed_over_minutes_is_a_handful_of_messages() {
    let names: Vec<String> = (0..200).map(|n| format!("server-{n:03}")).collect();
    let world = |needs: &[&str]| {
        let mut components = vec![watched("gateway", &[])];
        components.extend(names.iter().map(|name| watched(name, needs)));
        snapshot(components)
    };
    let messages = |world: &Snapshot, first: Option<Incident>| {
        let (mut outbox, mut incidents) = (Outbox::default(), Vec::from_iter(first));
        let mut sizes = Vec::new();
        for second in 0..900_u64 {
            let now = START + second * 1_000;
            let noticed = (second * 200 / 300).min(200) as usize;
            for name in &names[incidents.len().min(noticed)..noticed] {
                incidents.push(opened(name, now));
            }
            if let Some(message) = outbox.step(world, &incidents, now).message {
                sizes.push(message.items.len());
                outbox.write(message.items.iter().map(|item| item.arrived(now)));
            }
        }
        assert_eq!(sizes.iter().sum::<usize>(), incidents.len(), "{sizes:?}");
        sizes.len()
    };
    let unrelated = messages(&world(&[]), None);
    assert!((2..=8).contains(&unrelated), "{unrelated} messages");
    let of_one_cause = messages(&world(&["gateway"]), Some(opened("gateway", START)));
    assert!((2..=4).contains(&of_one_cause), "{of_one_cause} messages");
}

/// After how many seconds that is told: the first of them is in trouble, the others have begun to
/// fail at `began` and are in trouble after `until` seconds, if ever.
fn first_told(others: &[&str], began: u64, until: Option<u64>) -> (u64, usize) {
    let mut outbox = Outbox::default();
    for second in 0..600 {
        let now = START + second * 1_000;
        let are_down = until.is_some_and(|until| second >= until);
        let mut incidents = vec![opened("first", START)];
        let mut components = vec![failing("first", START, true)];
        components.extend(others.iter().map(|name| failing(name, began, are_down)));
        if are_down {
            incidents.extend(others.iter().map(|name| opened(name, began)));
        }
        if let Some(message) = outbox.step(&snapshot(components), &incidents, now).message {
            return (second, message.items.len());
        }
    }
    panic!("nobody was told")
}

#[test]
fn news_of_a_storm_waits_for_those_that_have_begun_to_fail_and_of_one_for_nobody() {
    let began = START - 40_000;
    assert_eq!(first_told(&[], began, None), (3, 1));
    assert_eq!(first_told(&["a"], began, Some(20)), (3, 1), "two are no storm");
    assert_eq!(first_told(&["a", "b"], began, Some(20)), (20, 3));
    // Whoever is not in trouble after so long is flapping, and nobody waits for it any more.
    assert_eq!(first_told(&["a", "b"], began, None), (80, 1));
    // It does not wait for ever either when more and more begin to fail.
    assert_eq!(first_told(&["a", "b"], START + 100_000, None), (120, 1));
}

#[test]
fn the_recovery_of_a_storm_waits_for_those_that_answer_again() {
    let names = ["a", "b", "c"];
    let mut outbox = Outbox::default();
    let down: Vec<_> = names.iter().map(|name| opened(name, START)).collect();
    let world = |well: &[&str]| {
        let components = names.iter().map(|name| {
            let mut watched = failing(name, START, !well.contains(name));
            watched.record.as_mut().unwrap().outcome = Outcome::Ok;
            watched
        });
        snapshot(components.collect())
    };
    let all_down = snapshot(names.iter().map(|name| failing(name, START, true)).collect());
    outbox.told(&all_down, &down, START).unwrap();
    let well = |count: usize, at: u64| {
        let (well, ill) = down.split_at(count);
        let well = well.iter().map(|it| resolved(&it.component, START, at));
        well.chain(ill.iter().cloned()).collect::<Vec<_>>()
    };
    for second in [300, 303, 310] {
        let at = START + second * 1_000;
        assert_eq!(outbox.step(&world(&["a"]), &well(1, at), at).message, None, "{second}");
    }
    let at = START + 320_000;
    let message = outbox.step(&world(&names), &well(3, at), at).message.unwrap();
    assert_eq!(message.headline, "3 components recovered");
}

#[test]
fn reminders_come_hourly_and_together_and_stop_when_acknowledged() {
    let mut world = snapshot(vec![watched("a", &[]), watched("b", &[])]);
    let mut outbox = Outbox::default();
    let a = opened("a", START);
    outbox.told(&world, std::slice::from_ref(&a), START).unwrap();
    let told_a = START + 3_000;
    let both = [a, opened("b", START + 120_000)];
    outbox.told(&world, &both, START + 120_000).unwrap();

    // b is due two minutes later, and a waits for it.
    assert_eq!(outbox.step(&world, &both, told_a + HOUR - 1).message, None);
    let step = outbox.step(&world, &both, told_a + HOUR);
    assert_eq!((step.message, step.look_again_at), (None, Some(told_a + HOUR + 300_000)));
    let now = told_a + HOUR + 300_000;
    let message = outbox.step(&world, &both, now).message.unwrap();
    assert_eq!(message.headline, "2 components are still down");
    assert!(message.items.iter().all(|item| item.said == Said::Reminder));
    outbox.write(message.items.iter().map(|item| item.arrived(now)));
    assert_eq!(outbox.step(&world, &both, now + HOUR - 1).message, None);

    world.components[0].acknowledged = true;
    world.components[1].maintenance = Some(maintenance());
    let step = outbox.step(&world, &both, now + 9 * HOUR);
    assert_eq!((step.message, step.look_again_at), (None, None));
}

#[test]
fn maintenance_is_silent_and_what_outlasts_it_is_told() {
    let mut world = snapshot(vec![watched("a", &[]), watched("b", &[]), watched("c", &[])]);
    let mut outbox = Outbox::default();
    // a is down before, b and c in maintenance; a and b recover in it, c does not.
    outbox.told(&world, &[opened("a", START)], START).unwrap();
    for component in &mut world.components {
        component.maintenance = Some(maintenance());
    }
    let at = START + 60_000;
    let all = [opened("a", START), opened("b", at), opened("c", at)];
    assert_eq!(outbox.told(&world, &all, at), None);
    let later = START + 120_000;
    let some = [resolved("a", START, later), resolved("b", at, later), opened("c", at)];
    assert_eq!(outbox.told(&world, &some, later), None);

    for component in &mut world.components {
        component.maintenance = None;
    }
    let message = outbox.told(&world, &some, START + HOUR).unwrap().message.unwrap();
    assert_eq!(message.headline, "c is down; a recovered");
    assert_eq!(outbox.step(&world, &some, START + HOUR + 60_000).message, None);
}

#[test]
fn an_end_that_nobody_saw_is_told_when_the_next_incident_is_known() {
    let (mut outbox, world) = (Outbox::default(), snapshot(vec![watched("api", &[])]));
    outbox.told(&world, &[opened("api", START)], START).unwrap();
    let next = [opened("api", START + 600_000)];
    let message = outbox.told(&world, &next, START + 600_000).unwrap().message.unwrap();
    assert_eq!(message.headline, "api is down; api recovered");
    assert_eq!(message.items[0].notice.first_failed_at, START);
}

#[test]
fn the_end_of_an_incident_that_another_replaced_is_told_once_the_component_is_well() {
    let mut outbox = Outbox::default();
    let down = snapshot(vec![watched("api", &[])]);
    outbox.told(&down, &[opened("api", START)], START).unwrap();
    // A replica that saw nobody had opened its own before, and its document won.
    let other = resolved("api", START - 500, START + 10_000);
    let well = json!({
        "kind": "http", "slot": START + 10_000, "checked_at": START + 10_000, "state": "healthy",
        "since": START + 10_000, "outcome": "ok", "in_trouble": false, "consecutive_failures": 0,
    });
    let mut api = watched("api", &[]);
    api.record = Some(serde_json::from_value(well).unwrap());
    let step = outbox.told(&snapshot(vec![api]), &[other], START + 20_000).unwrap();
    let items = step.message.unwrap().items;
    let said: Vec<_> = items.iter().map(|it| (it.notice.first_failed_at, it.said)).collect();
    assert_eq!(said, [(START - 500, Said::OpenedAndRecovered), (START, Said::Recovered)]);
}

#[test]
fn while_nobody_can_be_told_the_outbox_stays_small_and_counts() {
    let (mut outbox, world) = (Outbox::default(), snapshot(vec![watched("api", &[])]));
    let mut said = 0;
    for n in 0..50 {
        let at = START + n * 600_000;
        outbox.step(&world, &[opened("api", at)], at);
        let step = outbox.step(&world, &[resolved("api", at, at + 300_000)], at + 300_000);
        said = step.message.unwrap().items.iter().map(|item| item.notice.earlier + 1).sum();
    }
    assert_eq!((outbox.notices.len(), said), (10, 50));
}

#[test]
fn of_what_was_told_little_is_kept() {
    let (mut outbox, world) = (Outbox::default(), snapshot(vec![watched("api", &[])]));
    for n in 0..50 {
        let at = START + n * 600_000;
        outbox.told(&world, &[opened("api", at)], at).unwrap();
        outbox.told(&world, &[resolved("api", at, at + 300_000)], at + 300_000).unwrap();
    }
    assert!(outbox.notices.len() <= 11, "{}", outbox.notices.len());
}

#[test]
fn what_an_alert_alone_says_is_left_to_alertmanager() {
    let (mut outbox, world) = (Outbox::default(), snapshot(vec![watched("api", &[])]));
    let mut alert = opened("api", START);
    alert.origin = Origin::Alertmanager;
    assert_eq!(outbox.told(&world, &[alert], START), None);
    assert_eq!(outbox.notices.len(), 0);
    // And of what nobody watches any longer, nothing is said.
    assert_eq!(outbox.told(&world, &[opened("removed", START)], START), None);
}

#[test]
fn the_monitors_own_trouble_is_told_and_its_end() {
    let (mut outbox, mut world) = (Outbox::default(), snapshot(vec![watched("api", &[])]));
    world.own_trouble = Some(OwnTrouble { since: START, why: "no resolver".to_owned() });
    world.coordination_up = false;
    let message = outbox.told(&world, &[], START).unwrap().message.unwrap();
    assert_eq!(message.sections[0].lines[0].key, format!("monitor@{START}"));
    assert_eq!(
        message.sections[0].lines[0].text,
        "no resolver; the coordination store is away, so each replica tells by itself"
    );
    // Another replica counts from another moment.
    world.own_trouble = Some(OwnTrouble { since: START + 500, why: "no resolver".to_owned() });
    assert_eq!(outbox.step(&world, &[], START + 60_000).message, None);
    world.own_trouble = None;
    let message = outbox.told(&world, &[], START + 120_000).unwrap().message.unwrap();
    assert_eq!(message.headline, "monitor is well again");
    assert_eq!(message.sections[0].lines[0].text, "degraded for 2 min");
    assert_eq!(outbox.step(&world, &[], START + HOUR).message, None);
}

#[test]
fn before_the_first_look_nothing_is_told() {
    let (mut outbox, mut world) = (Outbox::default(), snapshot(vec![watched("api", &[])]));
    let nothing = Snapshot::default();
    world.own_trouble = Some(OwnTrouble { since: START, why: "no resolver".to_owned() });
    outbox.told(&world, &[opened("api", START)], START).unwrap();
    world.components[0].maintenance = Some(maintenance());
    let over = [resolved("api", START, START + 60_000)];
    assert_eq!(outbox.told(&world, &over, START + 60_000), None);
    // A new process does not know of the maintenance yet, nor of its own trouble.
    assert_eq!(outbox.told(&nothing, &over, START + 2 * HOUR), None);
    world.components[0].maintenance = None;
    let message = outbox.step(&world, &over, START + 3 * HOUR).message.unwrap();
    assert_eq!(message.headline, "monitor still degraded; api recovered");
}

#[test]
fn a_clock_that_is_set_back_keeps_nothing_waiting() {
    let (mut outbox, world) = (Outbox::default(), snapshot(vec![watched("api", &[])]));
    let incident = [opened("api", START)];
    outbox.step(&world, &incident, START);
    assert!(outbox.step(&world, &incident, START - HOUR).message.is_some());
}
