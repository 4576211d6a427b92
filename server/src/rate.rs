//! How often something may be done: a token bucket that is one point in time, with the clock as an input
//! (the generic cell rate algorithm, ITU-T I.371). A full bucket is the same as none, so it can be forgotten.

use std::time::Duration;

use tokio::time::Instant;

/// What a bucket holds and how fast it is refilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    interval: Duration,
    /// The time it takes to fill an empty bucket.
    fill_time: Duration,
}

/// The tokens of one session, connection or address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    full_at: Option<Instant>,
}

impl Rate {
    /// `per_second` tokens a second into a bucket that holds `burst_s` seconds of them; `None`, for no limit,
    /// when that is 0.
    pub fn per_second(per_second: u32, burst_s: u32) -> Option<Self> {
        let interval = Duration::from_secs(1).checked_div(per_second)?;
        Some(Self { interval, fill_time: interval.saturating_mul(per_second.saturating_mul(burst_s)) })
    }
}

impl Bucket {
    /// Takes a token, or says how long it takes until there is one.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let missing = (self.time_to_full(now) + rate.interval).saturating_sub(rate.fill_time);
        if missing.is_zero() {
            self.charge(rate, 1, now);
            Ok(())
        } else {
            Err(missing)
        }
    }

    /// Takes tokens for what has happened already, even if there are none left.
    pub fn charge(&mut self, rate: Rate, tokens: u32, now: Instant) {
        self.full_at = Some(now + self.time_to_full(now) + rate.interval.saturating_mul(tokens));
    }

    /// How long it takes until no more has been taken than there was; zero when that is so.
    pub fn debt(&self, rate: Rate, now: Instant) -> Duration {
        self.time_to_full(now).saturating_sub(rate.fill_time)
    }

    /// Nothing is lost by forgetting it.
    pub fn is_full(&self, now: Instant) -> bool {
        self.time_to_full(now).is_zero()
    }

    fn time_to_full(&self, now: Instant) -> Duration {
        self.full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_is_allowed_and_then_one_an_interval() {
        let (rate, start) = (Rate::per_second(2, 3).unwrap(), Instant::now());
        let mut bucket = Bucket::default();
        assert!((0..6).all(|_| bucket.take(rate, start).is_ok()));
        assert_eq!(bucket.take(rate, start), Err(SECOND / 2));
        assert_eq!(bucket.take(rate, start + SECOND / 4), Err(SECOND / 4));
        bucket.take(rate, start + SECOND / 2).unwrap();
        assert!(!bucket.is_full(start + SECOND * 3));
        let later = start + SECOND * 10;
        assert!(bucket.is_full(later));
        assert_eq!((0..100).filter(|_| bucket.take(rate, later).is_ok()).count(), 6);
    }

    #[test]
    fn what_happened_already_is_owed() {
        let (rate, now) = (Rate::per_second(1000, 2).unwrap(), Instant::now());
        let mut bucket = Bucket::default();
        bucket.charge(rate, 2000, now);
        assert_eq!(bucket.debt(rate, now), Duration::ZERO);
        bucket.charge(rate, 500, now);
        assert_eq!(bucket.debt(rate, now), SECOND / 2);
        assert_eq!(bucket.debt(rate, now + SECOND / 2), Duration::ZERO);
    }

    #[test]
    fn zero_is_no_limit_and_the_largest_rate_is_one() {
        assert_eq!(Rate::per_second(0, 5), None);
        let (rate, now) = (Rate::per_second(1_000_000, 40).unwrap(), Instant::now());
        let mut bucket = Bucket::default();
        assert!((0..1_000_000).all(|_| bucket.take(rate, now).is_ok()));
    }

    proptest! {
        /// Whatever the times, never more than the burst and what came in since.
        #[test]
        fn never_more_than_burst_and_refill(
            per_second in 1_u32..1000, burst_s in 1_u32..50, steps in prop::collection::vec(0_u64..200, 1..300),
        ) {
            let (rate, start) = (Rate::per_second(per_second, burst_s).unwrap(), Instant::now());
            let (mut bucket, mut now, mut taken) = (Bucket::default(), start, 0_u64);
            for step_ms in steps {
                now += Duration::from_millis(step_ms);
                match bucket.take(rate, now) {
                    Ok(()) => taken += 1,
                    Err(wait) => {
                        // The wait that was told is enough, and no more than an interval.
                        prop_assert!(wait <= SECOND / per_second);
                        prop_assert!(bucket.clone().take(rate, now + wait).is_ok());
                    }
                }
                let refill = now.duration_since(start).as_secs_f64() * f64::from(per_second);
                prop_assert!(taken as f64 <= f64::from(per_second * burst_s) + refill + 1.0);
            }
        }
    }
}
