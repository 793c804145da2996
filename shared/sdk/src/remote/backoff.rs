//! How long to wait before a batch is tried again.

use std::time::Duration;

/// The longest wait, whoever asks for it.
pub(crate) const MAX: Duration = Duration::from_secs(30);

const BASE: Duration = Duration::from_millis(100);

/// The wait after `failures` failed attempts, of which the last is number 0. It doubles up to
/// [`MAX`]; `jitter`, from 0 to 1, spreads the processes of one host over its second half.
pub(crate) fn delay(failures: u32, jitter: f64) -> Duration {
    let whole = BASE.saturating_mul(2_u32.saturating_pow(failures)).min(MAX);
    whole.div_f64(2.0) + whole.mul_f64(jitter / 2.0)
}

/// What a `Retry-After` header asks for, in seconds, at least [`BASE`] and at most [`MAX`].
/// A date is not read: it would need both clocks to agree.
pub(crate) fn retry_after(value: &str) -> Option<Duration> {
    let seconds = value.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).clamp(BASE, MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_doubles_up_to_the_limit() {
        let full = |failures| delay(failures, 1.0).as_millis();
        assert_eq!([0, 1, 2, 8, 9, u32::MAX].map(full), [100, 200, 400, 25_600, 30_000, 30_000]);
    }

    #[test]
    fn retry_after_is_bounded() {
        let cases =
            [("1", Some(1_000)), (" 7 ", Some(7_000)), ("0", Some(100)), ("86400", Some(30_000))];
        for (value, millis) in cases {
            assert_eq!(retry_after(value), millis.map(Duration::from_millis), "{value}");
        }
        for value in ["", "-1", "1.5", "Sun, 06 Nov 1994 08:49:37 GMT"] {
            assert_eq!(retry_after(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn the_wait_stays_within_its_second_half(failures in 0_u32..64, jitter in 0.0..1.0_f64) {
            let (whole, wait) = (delay(failures, 1.0), delay(failures, jitter));
            prop_assert!(wait <= whole && wait * 2 >= whole && whole <= MAX);
        }
    }
}
