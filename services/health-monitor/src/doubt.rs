//! Which components are checked out of turn. Checks are spread over their interval, so what dies at
//! one moment would be noticed over minutes; but a component that begins to fail gives reason to
//! look at others at once: at what it needs and what needs it, and at all of them when several begin
//! together. Pure: computed from the shared records, so that replicas agree.

use std::collections::BTreeMap;

use crate::component::Component;
use crate::record::Record;

/// So many components that begin to fail together are a storm.
const MANY: usize = 3;

/// Since when, in Unix milliseconds, the last look at a component is not good enough any more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doubts {
    all: Option<u64>,
    some: BTreeMap<String, u64>,
}

impl Doubts {
    /// What follows from what is known.
    #[must_use]
    pub fn new(components: &[Component], records: &BTreeMap<String, Record>) -> Self {
        let mut fresh = BTreeMap::new();
        for component in components {
            if let Some(began) = records.get(&component.name).and_then(began) {
                fresh.insert(component.name.as_str(), began);
            }
        }
        let mut some = BTreeMap::new();
        let mut doubt = |name: &str, since: u64| {
            let known = some.entry(name.to_owned()).or_insert(since);
            *known = since.min(*known);
        };
        for component in components {
            for needed in &component.depends_on {
                if let Some(since) = fresh.get(component.name.as_str()) {
                    doubt(needed, *since);
                }
                if let Some(since) = fresh.get(needed.as_str()) {
                    doubt(&component.name, *since);
                }
            }
        }
        let mut beginnings: Vec<u64> = fresh.into_values().collect();
        beginnings.sort_unstable();
        Self { all: beginnings.get(MANY - 1).copied(), some }
    }

    /// Since when the component is in doubt.
    #[must_use]
    pub fn about(&self, component: &str) -> Option<u64> {
        self.all.max(self.some.get(component).copied())
    }
}

/// When it began to fail, of one that did so lately: whether it is in trouble is not clear yet.
fn began(record: &Record) -> Option<u64> {
    record.first_failed_at.filter(|_| record.failure().is_some() && !record.in_trouble)
}

#[cfg(test)]
mod tests {
    use mcpmon_coordination::incident::Failure;

    use super::*;
    use crate::component::tests::component;
    use crate::finding::Outcome;
    use crate::record::tests::record;

    const NOW: u64 = 1_000_000;

    fn doubts(needs: &[(&str, &[&str])], failed: &[(&str, u64)]) -> Doubts {
        let components: Vec<_> = needs
            .iter()
            .map(|(name, needs)| Component {
                depends_on: needs.iter().map(|need| (*need).to_owned()).collect(),
                ..component(name)
            })
            .collect();
        let records = components.iter().map(|it| {
            let at = failed.iter().find(|(name, _)| *name == it.name).map(|(_, at)| *at);
            let outcome = if at.is_some() { Outcome::Fail(Failure::Timeout) } else { Outcome::Ok };
            (it.name.clone(), record(at.unwrap_or(NOW - 90_000), outcome))
        });
        Doubts::new(&components, &records.collect())
    }

    #[test]
    fn a_failure_casts_doubt_on_what_it_needs_and_on_what_needs_it() {
        let needs: &[(&str, &[&str])] =
            &[("a", &["db"]), ("b", &["db"]), ("db", &["disk"]), ("disk", &[]), ("other", &[])];
        let of_a = doubts(needs, &[("a", NOW - 9)]);
        assert_eq!(of_a.about("db"), Some(NOW - 9));
        assert!(["a", "b", "disk", "other"].iter().all(|name| of_a.about(name).is_none()));
        let of_db = doubts(needs, &[("db", NOW - 5), ("a", NOW - 9)]);
        assert_eq!(["a", "b", "disk"].map(|name| of_db.about(name)), [Some(NOW - 5); 3]);
        assert_eq!(of_db.about("db"), Some(NOW - 9));
        assert_eq!(of_db.about("other"), None);
    }

    #[test]
    fn what_is_in_trouble_or_well_again_gives_no_doubt() {
        let components = [component("a"), component("b"), component("c"), component("d")];
        let failed = record(NOW, Outcome::Fail(Failure::Timeout));
        let all = |third: Record| {
            let records = [failed.clone(), failed.clone(), third];
            let names = ["a", "b", "c"].map(str::to_owned);
            Doubts::new(&components, &names.into_iter().zip(records).collect()).about("d")
        };
        assert_eq!(all(failed.clone()), Some(NOW));
        assert_eq!(all(Record { in_trouble: true, ..failed.clone() }), None);
        assert_eq!(all(Record { outcome: Outcome::Ok, ..failed.clone() }), None);
    }

    #[test]
    fn three_that_begin_together_cast_doubt_on_all() {
        let needs: &[(&str, &[&str])] = &[("a", &[]), ("b", &[]), ("c", &[]), ("d", &[])];
        let two = doubts(needs, &[("a", NOW - 40), ("b", NOW - 30)]);
        assert_eq!(two, Doubts::default());
        let three = doubts(needs, &[("a", NOW - 40), ("b", NOW - 30), ("c", NOW - 20)]);
        assert_eq!(three.about("d"), Some(NOW - 20));
        // It stays the same doubt while more of them fail.
        let four = doubts(needs, &[("a", NOW - 40), ("b", NOW - 30), ("c", NOW - 20), ("d", NOW)]);
        assert_eq!(four.about("d"), Some(NOW - 20));
    }
}
