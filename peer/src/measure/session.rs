//! A session with the server as a room has it, with what it tells, but without a room and its connections.

use std::collections::BTreeSet;

use patchcord_proto::v1::signal_request::{Candidate, Message};
use tokio::sync::mpsc;

use crate::{
    Config, JoinError, Peer, PeerId,
    signaling::{Observer, Signaling, SignalingEvent, over_the_network},
};

/// A session, which ends when this is dropped.
pub struct Session {
    signaling: Signaling,
    events: mpsc::Receiver<SignalingEvent>,
}

/// What a session tells a room.
#[derive(Debug)]
pub enum Told {
    /// A peer sent a candidate.
    Candidate {
        /// Who, by the server's knowledge.
        from: PeerId,
        /// As sent.
        candidate: String,
    },
    /// A peer joined, or changed.
    PeerIsHere(Peer),
    /// A peer left.
    PeerLeft(PeerId),
    /// The stream is lost, or an attempt to come back failed.
    Away,
    /// The session goes on over another stream.
    Resumed {
        /// Whether nothing was lost.
        complete: bool,
        /// Unless complete: the roster now.
        peers: Vec<Peer>,
        /// Unless complete: to or from whom something was lost.
        affected: BTreeSet<PeerId>,
    },
    /// The server had forgotten the session, and another began.
    Rejoined {
        /// Our id now.
        peer_id: PeerId,
        /// Who was there.
        peers: Vec<Peer>,
    },
    /// Requests for these were not taken.
    Lost(BTreeSet<PeerId>),
    /// Nothing follows.
    Ended(String),
    /// What no measurement asks for.
    Else,
}

impl Session {
    /// Joins `config.room`; gives our id and who was there.
    ///
    /// # Errors
    /// As [`crate::Room::join`].
    pub async fn join(
        config: &Config,
        observer: impl Observer,
    ) -> Result<(Self, PeerId, Vec<Peer>), JoinError> {
        let (signaling, joined, events) = Signaling::join_with(config, observer, over_the_network()).await?;
        Ok((Self { signaling, events }, joined.peer_id, joined.peers))
    }

    /// Gives a candidate to the session; says no when it is over or stuck.
    pub fn send(&self, to: &PeerId, candidate: String) -> bool {
        let candidate = Candidate { to_peer_id: to.to_string(), candidate, ..Candidate::default() };
        self.signaling.try_send(Message::Candidate(candidate))
    }

    /// What it tells next; `None` after the end. Nothing is lost when this is not waited for to the end.
    pub async fn next(&mut self) -> Option<Told> {
        Some(match self.events.recv().await? {
            SignalingEvent::Candidate { from, candidate } => {
                Told::Candidate { from, candidate: candidate.candidate }
            }
            SignalingEvent::PeerJoined(peer) | SignalingEvent::PeerUpdated(peer) => Told::PeerIsHere(peer),
            SignalingEvent::PeerLeft { peer_id, .. } => Told::PeerLeft(peer_id),
            SignalingEvent::Away { .. } => Told::Away,
            SignalingEvent::Resumed { complete, peers, affected } => {
                Told::Resumed { complete, peers, affected }
            }
            SignalingEvent::Rejoined(joined) => {
                Told::Rejoined { peer_id: joined.peer_id, peers: joined.peers }
            }
            SignalingEvent::Lost(peers) => Told::Lost(peers),
            SignalingEvent::Removed { message: reason } | SignalingEvent::Ended { reason } => {
                Told::Ended(reason)
            }
            SignalingEvent::Description { .. }
            | SignalingEvent::Sealed { .. }
            | SignalingEvent::Rejected { .. }
            | SignalingEvent::IceServers(_)
            | SignalingEvent::Resuming => Told::Else,
        })
    }
}
