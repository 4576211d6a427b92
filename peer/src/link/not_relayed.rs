//! What the server did not pass on, because the peer or we ask too much of it: the negotiation begins again, later
//! and later, and not for ever. The times are pure: the clock and the jitter are inputs.

use std::time::Duration;

use tokio::time::Instant;

use super::{Link, recovering::jitter};
use crate::{ConnectionState, ConnectionStep, ProblemCode, SignalingState};

/// Before the first repetition; each waits twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Repetitions without an open channel between them: about a minute and a half.
const RETRIES_MAX: u32 = 6;

/// No server is obeyed that wants more.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// When a negotiation begins again.
#[derive(Debug, Default)]
pub(super) struct Retries {
    due: Option<Instant>,
    count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Again(Instant),
    /// One is planned already, and takes place no earlier than was asked.
    Planned,
    GiveUp,
}

impl Retries {
    /// Something was not passed on. Up to half of the wait more by `jitter`, so that not all links of a room, nor
    /// all peers of a server, come at once.
    fn plan(&mut self, now: Instant, retry_after: Duration, jitter: u8) -> Plan {
        let at_the_earliest = now + retry_after.min(RETRY_AFTER_MAX);
        if let Some(due) = &mut self.due {
            *due = at_the_earliest.max(*due);
            return Plan::Planned;
        }
        if self.count >= RETRIES_MAX {
            *self = Self::default();
            return Plan::GiveUp;
        }
        let wait = (FIRST_WAIT * (1 << self.count)).min(WAIT_MAX).max(retry_after.min(RETRY_AFTER_MAX));
        let due = now + wait + wait * u32::from(jitter) / (2 * 256);
        self.count += 1;
        self.due = Some(due);
        Plan::Again(due)
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Nothing is to be said again; if it comes to that once more, the waits go on where they were.
    pub(super) fn cancel(&mut self) {
        self.due = None;
    }

    /// The peer was reached.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Link {
    pub(super) async fn not_relayed(&mut self, retry_after: Duration) {
        let now = Instant::now();
        if let Some(recovery) = &mut self.recovery {
            return recovery.put_off(now + retry_after.min(RETRY_AFTER_MAX));
        }
        let chat_is_open = self.chat.is_open();
        let is_under_way = self.attempt.is_some() || self.retries.due().is_some();
        // An open channel needs no more candidates, and an answer that is missed is asked for again.
        if !is_under_way || (chat_is_open && !self.negotiation.awaits_answer()) {
            return;
        }
        match self.retries.plan(now, retry_after, jitter()) {
            Plan::Planned => {}
            Plan::Again(due) => {
                self.timeline.add(ConnectionStep::NotRelayed(due - now));
                if !chat_is_open {
                    let timeout = self.context.connect_timeout;
                    self.deadline = self.deadline.map(|deadline| deadline.max(due + timeout));
                }
            }
            Plan::GiveUp if chat_is_open => {}
            Plan::GiveUp => {
                let message =
                    "the server is too busy to pass on what we say to this peer: /connect tries again";
                self.problem(ProblemCode::Rejected, message.into()).await;
                self.close(ConnectionState::Failed).await;
            }
        }
    }

    /// Never while the server is away: what is said then only waits for it.
    pub(super) fn retry_due(&self) -> Option<Instant> {
        self.retries.due().filter(|_| self.signaling == SignalingState::Connected)
    }

    pub(super) async fn retry(&mut self) {
        self.retries.cancel();
        if !self.chat.is_open() || self.negotiation.awaits_answer() {
            self.renegotiate().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn waits_double_keep_what_the_server_asks_and_end() {
        let start = Instant::now();
        let mut retries = Retries::default();
        let mut waits = Vec::new();
        while let Plan::Again(due) = retries.plan(start, Duration::ZERO, 0) {
            waits.push((due - start).as_secs());
            retries.cancel();
        }
        assert_eq!(waits, [2, 4, 8, 16, 30, 30]);
        assert_eq!(retries.plan(start, seconds(10), 0), Plan::Again(start + seconds(10)), "a new beginning");
        retries.reset();
        assert_eq!(retries.plan(start, seconds(1_000_000), 0), Plan::Again(start + RETRY_AFTER_MAX));
        retries.reset();
        let Plan::Again(due) = retries.plan(start, Duration::ZERO, 255) else { panic!("none is planned") };
        assert!(due > start + seconds(2) && due < start + seconds(3));
    }

    #[test]
    fn what_one_attempt_said_is_repeated_once_and_not_before_any_of_it_may_be() {
        let start = Instant::now();
        let mut retries = Retries::default();
        retries.plan(start, Duration::ZERO, 0);
        for _ in 0..100 {
            assert_eq!(retries.plan(start + seconds(1), seconds(4), 0), Plan::Planned);
        }
        assert_eq!(retries.due(), Some(start + seconds(5)));
    }
}
