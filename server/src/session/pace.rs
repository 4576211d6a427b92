//! How fast a session asks. What comes faster than it may is refused with how long to wait; whoever does
//! not care about that either is ended.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    config::{
        REFUSED_REQUESTS_FORGIVEN_S, REFUSED_REQUESTS_MAX, REQUEST_BURST_S, RESUMPTION_BURST_S,
        RESUMPTIONS_PER_SESSION_RATE,
    },
    rate::{Bucket, Rate},
};

/// What becomes of a request by its time alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is carried out.
    InTime,
    /// It is refused, and may be repeated after this time.
    TooSoon(Duration),
    /// The session is ended.
    Flood,
}

/// What one session asked lately.
pub struct Pace {
    rate: Option<Rate>,
    requests: Bucket,
    refused: Bucket,
    resumptions: Bucket,
}

impl Pace {
    /// So many requests a second; 0 for no limit.
    pub fn new(requests_rate: u32) -> Self {
        let rate = Rate::per_second(requests_rate, REQUEST_BURST_S);
        Self { rate, requests: Bucket::default(), refused: Bucket::default(), resumptions: Bucket::default() }
    }

    /// Counts one more request.
    pub fn judge(&mut self, now: Instant) -> Verdict {
        let Some(rate) = self.rate else { return Verdict::InTime };
        let Err(wait) = self.requests.take(rate, now) else { return Verdict::InTime };
        let per_second = REFUSED_REQUESTS_MAX / REFUSED_REQUESTS_FORGIVEN_S;
        match Rate::per_second(per_second, REFUSED_REQUESTS_FORGIVEN_S) {
            Some(refused) if self.refused.take(refused, now).is_err() => Verdict::Flood,
            _ => Verdict::TooSoon(wait),
        }
    }

    /// Counts one more resumption, or says how long to wait.
    pub fn judge_resumption(&mut self, now: Instant) -> Result<(), Duration> {
        let rate = self.rate.and_then(|_| Rate::per_second(RESUMPTIONS_PER_SESSION_RATE, RESUMPTION_BURST_S));
        rate.map_or(Ok(()), |rate| self.resumptions.take(rate, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PEERS_PER_ROOM_MAX_DEFAULT, REQUESTS_PER_SESSION_RATE_DEFAULT};

    /// As the peer library limits itself.
    const CANDIDATES_PER_PEER_MAX: usize = 64;

    fn judge_many(pace: &mut Pace, count: u32, now: Instant) -> Vec<Verdict> {
        (0..count).map(|_| pace.judge(now)).collect()
    }

    #[test]
    fn a_newcomer_to_a_full_room_says_all_it_has_to_at_once() {
        let mut pace = Pace::new(REQUESTS_PER_SESSION_RATE_DEFAULT);
        // An offer, the candidates and their end to each.
        let requests = (PEERS_PER_ROOM_MAX_DEFAULT - 1) * (1 + CANDIDATES_PER_PEER_MAX + 1);
        let requests = u32::try_from(requests).unwrap();
        let verdicts = judge_many(&mut pace, requests, Instant::now());
        assert!(verdicts.iter().all(|verdict| *verdict == Verdict::InTime));
    }

    #[test]
    fn a_flood_is_refused_and_then_ended() {
        let (mut pace, now) = (Pace::new(10), Instant::now());
        let verdicts = judge_many(&mut pace, 10 * REQUEST_BURST_S + REFUSED_REQUESTS_MAX + 1, now);
        let count = |wanted: fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| wanted(verdict)).count();
        assert_eq!(count(|verdict| *verdict == Verdict::InTime), 10 * REQUEST_BURST_S as usize);
        assert_eq!(count(|verdict| matches!(verdict, Verdict::TooSoon(_))), REFUSED_REQUESTS_MAX as usize);
        assert_eq!(verdicts.last(), Some(&Verdict::Flood));
    }

    #[test]
    fn who_waits_as_told_is_never_ended() {
        let (mut pace, mut now) = (Pace::new(10), Instant::now());
        for _ in 0..100_000 {
            match pace.judge(now) {
                Verdict::InTime => {}
                Verdict::TooSoon(wait) => now += wait,
                Verdict::Flood => panic!("ended"),
            }
        }
    }

    #[test]
    fn zero_is_no_limit() {
        let verdicts = judge_many(&mut Pace::new(0), 100_000, Instant::now());
        assert!(verdicts.iter().all(|verdict| *verdict == Verdict::InTime));
    }
}
