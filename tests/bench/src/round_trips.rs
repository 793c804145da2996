//! Round trips through something that stands between client and server: their times, and a table
//! of what it added.

use hdrhistogram::Histogram;

use crate::report::{Table, figure};
use crate::rounds::Samples;

const HEADER: [&str; 6] =
    ["variant", "requests/s", "p50 µs", "p99 µs", "added p50 µs", "added p99 µs"];

/// The round trips of one round.
#[derive(Debug)]
pub(crate) struct RoundTrips {
    p50_micros: f64,
    p99_micros: f64,
    per_second: f64,
}

impl RoundTrips {
    /// Of what each took, in nanoseconds, and all of them together, in seconds.
    pub(crate) fn new(nanos: impl IntoIterator<Item = u64>, seconds: f64) -> anyhow::Result<Self> {
        let mut all = Histogram::<u32>::new_with_bounds(1, 60_000_000_000, 3)?;
        nanos.into_iter().for_each(|one| all.saturating_record(one));
        Ok(Self {
            p50_micros: all.value_at_quantile(0.5) as f64 / 1e3,
            p99_micros: all.value_at_quantile(0.99) as f64 / 1e3,
            per_second: all.len() as f64 / seconds,
        })
    }
}

impl Samples<RoundTrips> {
    pub(crate) fn p50(&self) -> Samples {
        self.map(|round| round.p50_micros)
    }

    pub(crate) fn p99(&self) -> Samples {
        self.map(|round| round.p99_micros)
    }

    pub(crate) fn per_second(&self) -> Samples {
        self.map(|round| round.per_second)
    }
}

/// A row for each variant, the first of which is direct; and for those that cannot do this.
pub(crate) fn table(title: String, samples: &[Samples<RoundTrips>], cannot: &[&str]) -> Table {
    let mut table = Table::new(title, &HEADER);
    let direct = &samples[0];
    for variant in samples {
        table.row([
            variant.name.into(),
            figure(variant.per_second().median()),
            figure(variant.p50().median()),
            figure(variant.p99().median()),
            figure(variant.p50().beyond(&direct.p50())),
            figure(variant.p99().beyond(&direct.p99())),
        ]);
    }
    for name in cannot {
        let mut row = HEADER.map(|_| "cannot".to_owned());
        row[0] = (*name).to_owned();
        table.row(row);
    }
    table
}
