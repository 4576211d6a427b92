//! What is seen of a connection that is there: whether packets flow, over which path, and whether this host has moved.

use std::time::Duration;

use tokio::time::Instant;

use super::{Link, Notice, PATH_INTERVAL};
use crate::{ConnectionState, ConnectionStep, Path};

/// Each interrupts the packets until there is a pair again, half a second where it is a relay's once more.
const DIRECT_TRIES_MAX: u32 = 3;

impl Link {
    pub(super) async fn packets_flow(&mut self, state: ConnectionState) {
        let kinds = |path: Option<Path>| path.map(|path| (path.local, path.remote));
        let before = self.path;
        self.path = self.current_path().await;
        if self.state == state && kinds(before) != kinds(self.path) {
            self.tell_state().await;
        }
        self.set_state(state).await;
        if state == ConnectionState::Connected {
            self.timeline.add(ConnectionStep::Connected(self.path));
            if self.chat.is_open() {
                self.recovery = None;
                self.retries.reset();
            }
        } else {
            self.timeline.add(ConnectionStep::Disconnected);
            self.notify(Notice::NetworkMayHaveChanged).await;
            if self.chat.is_open() {
                self.begin_recovery();
            }
            if self.addresses_changed()
                && let Some(recovery) = &mut self.recovery
            {
                recovery.hurry(Instant::now());
            }
        }
    }

    pub(super) async fn look_at_path(&mut self) {
        let path = self.current_path().await;
        let moved = match (self.path, path) {
            (Some(old), Some(new)) => {
                (old.local, old.remote) != (new.local, new.remote)
                    || round_trip_moved(old.round_trip, new.round_trip)
            }
            (old, new) => old.is_some() != new.is_some(),
        };
        if moved {
            self.path = path;
            self.tell_state().await;
        }
        let has_moved = self.addresses_changed();
        let Some(attempt) = &mut self.attempt else { return };
        attempt.next_path = Instant::now() + PATH_INTERVAL;
        let look = attempt.generation.look();
        if has_moved && !std::mem::replace(&mut attempt.move_told, true) {
            self.notify(Notice::NetworkMayHaveChanged).await;
        }
        // One side begins; the other would if that one has not seen that there was no chance.
        if look == if self.polite { 2 } else { 1 } {
            self.try_for_direct_path().await;
        }
    }

    /// Packets go over a relay, perhaps only because an answer of the STUN server or a candidate was late.
    async fn try_for_direct_path(&mut self) {
        let Some((path, attempt)) = self.path.zip(self.attempt.as_ref()) else { return };
        let is_relayed = path.is_relayed() && !self.context.connection.relay_only();
        let is_settled = self.chat.is_open() && self.state == ConnectionState::Connected && !self.leaving;
        if is_relayed
            && is_settled
            && self.reaches_peer()
            && self.chat.peer_is_of_our_kind()
            && attempt.generation.was_hurried(path.round_trip)
            && self.direct_tries < DIRECT_TRIES_MAX
        {
            self.direct_tries += 1;
            self.timeline.add(ConnectionStep::DirectPathTried(self.direct_tries));
            // The engine lets go of the relay at once, and says nothing if no answer comes.
            self.begin_recovery();
            self.restart_ice().await;
        }
    }

    pub(super) async fn current_path(&self) -> Option<Path> {
        self.attempt.as_ref()?.connection.path().await
    }
}

fn round_trip_moved(old: Option<Duration>, new: Option<Duration>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => old.abs_diff(new) > old / 4 && old.abs_diff(new) > Duration::from_millis(1),
        (old, new) => old.is_some() != new.is_some(),
    }
}
