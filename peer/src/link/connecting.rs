//! The connection of a link: begun by us or by an offer, negotiated, watched, closed.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::{
    Attempt, Link, Notice, PATH_INTERVAL,
    generation::{Generation, Side},
};
use crate::{
    ConnectionState, ConnectionStep, Event, ProblemCode,
    candidate_gate::candidate_type,
    connection::{Connection, ConnectionEvent, EngineError, Fingerprint},
    negotiation::{
        Candidate, DescriptionKind, Input, Negotiation, Output, connection_identity, username_fragments,
    },
    sdp_gate,
};

/// Why something was not carried out.
enum Failure {
    Ours(EngineError),
    /// The engine does not take what the peer described.
    Theirs(EngineError),
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Ours(error)
    }
}

impl Link {
    /// The user's or the policy's wish for a connection.
    pub(super) async fn connect(&mut self) {
        if let Some(recovery) = &mut self.recovery {
            return recovery.hurry(Instant::now());
        }
        if self.state == ConnectionState::Failed {
            self.close(ConnectionState::Failed).await;
        }
        if self.begin(None).await {
            self.negotiate(Input::Connect).await;
        }
    }

    /// Begins another ICE generation on the connection that is there.
    pub(super) async fn restart_ice(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.generation = Generation::default();
        }
        self.negotiate(Input::Restart).await;
    }

    /// The peer has described its side, within the rules.
    pub(super) async fn described(&mut self, kind: DescriptionKind, sdp: String, named: Fingerprint) {
        if kind == DescriptionKind::Offer {
            let offered = connection_identity(&sdp);
            if offered.is_some() && offered == self.abandoned {
                tracing::debug!(peer_id = %self.peer_id, "ignored an offer on a connection that was replaced");
                return;
            }
            self.timeline.add(ConnectionStep::OfferReceived);
            // The peer has begun a new connection and forgotten ours.
            let replaced = self.remote_identity.is_some() && self.remote_identity != offered;
            if replaced && self.chat.is_open() {
                self.begin_recovery();
            }
            if replaced || self.state == ConnectionState::Failed {
                self.close_connection(self.state).await;
            }
            if let Some(recovery) = &mut self.recovery {
                recovery.peer_tries(Instant::now());
            }
            if !self.begin(Some(named)).await {
                return;
            }
        } else {
            self.timeline.add(ConnectionStep::AnswerReceived);
        }
        self.negotiate(Input::RemoteDescription { kind, sdp }).await;
    }

    /// Makes a connection unless there is one; says whether there is one now. `named` is the certificate in the peer's offer
    /// that begins it.
    pub(super) async fn begin(&mut self, named: Option<Fingerprint>) -> bool {
        if self.attempt.is_some() {
            return true;
        }
        if self.refused {
            return false;
        }
        self.name(named).await;
        if self.lacks_relay().await {
            return false;
        }
        if self.mesh_place.is_none() {
            self.mesh_place = self.context.mesh.clone().try_acquire_owned().ok();
        }
        if self.mesh_place.is_none() {
            let max = self.context.mesh_peers_max;
            let message = format!(
                "not connected: {max} peers are the most this mesh connects; leave or raise the limit"
            );
            self.problem(ProblemCode::MeshFull, message).await;
            self.set_state(ConnectionState::Failed).await;
            return false;
        }
        match Connection::new(&self.context.connection).await {
            Ok(connection) => {
                let now = Instant::now();
                self.negotiation = Negotiation::new(self.polite, self.context.candidates_max);
                self.remote_identity = None;
                // A recovery has its own.
                self.deadline = self.recovery.is_none().then(|| now + self.context.connect_timeout);
                self.attempt = Some(Attempt {
                    connection,
                    begun: now,
                    opened_in: None,
                    next_path: now + PATH_INTERVAL,
                    dead: false,
                    generation: Generation::default(),
                    remote_fragments: Vec::new(),
                    dead_relays: BTreeMap::new(),
                    move_told: false,
                });
                self.timeline.add(ConnectionStep::Gathering);
                self.set_state(ConnectionState::Connecting).await;
                true
            }
            // Such as a host that has lost its network.
            Err(_) if self.recovery.is_some() => false,
            Err(error) => {
                let message = format!("cannot begin to connect: {error}; /connect tries again");
                self.problem(ProblemCode::ConnectionFailed, message).await;
                self.mesh_place = None;
                self.set_state(ConnectionState::Failed).await;
                false
            }
        }
    }

    /// Feeds the negotiation and carries out what it says, in order.
    pub(super) async fn negotiate(&mut self, input: Input) {
        let mut next = self.when_sealed(input).await;
        while let Some(input) = next.take() {
            for output in self.negotiation.handle(input) {
                match self.carry_out(output).await {
                    Ok(None) => {}
                    // Only ever the last output, so nothing after it is overtaken.
                    Ok(again) => next = again,
                    Err(Failure::Ours(error)) => return self.refused(error).await,
                    Err(Failure::Theirs(error)) => return self.description_refused(error).await,
                }
            }
        }
    }

    async fn carry_out(&mut self, output: Output) -> Result<Option<Input>, Failure> {
        if let Output::SetRemoteDescription { kind, sdp } = output {
            return self.set_remote(kind, sdp).await.map(|()| None);
        }
        let Some(attempt) = &mut self.attempt else { return Ok(None) };
        let connection = &mut attempt.connection;
        match output {
            Output::CreateOffer => {
                connection.reconfigure(&self.context.connection).await?;
                let kind = DescriptionKind::Offer;
                return Ok(Some(Input::LocalDescription { kind, sdp: connection.describe(kind).await? }));
            }
            Output::CreateAnswer => {
                connection.reconfigure(&self.context.connection).await?;
                let kind = DescriptionKind::Answer;
                return Ok(Some(Input::LocalDescription { kind, sdp: connection.describe(kind).await? }));
            }
            Output::RestartIce => connection.restart_ice(),
            Output::Rollback => connection.rollback().await?,
            Output::AddCandidate(candidate) => {
                let kind = candidate_type(&candidate.candidate);
                if let Some(kind) = kind
                    && attempt.generation.is_first(Side::Remote)
                {
                    self.timeline.add(ConnectionStep::FirstRemoteCandidate(kind));
                }
                match (connection.add_candidate(candidate).await, kind) {
                    (Ok(()), Some(kind)) => attempt.generation.knows(Side::Remote, kind, Instant::now()),
                    (Ok(()), None) => {}
                    // One bad candidate says nothing about the others.
                    (Err(error), _) => {
                        tracing::debug!(peer_id = %self.peer_id, %error, "ignored a candidate");
                    }
                }
            }
            Output::SendDescription { kind, sdp } => {
                self.timeline.add(match kind {
                    DescriptionKind::Offer => ConnectionStep::OfferSent,
                    DescriptionKind::Answer => ConnectionStep::AnswerSent,
                });
                self.say_description(kind, sdp).await;
            }
            Output::SendCandidate(candidate) => self.say_candidate(candidate).await,
            Output::SetRemoteDescription { .. } => {}
        }
        Ok(None)
    }

    async fn set_remote(&mut self, kind: DescriptionKind, sdp: String) -> Result<(), Failure> {
        // What passed the gate passes it again, unchanged.
        self.name(sdp_gate::check(&sdp).ok().map(|described| described.fingerprint)).await;
        let Some(attempt) = &mut self.attempt else { return Ok(()) };
        self.remote_identity = connection_identity(&sdp);
        let fragments = username_fragments(&sdp);
        let known = std::mem::replace(&mut attempt.remote_fragments, fragments);
        // The peer begins another ICE generation.
        if kind == DescriptionKind::Offer && !known.is_empty() && known != attempt.remote_fragments {
            attempt.generation = Generation::default();
            if self.chat.is_open() && self.recovery.is_none() {
                // It may be such a try of the peer's: both sides have the same number in all.
                self.direct_tries = self.direct_tries.saturating_add(1);
            }
        }
        attempt.connection.set_remote(kind, sdp).await.map_err(Failure::Theirs)
    }

    pub(super) async fn connection_event(&mut self, event: ConnectionEvent) {
        match event {
            ConnectionEvent::State(ConnectionState::Failed) | ConnectionEvent::Stopped => {
                self.connection_failed().await;
            }
            ConnectionEvent::State(state @ (ConnectionState::Connected | ConnectionState::Disconnected)) => {
                self.packets_flow(state).await;
            }
            ConnectionEvent::PairSelected => {
                if let Some(attempt) = &mut self.attempt {
                    attempt.generation.selects(Instant::now());
                }
            }
            // Known better here: the attempt began with the first description, and closes by our hand.
            ConnectionEvent::State(_) => {}
            ConnectionEvent::Relay { url, trouble } => self.relay(url, trouble),
            ConnectionEvent::LocalCandidate(candidate) => self.local_candidate(candidate).await,
            ConnectionEvent::ServersKnown => {
                if let Some(attempt) = &mut self.attempt {
                    attempt.connection.reconsider_withheld().await;
                }
            }
            ConnectionEvent::ChannelOpen if !self.channel_leads_to_the_peer().await => {
                self.misbehaved("its certificate is not the one that it proved to have").await;
            }
            ConnectionEvent::ChannelOpen => {
                let certificates = self.certificates().await;
                self.chat.channel_opened(certificates);
            }
            ConnectionEvent::ForeignChannel => self.misbehaved("it opened a channel nobody asked for").await,
            ConnectionEvent::ChannelMessage(frame) => self.frame(&frame).await,
            // Nothing was heard for so long that either side's engine has given up.
            ConnectionEvent::ChannelClosed if self.chat.is_open() && self.recovery.is_some() => {
                self.connection_failed().await;
            }
            ConnectionEvent::ChannelClosed if self.chat.is_open() => {
                self.close(ConnectionState::Closed).await;
            }
            // Before it was ever open: the peer gave up.
            ConnectionEvent::ChannelClosed => self.connection_failed().await,
        }
    }

    async fn local_candidate(&mut self, candidate: Candidate) {
        let ended = candidate.candidate.is_empty();
        if let (Some(kind), Some(attempt)) = (candidate_type(&candidate.candidate), &mut self.attempt) {
            attempt.generation.knows(Side::Local, kind, Instant::now());
            if attempt.generation.is_first(Side::Local) {
                self.timeline.add(ConnectionStep::FirstLocalCandidate(kind));
            }
        }
        self.negotiate(Input::LocalCandidate(candidate)).await;
        if ended && self.negotiation.local_candidates() == 0 && !self.chat.is_open() {
            self.cannot_be_reached().await;
        }
    }

    /// Ends the connection, if there is one, and leaves the link in `state`; nothing brings it back by itself.
    pub(super) async fn close(&mut self, state: ConnectionState) {
        self.recovery = None;
        self.direct_tries = 0;
        self.abandoned = None;
        self.retries.cancel();
        if self.attempt.is_some() && state == ConnectionState::Closed {
            self.timeline.add(ConnectionStep::Closed);
        }
        self.close_connection(state).await;
        self.mesh_place = None;
    }

    /// Ends the connection, if there is one, for another to take its place.
    pub(super) async fn close_connection(&mut self, state: ConnectionState) {
        self.deadline = None;
        self.outgoing = None;
        let was_open = self.chat.is_open();
        self.chat.channel_closed();
        self.forget_string();
        let Some(attempt) = self.attempt.take() else { return };
        attempt.connection.close().await;
        self.path = None;
        self.remote_identity = None;
        if was_open {
            self.notify(Notice::Open(false)).await;
            self.events.send(Event::ChannelClosed { peer_id: self.peer_id.clone() }).await;
        }
        self.set_state(state).await;
        if std::mem::take(&mut self.peer_said_bye) {
            self.notify(Notice::SaidBye).await;
        }
    }

    pub(super) async fn set_state(&mut self, state: ConnectionState) {
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
}
