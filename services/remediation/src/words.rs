//! Small words: times and texts for people.

use std::time::Duration;

pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A time as people write it, of no more than two units.
pub(crate) fn time(time: Duration) -> String {
    let rounded = if time >= Duration::from_secs(10) {
        Duration::from_secs(time.as_secs())
    } else {
        Duration::from_millis(milliseconds(time))
    };
    let text = humantime::format_duration(rounded).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}
