//! What a link says and does when its connection cannot be had: one sentence with the next step.

use super::{Link, gating::VIOLATIONS_MAX};
use crate::{
    ConnectionState, ConnectionStep, Event, IceTransportPolicy, ProblemCode, connection::EngineError,
};

/// TURN servers that one sentence names.
const DEAD_RELAYS_MAX: usize = 2;

impl Link {
    pub(super) async fn refused(&mut self, error: EngineError) {
        if self.recovery.is_some() {
            tracing::debug!(peer_id = %self.peer_id, %error, "an attempt to get a connection back failed");
            return self.attempt_failed().await;
        }
        self.problem(ProblemCode::PeerMisbehaved, format!("what the peer sent cannot be used: {error}"))
            .await;
        self.close(ConnectionState::Failed).await;
    }

    /// A description that passed its gate and that the engine does not take. While a lost connection is to come back one may
    /// only be of another time; more of them are not.
    pub(super) async fn description_refused(&mut self, error: EngineError) {
        if self.recovery.is_some() && self.violations + 1 < VIOLATIONS_MAX {
            self.violations += 1;
            return self.refused(error).await;
        }
        self.misbehaved(&format!("its session description cannot be used: {error}")).await;
    }

    /// Ends the connection with a peer that breaks the rules; the rest of the room goes on.
    pub(super) async fn misbehaved(&mut self, what: &str) {
        if let Some(consequence) = self.counts_violation() {
            let message = format!("the peer broke the rules and was disconnected: {what}{consequence}");
            self.problem(ProblemCode::PeerMisbehaved, message).await;
        }
        self.close(ConnectionState::Failed).await;
    }

    /// Gathering ended without a candidate: the engine says nothing of a TURN server that refuses.
    pub(super) async fn cannot_be_reached(&mut self) {
        let dead_relays = self.dead_relays();
        let message = match self.context.connection.relay_only() {
            true if !dead_relays.is_empty() => {
                format!("no TURN server gave us an address{dead_relays}")
            }
            true => {
                "no TURN server gave us an address: it does not answer, or it refuses its credentials".into()
            }
            false => {
                format!("this machine has no address to be reached at{dead_relays}")
            }
        };
        if self.recovery.is_some() {
            return self.attempt_failed().await;
        }
        self.problem(ProblemCode::ConnectionFailed, message).await;
        self.close(ConnectionState::Failed).await;
    }

    /// One of several: the next comes by itself.
    pub(super) async fn attempt_failed(&mut self) {
        if self.chat.is_open() {
            return self.connection_died();
        }
        self.close_connection(ConnectionState::Disconnected).await;
    }

    pub(super) async fn connection_failed(&mut self) {
        let wanted = !self.peer_gone && !self.peer_said_bye && !self.chat.goodbye_is_sent();
        if wanted && (self.chat.is_open() || self.recovery.is_some()) {
            if self.recovery.is_none() {
                self.timeline.add(ConnectionStep::Disconnected);
                self.set_state(ConnectionState::Disconnected).await;
                self.begin_recovery();
            }
            return self.attempt_failed().await;
        }
        if wanted && self.retries.due().is_some() {
            return self.close_connection(ConnectionState::New).await;
        }
        let message = if self.chat.is_open() {
            "the connection was lost: the network or the peer went away; /connect tries again".into()
        } else {
            let (dead_relays, withheld) = (self.dead_relays(), self.withheld());
            format!(
                "no path to the peer: both may be behind NATs or firewalls that need a TURN server{dead_relays}{withheld}"
            )
        };
        self.problem(ProblemCode::ConnectionFailed, message).await;
        self.close(ConnectionState::Failed).await;
    }

    pub(super) async fn deadline_passed(&mut self) {
        if self.attempt.is_some() && !self.leaving && !self.chat.is_open() {
            let seconds = self.context.connect_timeout.as_secs();
            let (dead_relays, withheld) = (self.dead_relays(), self.withheld());
            let message = format!(
                "no connection within {seconds} s: the peer does not answer or no path leads to it{dead_relays}{withheld}"
            );
            self.problem(ProblemCode::ConnectTimeout, message).await;
            self.close(ConnectionState::Failed).await;
        } else {
            self.close(ConnectionState::Closed).await;
        }
    }

    /// The channel takes no more; if the peer closed it, that is about to be told as well.
    pub(super) async fn unwritable(&mut self) {
        match self.recovery {
            Some(_) => self.connection_failed().await,
            None => self.close(ConnectionState::Closed).await,
        }
    }

    pub(super) async fn problem(&mut self, code: ProblemCode, message: String) {
        self.timeline.add(ConnectionStep::Failed(message.clone()));
        self.events.send(Event::Problem { code, peer_id: Some(self.peer_id.clone()), message }).await;
    }

    /// Relay-only without a TURN server: says so instead of trying, and says yes.
    pub(super) async fn lacks_relay(&mut self) -> bool {
        let config = &self.context.connection;
        if !config.relay_only() || config.has_relay() {
            return false;
        }
        if self.recovery.is_none() {
            let message = match config.ice_transport_policy {
                IceTransportPolicy::Relay => {
                    "relay-only needs a TURN server: the server offers none, give one with --ice-server"
                }
                IceTransportPolicy::All => {
                    "--ip-policy relay needs a TURN server for peers that are not verified: the server offers none, give one \
                     with --ice-server"
                }
            };
            self.problem(ProblemCode::ConnectionFailed, message.into()).await;
            self.set_state(ConnectionState::Failed).await;
        }
        true
    }

    /// What became of a TURN server that only a stream reaches.
    pub(super) fn relay(&mut self, url: String, trouble: Option<String>) {
        let Some(attempt) = &mut self.attempt else { return };
        match trouble {
            None => drop(attempt.dead_relays.remove(&url)),
            Some(reason) => {
                let step = ConnectionStep::RelayUnreachable { url: url.clone(), reason: reason.clone() };
                if attempt.dead_relays.insert(url, reason).is_none() {
                    self.timeline.add(step);
                }
            }
        }
    }

    /// To be put behind what failed.
    pub(super) fn dead_relays(&self) -> String {
        let dead = self.attempt.iter().flat_map(|attempt| &attempt.dead_relays).take(DEAD_RELAYS_MAX);
        dead.map(|(url, reason)| format!("; the relay {url} cannot be reached: {reason}")).collect()
    }
}
