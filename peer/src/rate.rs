//! How often somebody else may make us do something: a token bucket, with the time as an input.

use std::time::Duration;

use tokio::time::Instant;

/// Holds up to `burst` tokens and gets one back every `interval`.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    burst: u32,
    interval: Duration,
    tokens: u32,
    refilled_at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn new(burst: u32, interval: Duration, now: Instant) -> Self {
        Self { burst, interval, tokens: burst, refilled_at: now }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let intervals = now.saturating_duration_since(self.refilled_at).as_nanos() / self.interval.as_nanos();
        let refill = u32::try_from(intervals).unwrap_or(u32::MAX).min(self.burst);
        if refill > 0 {
            self.tokens = (self.tokens + refill).min(self.burst);
            self.refilled_at =
                if self.tokens == self.burst { now } else { self.refilled_at + self.interval * refill };
        }
        let taken = self.tokens > 0;
        self.tokens -= u32::from(taken);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_one_an_interval() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(3, Duration::from_secs(1), start);
        assert!((0..3).all(|_| bucket.take(start)));
        assert!(!bucket.take(start + Duration::from_millis(999)));
        assert!(bucket.take(start + Duration::from_millis(1000)));
        assert!(!bucket.take(start + Duration::from_millis(1999)));
        assert!(bucket.take(start + Duration::from_millis(2000)));
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..10).filter(|_| bucket.take(later)).count(), 3);
    }
}
