//! Getting a lost connection back without losing its chat session: ICE restarts on the connection that is there,
//! then new connections over which the session sends again what was not acknowledged.

use tokio::time::Instant;

use super::{
    Link,
    recovery::{GIVE_UP_AFTER, Recovery, Remedy},
};
use crate::{ConnectionState, ConnectionStep, ProblemCode, SignalingState, negotiation::Input};

impl Link {
    /// Packets of an open chat no longer flow, or the connection is dead.
    pub(super) fn begin_recovery(&mut self) {
        if self.recovery.is_none() {
            self.recovery = Some(Recovery::new(Instant::now(), self.polite, jitter()));
        }
        self.pace_recovery();
    }

    /// The connection of an open chat is beyond repair. It is kept until there is another, so that the chat
    /// counts as open.
    pub(super) fn connection_died(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.dead = true;
        }
        self.begin_recovery();
        if let Some(recovery) = &mut self.recovery {
            recovery.hurry(Instant::now());
        }
    }

    /// Attempts count only while they can reach the peer.
    pub(super) fn pace_recovery(&mut self) {
        let reachable = self.reaches_peer();
        if let Some(recovery) = &mut self.recovery {
            recovery.set_reachable(Instant::now(), reachable);
        }
    }

    /// Whether the peer hears what we say through the server.
    pub(super) fn reaches_peer(&self) -> bool {
        self.signaling == SignalingState::Connected && self.peer.attached && !self.peer_gone
    }

    pub(super) fn recovery_due(&self) -> Option<Instant> {
        let recovery = self.recovery.as_ref()?;
        let is_dead = self.attempt.as_ref().is_none_or(|attempt| attempt.dead);
        match &self.signaling {
            // Nobody will ever carry an offer again.
            SignalingState::Gone { .. } if is_dead => Some(Instant::now()),
            _ => recovery.due(),
        }
    }

    pub(super) async fn recover(&mut self) {
        if matches!(self.signaling, SignalingState::Gone { .. }) {
            return self
                .give_up(
                    "the connection was lost, and so was the server that could bring it back: join again",
                )
                .await;
        }
        let moved = self.addresses_changed();
        let may_restart =
            !moved && self.chat.is_open() && self.attempt.as_ref().is_some_and(|attempt| !attempt.dead);
        let Some(recovery) = &mut self.recovery else { return };
        match recovery.next(Instant::now(), may_restart) {
            Remedy::Restart(number) => {
                self.timeline.add(ConnectionStep::IceRestart(number));
                self.restart_ice().await;
            }
            Remedy::Reconnect(number) => {
                if moved {
                    self.timeline.add(ConnectionStep::AddressesChanged);
                }
                self.timeline.add(ConnectionStep::NewConnection(number));
                self.abandoned = self.remote_identity.take().or(self.abandoned.take());
                self.close_connection(ConnectionState::Disconnected).await;
                if self.begin(None).await {
                    self.negotiate(Input::Connect).await;
                }
            }
            Remedy::GiveUp => {
                let minutes = GIVE_UP_AFTER.as_secs() / 60;
                let dead_relays = self.dead_relays();
                let message = format!(
                    "the connection was lost and nothing brought it back within {minutes} minutes: texts wait; check \
                     the network on both sides, then /connect tries again{dead_relays}"
                );
                self.give_up(&message).await;
            }
        }
    }

    /// Sockets on addresses that this host no longer has carry nothing.
    pub(super) fn addresses_changed(&self) -> bool {
        let attempt = self.attempt.as_ref();
        attempt.is_some_and(|attempt| attempt.connection.addresses_changed(&self.context.connection))
    }

    async fn give_up(&mut self, message: &str) {
        self.problem(ProblemCode::ConnectionFailed, message.into()).await;
        self.close(ConnectionState::Failed).await;
        // Between two connections there is none to close.
        self.set_state(ConnectionState::Failed).await;
    }
}

/// Without a random source two sides may try at once, which is resolved all the same.
pub(super) fn jitter() -> u8 {
    crate::random::u32().map_or(0, |random| random.to_be_bytes()[0])
}
