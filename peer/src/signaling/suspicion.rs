//! Whether a stream is still there that may have died without a word, as when this host changes its network: a ping,
//! and a short time for anything to come back. Pure: the time is an input.

use std::time::Duration;

use tokio::time::Instant;

/// For the server to say anything at all.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Between two pings, however many signs of trouble there are.
const INTERVAL: Duration = Duration::from_secs(5);

/// What is thought of one stream.
#[derive(Debug, Default)]
pub(super) struct Suspicion {
    /// When a ping is due.
    due: Option<Instant>,
    /// It waits to be sent.
    unsent: bool,
    last: Option<Instant>,
    /// When the stream is given up.
    deadline: Option<Instant>,
}

impl Suspicion {
    /// There is a sign of trouble. One ping at a time answers all of them.
    pub(super) fn raise(&mut self, now: Instant) {
        if self.due.is_none() && self.deadline.is_none() {
            self.due = Some(self.last.map_or(now, |last| now.max(last + INTERVAL)));
        }
    }

    /// When [`Self::advance`] is to be called next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The time for an answer begins when the ping is due: a stream that does not even take it is dead too.
    pub(super) fn advance(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.last = Some(now);
            self.unsent = true;
            self.deadline = Some(now + ANSWER_TIMEOUT);
        }
    }

    pub(super) fn wants_ping(&self) -> bool {
        self.unsent
    }

    pub(super) fn ping_is_sent(&mut self) {
        self.unsent = false;
    }

    /// Something came.
    pub(super) fn heard(&mut self) {
        self.unsent = false;
        self.deadline = None;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_signs_make_one_ping_at_a_time_and_not_more_than_one_an_interval() {
        let start = Instant::now();
        let mut suspicion = Suspicion::default();
        let mut pings = Vec::new();
        for tenths in 0..300 {
            let now = start + Duration::from_millis(100) * tenths;
            suspicion.raise(now);
            suspicion.advance(now);
            if suspicion.wants_ping() {
                suspicion.ping_is_sent();
                pings.push(tenths / 10);
            }
            // Each is answered a second later.
            if pings.last().is_some_and(|ping| tenths / 10 > *ping) {
                suspicion.heard();
            }
        }
        assert_eq!(pings, [0, 5, 10, 15, 20, 25]);
    }

    #[test]
    fn a_stream_is_given_up_when_nothing_comes_in_time_even_if_it_took_no_ping() {
        let start = Instant::now();
        let mut suspicion = Suspicion::default();
        assert_eq!((suspicion.due(), suspicion.deadline()), (None, None));
        suspicion.raise(start);
        suspicion.advance(start);
        assert_eq!(suspicion.deadline(), Some(start + ANSWER_TIMEOUT));
        suspicion.raise(start + Duration::from_secs(1));
        assert_eq!(suspicion.due(), None, "one at a time");
        suspicion.heard();
        assert_eq!((suspicion.wants_ping(), suspicion.deadline()), (false, None));
    }
}
