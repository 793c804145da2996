//! An incident reaches somebody who deals with it, whatever gets lost on the way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mcpmon_coordination::incident::{
    Failure, Opened, Origin, State, acknowledge, consume, open, open_incident, resolve, resolve_own,
};
use mcpmon_coordination::{Incident, Memory, Store};
use proptest::prelude::*;
use tokio::time::sleep;

use crate::lossy::{Lossy, fates};
use crate::on_paused_clock;

const PATIENCE: Duration = Duration::from_secs(30);

fn incident(component: &str, origin: Origin, first_failed_at: u64) -> Incident {
    Incident::new(component, "http", Failure::Timeout, origin, first_failed_at, first_failed_at)
}

/// Everything that the group is given, acknowledged when `deal` says so.
async fn read(store: &dyn Store, deal: bool) -> Vec<(String, State)> {
    let mut given = Vec::new();
    while let Ok(entries) = consume(store, "remediation", "r1", PATIENCE, Duration::ZERO).await {
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            given.push((entry.incident.key.clone(), entry.incident.state));
            if deal {
                // Unanswered: it may come again.
                let _ = acknowledge(store, "remediation", &entry.id).await;
            }
        }
    }
    given
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_incident_is_delivered_at_least_once(
        components in prop::collection::btree_set("[a-d]", 1..4),
        writing in fates(),
        crashed in fates(),
    ) {
        on_paused_clock(async {
            let memory = Arc::new(Memory::new());
            let monitor = Lossy::new(memory.clone(), writing);
            for component in &components {
                while open(&monitor, &incident(component, Origin::Monitor, 1)).await.is_err() {}
            }
            // A consumer that reads, acknowledges nothing and dies.
            read(&Lossy::new(memory.clone(), crashed), false).await;
            sleep(PATIENCE).await;
            let given: BTreeSet<_> = read(&*memory, true).await.into_iter().collect();
            let expected =
                components.iter().map(|name| (format!("{name}@1"), State::Opened)).collect();
            assert_eq!(given, expected);
            sleep(PATIENCE).await;
            assert!(read(&*memory, true).await.is_empty());
        });
    }
}

#[test]
fn a_second_source_joins_and_a_late_report_opens_nothing() {
    on_paused_clock(async {
        let store = Memory::new();
        let first = incident("api", Origin::Monitor, 5);
        assert_eq!(open(&store, &first).await.unwrap(), Opened::New(first.clone()));
        let second = incident("api", Origin::Alertmanager, 7);
        assert_eq!(open(&store, &second).await.unwrap(), Opened::Joined(first.clone()));
        assert_eq!(open_incident(&store, "api").await.unwrap(), Some(first.clone()));
        let closed = resolve(&store, "api", 20).await.unwrap().expect("it was open");
        assert_eq!((&closed.key, closed.state), (&first.key, State::Resolved));
        assert_eq!(resolve(&store, "api", 21).await.unwrap(), None);
        assert_eq!(open(&store, &first).await.unwrap(), Opened::Over);
        let next = incident("api", Origin::Monitor, 30);
        assert_eq!(open(&store, &next).await.unwrap(), Opened::New(next.clone()));
        let states = [
            (first.key.clone(), State::Opened),
            (first.key, State::Resolved),
            (next.key, State::Opened),
        ];
        assert_eq!(read(&store, true).await, states);
    });
}

#[test]
fn what_cannot_be_read_does_not_block_the_stream() {
    on_paused_clock(async {
        let store = Memory::new();
        let stream = mcpmon_coordination::Key::new(&["incidents"]);
        store.publish(&stream, "{\"schema\":9}").await.unwrap();
        open(&store, &incident("api", Origin::Monitor, 5)).await.unwrap();
        assert_eq!(read(&store, true).await, [("api@5".to_owned(), State::Opened)]);
    });
}

#[tokio::test]
async fn nobody_closes_what_he_has_not_reported() {
    let store = Memory::new();
    open(&store, &incident("api", Origin::Alertmanager, 5)).await.unwrap();
    let closed = resolve_own(&store, "api", 20, Origin::Monitor).await.unwrap();
    assert_eq!(closed, None);
    assert!(open_incident(&store, "api").await.unwrap().is_some());
    open(&store, &incident("api", Origin::Monitor, 30)).await.unwrap();
    let closed = resolve_own(&store, "api", 40, Origin::Monitor).await.unwrap();
    assert_eq!(closed.expect("it joined").key, "api@5");
    assert_eq!(open_incident(&store, "api").await.unwrap(), None);
}
