//! How long news waits for more, by what was told lately.

use std::collections::{BTreeMap, BTreeSet};

use super::message::Said;
use super::{About, Notice};
use crate::snapshot::Watched;

/// Further news of a storm; in times of [`Policy::group`](super::step::Policy), by default one message
/// a minute.
const STORM_WAITS: u64 = 20;
/// What fails because of something that was told already waits longer still: by default 3 minutes.
const CAUSE_TOLD_WAITS: u64 = 60;

/// How long news waits for more.
pub(super) struct Patience {
    pub(super) group: u64,
    /// Many were told to be down lately, or to be well again.
    pub(super) falling: bool,
    pub(super) rising: bool,
    /// Many repairs were told lately.
    pub(super) repairing: bool,
    /// Of these it was told that they are down.
    pub(super) down: BTreeSet<String>,
}

impl Patience {
    pub(super) fn of(
        &self,
        notice: &Notice,
        said: Said,
        watched: &BTreeMap<&str, &Watched>,
    ) -> u64 {
        let needs = watched.get(notice.component.as_str()).map(|w| &w.component.depends_on);
        let storm = match said {
            Said::Recovered => self.rising,
            Said::Repair => self.repairing,
            _ => self.falling,
        };
        let times = if notice.about == About::Monitor {
            1
        } else if !matches!(said, Said::Recovered | Said::Repair)
            && needs.is_some_and(|needs| needs.iter().any(|need| self.down.contains(need)))
        {
            CAUSE_TOLD_WAITS
        } else if storm {
            STORM_WAITS
        } else {
            1
        };
        self.group.saturating_mul(times)
    }
}
