//! How long to stay away from a server that was lost: exponential with full jitter, so that many peers
//! that lost it at once do not come back at once.

use std::time::Duration;

const BASE: Duration = Duration::from_millis(200);
const MAX: Duration = Duration::from_secs(10);

/// The waits between attempts that fail.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    failures: u32,
}

impl BackOff {
    /// The next wait: random up to twice the last bound.
    pub(super) fn next(&mut self) -> Duration {
        let bound = self.bound();
        self.failures = self.failures.saturating_add(1);
        // Without a random source all that is lost is the spread.
        let random = crate::random::u32().unwrap_or(u32::MAX);
        bound.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    /// The server was there long enough to begin anew.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    fn bound(&self) -> Duration {
        BASE.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_double_up_to_the_longest_and_start_again() {
        let mut back_off = BackOff::default();
        let bounds: Vec<_> = (0..40)
            .map(|_| {
                let bound = back_off.bound();
                assert!(back_off.next() <= bound);
                bound.as_millis()
            })
            .collect();
        assert_eq!(bounds[..8], [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(bounds[39], 10_000);
        back_off.reset();
        assert_eq!(back_off.bound(), BASE);
    }
}
