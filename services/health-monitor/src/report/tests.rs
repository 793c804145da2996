use super::*;
use crate::objectives::Objectives;
use crate::traffic::Traffic;
use crate::verdict::fixture::{NOW, in_maintenance, moment, unchecked, watched, with_tools};
use crate::verdict::{Source, overall};

fn report(components: Vec<Watched>) -> Report {
    let snapshot = moment(components);
    let traffic = Source::Read(Traffic::default());
    let overall = overall(&snapshot, &traffic, &Source::NotConfigured, &Objectives::default());
    Report::new(&snapshot, overall)
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    report.write_text(&mut text).unwrap();
    text
}

/// One component in each state, and one that was not checked yet.
fn all_states() -> Vec<Watched> {
    let mut components: Vec<_> = State::ALL.map(|state| watched(state.as_str(), state)).into();
    for (watched, error) in components.iter_mut().zip([
        None,
        None,
        Some("connection refused"),
        Some("the resolver does not answer"),
        Some("it answers 401"),
        Some("it answers 429"),
        Some("the reply to initialize is no JSON"),
        Some("it offers 1999-01-01 alone"),
        Some("find_product is not listed"),
        Some("it speaks HTTP+SSE of 2024-11-05 alone"),
    ]) {
        let record = watched.record.as_mut().unwrap();
        record.error = error.map(str::to_owned);
        if error.is_some() {
            record.latency_ms = None;
        }
    }
    components[1].record.as_mut().unwrap().warning = Some("its certificate ends in 6 days".into());
    components[2].record.as_mut().unwrap().consecutive_failures = 3;
    components.push(unchecked("new"));
    components
}

#[test]
fn the_text_of_all_states() {
    insta::assert_snapshot!(text(&report(all_states())));
}

#[test]
fn the_text_of_a_green_moment_is_the_prototypes() {
    insta::assert_snapshot!(text(&report(vec![watched("api", State::Healthy)])));
}

#[test]
fn the_text_of_a_yellow_moment() {
    let tools = with_tools(watched("shop", State::Healthy), 10, 1);
    let closed = in_maintenance(watched("old", State::Unhealthy));
    insta::assert_snapshot!(text(&report(vec![tools, closed])));
}

#[test]
fn the_text_of_an_unknown_moment() {
    insta::assert_snapshot!(text(&report(vec![unchecked("api")])));
}

#[test]
fn the_json_of_all_that_a_component_can_have() {
    let mut full = in_maintenance(with_tools(watched("shop", State::Degraded), 4, 1));
    full.component.depends_on = vec!["redis".into()];
    full.acknowledged = true;
    full.repairing = true;
    let record = full.record.as_mut().unwrap();
    record.error = Some("it answers 503".into());
    record.warning = Some("slow".into());
    record.consecutive_failures = 1;
    let report = report(vec![full, unchecked("new")]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap());
}

#[test]
fn every_state_is_in_the_json_as_in_the_labels() {
    for component in report(all_states()).components {
        let json = serde_json::to_value(&component).unwrap();
        assert_eq!(json["state"], component.state.as_str());
    }
}

#[test]
fn what_somebody_typed_stays_on_its_line() {
    let mut closed = in_maintenance(watched("a", State::Healthy));
    closed.maintenance.as_mut().unwrap().reason = "x\n✅ B\u{1b}[2J".into();
    let text = text(&report(vec![closed]));
    assert!(text.contains("x ✅ B [2J"), "{text}");
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
}

#[test]
fn times_are_utc_and_never_fail() {
    assert_eq!(rfc3339(NOW), "2026-11-25T12:00:00.000Z");
    assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59.999Z");
}
