//! The connection of a link: begun by us or by an offer, negotiated, watched, closed.

use std::time::Duration;

use tokio::time::Instant;

use super::{Attempt, Link, Notice, PATH_INTERVAL};
use crate::{
    ConnectionState, Event, IceTransportPolicy, Path, ProblemCode,
    connection::{Connection, ConnectionEvent, EngineError},
    negotiation::{DescriptionKind, Input, Negotiation, Output, fingerprint},
};

impl Link {
    /// The user's or the policy's wish for a connection.
    pub(super) async fn connect(&mut self) {
        if self.state == ConnectionState::Failed {
            self.close(ConnectionState::Failed).await;
        }
        if self.begin().await {
            self.negotiate(Input::Connect).await;
        }
    }

    /// Begins another ICE generation on the connection that is there.
    pub(super) async fn restart_ice(&mut self) {
        self.negotiate(Input::Restart).await;
    }

    pub(super) async fn remote_description(&mut self, kind: DescriptionKind, sdp: String) {
        if kind == DescriptionKind::Offer {
            if !self.offers.take(Instant::now()) {
                tracing::debug!(peer_id = %self.peer_id, "ignored an offer: they come too fast");
                return;
            }
            let offered = fingerprint(&sdp);
            // Another certificate: the peer has begun a new connection and forgotten ours.
            let replaced = self.remote_fingerprint.is_some() && self.remote_fingerprint != offered;
            if replaced || self.state == ConnectionState::Failed {
                self.close(self.state).await;
            }
            if !self.begin().await {
                return;
            }
        }
        self.negotiate(Input::RemoteDescription { kind, sdp }).await;
    }

    /// Makes a connection unless there is one; says whether there is one now.
    async fn begin(&mut self) -> bool {
        if self.attempt.is_some() {
            return true;
        }
        let Ok(mesh_place) = self.context.mesh.clone().try_acquire_owned() else {
            let max = self.context.mesh_peers_max;
            self.problem(
                ProblemCode::MeshFull,
                format!(
                    "not connected: {max} peers are the most this mesh connects; leave or raise the limit"
                ),
            )
            .await;
            self.set_state(ConnectionState::Failed).await;
            return false;
        };
        match Connection::new(&self.context.connection).await {
            Ok(connection) => {
                let now = Instant::now();
                self.negotiation = Negotiation::new(self.polite, self.context.candidates_max);
                self.remote_fingerprint = None;
                self.deadline = Some(now + self.context.connect_timeout);
                self.attempt = Some(Attempt {
                    connection,
                    begun: now,
                    opened_in: None,
                    next_path: now + PATH_INTERVAL,
                    _mesh_place: mesh_place,
                });
                self.set_state(ConnectionState::Connecting).await;
                true
            }
            Err(error) => {
                self.problem(ProblemCode::ConnectionFailed, format!("cannot begin to connect: {error}"))
                    .await;
                self.set_state(ConnectionState::Failed).await;
                false
            }
        }
    }

