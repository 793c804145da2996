//! What the atelier's clients ask for.

use std::time::Duration;

use serde_json::json;

use super::{Card, Mix};

impl Mix {
    /// Fittings: many quick calls.
    pub(in crate::demo) fn fitting(seed: u64, pace: f64) -> Self {
        let search = || ("search_archive", json!({ "garment": "evening coat", "decade": 1950 }));
        let measure = || ("take_measurements", json!({ "chest": 96.0, "waist": 82.0 }));
        let grade = || ("grade_pattern", json!({ "pattern": "A-0117", "size": 42 }));
        let mut calls = vec![search as Card; 4];
        calls.extend([measure as Card; 3]);
        calls.extend([grade as Card; 3]);
        Self::new(seed, pace, calls, vec![None], 100..=400)
    }

    /// Embroidery: few slow calls, one of twelve given up.
    pub(in crate::demo) fn embroidery(seed: u64, pace: f64) -> Self {
        let calls: Vec<Card> = vec![
            || ("run_embroidery", json!({ "motif": "a monogram", "stitches": 900 })),
            || ("run_embroidery", json!({ "motif": "a heron", "stitches": 2_200 })),
            || ("run_embroidery", json!({ "motif": "peonies", "stitches": 3_600 })),
        ];
        let mut patience = vec![None; 11];
        patience.push(Some(Duration::from_millis(200)));
        Self::new(seed, pace, calls, patience, 100..=600)
    }

    /// An apprentice's mistakes: each is refused in a way of its own.
    pub(in crate::demo) fn clumsy(seed: u64, pace: f64) -> Self {
        let slip = || ("take_measurements", json!({ "chest": 96.0, "waist": 8.2 }));
        let forget = || ("grade_pattern", json!({ "pattern": "A-0117" }));
        Self::new(seed, pace, vec![slip as Card, forget], vec![None], 4_000..=6_000)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_mixes_use_every_tool_of_the_atelier() {
        let mut named = BTreeSet::new();
        for mut mix in [Mix::fitting(1, 1.0), Mix::embroidery(1, 1.0)] {
            named.extend((0..10).map(|_| mix.call().request.name.into_owned()));
        }
        let offered: BTreeSet<_> = atelier_server::tool_names().collect();
        assert_eq!(named, offered);
    }
}
