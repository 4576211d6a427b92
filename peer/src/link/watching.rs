//! What is seen of a connection that is there: whether packets flow, over which path, and whether this host has moved.

use std::time::Duration;

use tokio::time::Instant;

use super::{Link, Notice, PATH_INTERVAL};
use crate::{ConnectionState, ConnectionStep, Path};

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
        if has_moved && !std::mem::replace(&mut attempt.move_told, true) {
            self.notify(Notice::NetworkMayHaveChanged).await;
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