    /// Feeds the negotiation and carries out what it says, in order.
    pub(super) async fn negotiate(&mut self, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            for output in self.negotiation.handle(input) {
                match self.carry_out(output).await {
                    Ok(None) => {}
                    // Only ever the last output, so nothing after it is overtaken.
                    Ok(again) => next = again,
                    Err(error) => return self.refused(error).await,
                }
            }
        }
    }

    async fn carry_out(&mut self, output: Output) -> Result<Option<Input>, EngineError> {
        let Some(attempt) = &mut self.attempt else { return Ok(None) };
        let connection = &mut attempt.connection;
        match output {
            Output::CreateOffer => {
                let kind = DescriptionKind::Offer;
                return Ok(Some(Input::LocalDescription { kind, sdp: connection.describe(kind).await? }));
            }
            Output::CreateAnswer => {
                let kind = DescriptionKind::Answer;
                return Ok(Some(Input::LocalDescription { kind, sdp: connection.describe(kind).await? }));
            }
            Output::RestartIce => connection.restart_ice(),
            Output::Rollback => connection.rollback().await?,
            Output::SetRemoteDescription { kind, sdp } => {
                self.remote_fingerprint = fingerprint(&sdp);
                connection.set_remote(kind, sdp).await?;
            }
            Output::AddCandidate(candidate) => {
                // One bad candidate says nothing about the others.
                if let Err(error) = connection.add_candidate(candidate).await {
                    tracing::debug!(peer_id = %self.peer_id, %error, "ignored a candidate");
                }
            }
            Output::SendDescription { kind, sdp } => self.notify(Notice::Description { kind, sdp }).await,
            Output::SendCandidate(candidate) => self.notify(Notice::Candidate(candidate)).await,
        }
        Ok(None)
    }

    async fn refused(&mut self, error: EngineError) {
        self.problem(ProblemCode::PeerMisbehaved, format!("what the peer sent cannot be used: {error}"))
            .await;
        self.close(ConnectionState::Failed).await;
    }

    pub(super) async fn connection_event(&mut self, event: ConnectionEvent) {
        match event {
            ConnectionEvent::State(ConnectionState::Failed) => self.connection_failed().await,
            ConnectionEvent::State(state @ (ConnectionState::Connected | ConnectionState::Disconnected)) => {
                self.path = self.current_path().await;
                self.set_state(state).await;
            }
            // Known better here: the attempt began with the first description, and closes by our hand.
            ConnectionEvent::State(_) => {}
            ConnectionEvent::LocalCandidate(candidate) => {
                let ended = candidate.candidate.is_empty();
                self.negotiate(Input::LocalCandidate(candidate)).await;
                if ended && self.negotiation.local_candidates() == 0 {
                    self.cannot_be_reached().await;
                }
            }
            ConnectionEvent::ChannelOpen => self.chat.channel_opened(),
            ConnectionEvent::ForeignChannel => self.misbehaved("it opened a channel nobody asked for").await,
            ConnectionEvent::ChannelMessage(frame) => self.frame(&frame).await,
            ConnectionEvent::ChannelClosed if self.chat.is_open() => {
                self.close(ConnectionState::Closed).await;
            }
            ConnectionEvent::Stopped => self.connection_failed().await,
            // Before it was ever open: the peer gave up.
            ConnectionEvent::ChannelClosed => self.connection_failed().await,
        }
    }

    /// Ends the connection with a peer that breaks the rules; the rest of the room goes on.
    pub(super) async fn misbehaved(&mut self, what: &str) {
        let message = format!("the peer broke the rules and was disconnected: {what}");
        self.problem(ProblemCode::PeerMisbehaved, message).await;
        self.close(ConnectionState::Failed).await;
    }

    /// Gathering ended without a candidate: the engine says nothing of a TURN server that refuses.
    async fn cannot_be_reached(&mut self) {
        let message = match self.context.connection.ice_transport_policy {
            IceTransportPolicy::Relay => {
                "no TURN server gave us an address: there is none, it does not answer, or it refuses its credentials"
            }
            IceTransportPolicy::All => "this machine has no address to be reached at",
        };
        self.problem(ProblemCode::ConnectionFailed, message.into()).await;
        self.close(ConnectionState::Failed).await;
    }

    async fn connection_failed(&mut self) {
        let message = if self.chat.is_open() {
            "the connection was lost: the network or the peer went away; /connect tries again"
        } else {
            "no path to the peer: both may be behind NATs or firewalls that need a TURN server"
        };
        self.problem(ProblemCode::ConnectionFailed, message.into()).await;
        self.close(ConnectionState::Failed).await;
    }

    pub(super) async fn deadline_passed(&mut self) {
        if self.attempt.is_some() && !self.leaving && !self.chat.is_open() {
            let seconds = self.context.connect_timeout.as_secs();
            self.problem(
                ProblemCode::ConnectTimeout,
                format!("no connection within {seconds} s: the peer does not answer or no path leads to it"),
            )
            .await;
            self.close(ConnectionState::Failed).await;
        } else {
            self.close(ConnectionState::Closed).await;
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
        if let Some(attempt) = &mut self.attempt {
            attempt.next_path = Instant::now() + PATH_INTERVAL;
        }
    }

    pub(super) async fn current_path(&self) -> Option<Path> {
        self.attempt.as_ref()?.connection.path().await
    }

    /// Ends the connection, if there is one, and leaves the link in `state`.
    pub(super) async fn close(&mut self, state: ConnectionState) {
        self.deadline = None;
        self.outgoing = None;
        let was_open = self.chat.is_open();
        self.chat.channel_closed();
        let Some(attempt) = self.attempt.take() else { return };
        attempt.connection.close().await;
        self.path = None;
        self.remote_fingerprint = None;
        if was_open {
            self.notify(Notice::Open(false)).await;
            self.events.send(Event::ChannelClosed { peer_id: self.peer_id.clone() }).await;
        }
        self.set_state(state).await;
        if std::mem::take(&mut self.peer_said_bye) {
            self.notify(Notice::SaidBye).await;
        }
    }

    async fn set_state(&mut self, state: ConnectionState) {
        if self.state != state {
            self.state = state;
            self.state_since = Instant::now();
            self.tell_state().await;
        }
    }

    pub(super) async fn tell_state(&self) {
        let (peer_id, state, path) = (self.peer_id.clone(), self.state, self.path);
        self.events.send(Event::Connection { peer_id, state, path }).await;
    }

    pub(super) async fn problem(&self, code: ProblemCode, message: String) {
        self.events.send(Event::Problem { code, peer_id: Some(self.peer_id.clone()), message }).await;
    }
}

fn round_trip_moved(old: Option<Duration>, new: Option<Duration>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => old.abs_diff(new) > old / 4 && old.abs_diff(new) > Duration::from_millis(1),
        (old, new) => old.is_some() != new.is_some(),
    }
}
