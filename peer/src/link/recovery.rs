//! When a lost connection is tried again, and how: first by ICE restarts, then by new connections under the same
//! chat session. Pure: the time and the jitter are inputs.
//!
//! Invariant: time in which nothing can reach the peer counts neither as an attempt nor towards giving up.

use std::time::Duration;

use tokio::time::Instant;

/// A path that falls silent often comes back by itself.
const FIRST_WAIT: Duration = Duration::from_secs(3);

/// Between two attempts; each waits twice as long as the one before.
const WAIT_MAX: Duration = Duration::from_secs(12);

/// Then the engine itself is doubted.
const RESTARTS_MAX: u32 = 2;

/// For the peer to answer any attempt.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_secs(120);

/// What to do about a lost connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The `n`th ICE restart.
    Restart(u32),
    /// The `n`th new connection.
    Reconnect(u32),
    GiveUp,
}

#[derive(Debug)]
pub(super) struct Recovery {
    next_at: Instant,
    give_up_at: Instant,
    held_since: Option<Instant>,
    restarts: u32,
    connections: u32,
    polite: bool,
    /// From 0 to 255: up to a quarter more of each wait, so that two sides seldom do the same at once.
    jitter: u8,
}

impl Recovery {
    pub(super) fn new(now: Instant, polite: bool, jitter: u8) -> Self {
        let mut recovery = Self {
            next_at: now,
            give_up_at: now + GIVE_UP_AFTER,
            held_since: None,
            restarts: 0,
            connections: 0,
            polite,
            jitter,
        };
        recovery.next_at = now + recovery.wait();
        recovery
    }

    /// When [`Self::next`] is to be asked; never while nothing can reach the peer.
    pub(super) fn due(&self) -> Option<Instant> {
        self.held_since.is_none().then_some(self.next_at)
    }

    /// Waiting is of no use: the connection is known to be dead, or the user cannot wait.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.next_at = self.next_at.min(now);
    }

    /// Says whether anything can reach the peer.
    pub(super) fn set_reachable(&mut self, now: Instant, reachable: bool) {
        match (reachable, self.held_since) {
            (false, None) => self.held_since = Some(now),
            (true, Some(since)) => {
                self.held_since = None;
                self.give_up_at += now.saturating_duration_since(since);
                // Both sides learn it at about the same time.
                self.next_at = self.next_at.max(now + self.jittered(Duration::from_millis(200)));
            }
            _ => {}
        }
    }

    /// No attempt before this: the server carries nothing.
    pub(super) fn put_off(&mut self, until: Instant) {
        self.next_at = self.next_at.max(until.min(self.give_up_at));
    }

    /// The peer makes an attempt of its own: ours would only disturb it.
    pub(super) fn peer_tries(&mut self, now: Instant) {
        self.next_at = self.next_at.max(now + self.wait());
    }

    /// What to do now. `may_restart` unless the connection or its sockets are dead.
    pub(super) fn next(&mut self, now: Instant, may_restart: bool) -> Remedy {
        if now >= self.give_up_at {
            return Remedy::GiveUp;
        }
        let remedy = if may_restart && self.connections == 0 && self.restarts < RESTARTS_MAX {
            self.restarts += 1;
            Remedy::Restart(self.restarts)
        } else {
            self.connections += 1;
            Remedy::Reconnect(self.connections)
        };
        let mut wait = self.wait();
        // The impolite side makes the new connection, whose offer it would not let go of anyway.
        if self.polite && (self.connections > 0 || self.restarts >= RESTARTS_MAX) {
            wait += wait / 2;
        }
        self.next_at = (now + wait).min(self.give_up_at);
        remedy
    }

    fn wait(&self) -> Duration {
        let doublings = (self.restarts + self.connections).min(8);
        self.jittered((FIRST_WAIT * (1 << doublings)).min(WAIT_MAX))
    }

    fn jittered(&self, wait: Duration) -> Duration {
        wait + wait * u32::from(self.jitter) / (4 * 256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// What is done and after how many seconds, when nobody answers.
    fn schedule(polite: bool, jitter: u8, may_restart: bool) -> Vec<(u64, Remedy)> {
        let start = Instant::now();
        let mut recovery = Recovery::new(start, polite, jitter);
        let mut done = Vec::new();
        while done.last().is_none_or(|(_, remedy)| *remedy != Remedy::GiveUp) {
            let now = recovery.due().expect("nothing holds it");
            done.push(((now - start).as_secs(), recovery.next(now, may_restart)));
        }
        done
    }

    #[test]
    fn restarts_come_before_new_connections_with_longer_and_longer_waits() {
        let done = schedule(false, 0, true);
        let begin = [(3, Remedy::Restart(1)), (9, Remedy::Restart(2)), (21, Remedy::Reconnect(1))];
        assert_eq!(done[..3], begin);
        assert_eq!(done[3], (33, Remedy::Reconnect(2)));
        assert_eq!(done.last(), Some(&(120, Remedy::GiveUp)));
    }

    #[test]
    fn dead_sockets_are_not_restarted() {
        assert_eq!(schedule(false, 0, false)[0], (3, Remedy::Reconnect(1)));
    }

    #[test]
    fn the_impolite_side_makes_the_new_connection() {
        let at = |polite, jitter| {
            let first = |(_, remedy): &(u64, Remedy)| *remedy == Remedy::Reconnect(1);
            schedule(polite, jitter, true).into_iter().find(first).expect("there is one").0
        };
        assert!(at(false, 255) <= at(true, 0), "{} and {}", at(false, 255), at(true, 0));
    }

    #[test]
    fn time_in_which_nothing_can_reach_the_peer_does_not_count() {
        let start = Instant::now();
        let mut recovery = Recovery::new(start, false, 0);
        recovery.set_reachable(start + seconds(1), false);
        assert_eq!(recovery.due(), None);
        recovery.set_reachable(start + seconds(1001), true);
        let due = recovery.due().expect("the peer can be reached");
        assert!(due >= start + seconds(1001) && due < start + seconds(1002));
        assert_eq!(recovery.next(due, true), Remedy::Restart(1));
        assert_eq!(recovery.next(start + seconds(1119), true), Remedy::Restart(2));
        assert_eq!(recovery.next(start + seconds(1120), true), Remedy::GiveUp);
    }

    #[test]
    fn an_attempt_of_the_peer_puts_off_ours_and_hurry_brings_it_forward() {
        let start = Instant::now();
        let mut recovery = Recovery::new(start, true, 0);
        recovery.peer_tries(start + seconds(2));
        assert_eq!(recovery.due(), Some(start + seconds(5)));
        recovery.hurry(start + seconds(3));
        assert_eq!(recovery.due(), Some(start + seconds(3)));
        recovery.put_off(start + seconds(7));
        assert_eq!(recovery.due(), Some(start + seconds(7)));
        recovery.put_off(start + seconds(1_000));
        assert_eq!(recovery.due(), Some(start + GIVE_UP_AFTER), "it ends all the same");
    }
}
