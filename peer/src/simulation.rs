//! The session with a server in a simulated network: connections are made as the simulation wants, and random
//! bits follow from a seed. Everything else is what a [`crate::Room`] rests on; WebRTC has no part in it.

use std::{cell::Cell, collections::BTreeSet};

use patchcord_proto::v1::signal_request as request;
use tokio::sync::mpsc;

pub use crate::signaling::Connect;
use crate::{
    Config, JoinError, LeaveReason, Peer, PeerId,
    negotiation::Candidate,
    signaling::{Joined, Signaling, SignalingEvent, Unobserved},
};

thread_local! {
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on random bits on this thread follow from the seed; `None` ends that.
pub fn seed(seed: Option<u64>) {
    STATE.set(seed);
}

/// None without a seed. SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) fn random() -> Option<u32> {
    let state = STATE.get()?.wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(Some(state));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u32::try_from(mixed >> 32).ok()
}

/// A session; it ends when this is dropped.
pub struct Line {
    signaling: Signaling,
    events: mpsc::Receiver<SignalingEvent>,
}

/// Who we are and who is there.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Our own id.
    pub peer_id: PeerId,
    /// The others.
    pub peers: Vec<Peer>,
}

/// What a room is told.
#[derive(Clone, Debug)]
pub enum Told {
    /// Somebody came.
    PeerJoined(Peer),
    /// Somebody changed.
    PeerUpdated(Peer),
    /// Somebody left.
    PeerLeft(PeerId, LeaveReason),
    /// A candidate's text.
    Candidate(PeerId, String),
    /// A request was not carried out.
    Rejected(String),
    /// The stream is lost.
    Away,
    /// An attempt to come back has begun.
    Resuming,
    /// The session goes on.
    Resumed {
        /// Nothing is lost.
        complete: bool,
        /// Who is there.
        peers: Vec<Peer>,
        /// Between whom and us something is lost.
        affected: BTreeSet<PeerId>,
    },
    /// The server had forgotten us.
    Rejoined(Entry),
    /// Requests for these were not taken.
    Lost(BTreeSet<PeerId>),
    /// The session is over.
    Ended(String),
    /// What a simulation does not bring about.
    Other,
}

impl Line {
    /// Joins over connections of the simulation.
    ///
    /// # Errors
    /// As [`crate::Room::join`].
    pub async fn join(config: &Config, connect: Connect) -> Result<(Self, Entry), JoinError> {
        let (signaling, joined, events) = Signaling::join_with(config, Unobserved, connect).await?;
        Ok((Self { signaling, events }, entry(joined)))
    }

    /// Sends a candidate; whether the session took it.
    pub fn send(&self, to: &PeerId, candidate: String) -> bool {
        let to_peer_id = to.to_string();
        let candidate = request::Candidate { to_peer_id, candidate, ..request::Candidate::default() };
        self.signaling.try_send(request::Message::Candidate(candidate))
    }

    /// Shows us under another name; whether the session took it.
    pub fn rename(&self, display_name: String) -> bool {
        self.signaling.try_send(request::Message::UpdateProfile(request::UpdateProfile { display_name }))
    }

    /// What comes next; `None` when nothing will.
    pub async fn told(&mut self) -> Option<Told> {
        Some(match self.events.recv().await? {
            SignalingEvent::PeerJoined(peer) => Told::PeerJoined(peer),
            SignalingEvent::PeerUpdated(peer) => Told::PeerUpdated(peer),
            SignalingEvent::PeerLeft { peer_id, reason } => Told::PeerLeft(peer_id, reason),
            SignalingEvent::Candidate { from, candidate: Candidate { candidate, .. } } => {
                Told::Candidate(from, candidate)
            }
            SignalingEvent::Rejected { code, .. } => Told::Rejected(code.as_str_name().to_owned()),
            SignalingEvent::Away { .. } => Told::Away,
            SignalingEvent::Resuming => Told::Resuming,
            SignalingEvent::Resumed { complete, peers, affected } => {
                Told::Resumed { complete, peers, affected }
            }
            SignalingEvent::Rejoined(joined) => Told::Rejoined(entry(joined)),
            SignalingEvent::Lost(peers) => Told::Lost(peers),
            SignalingEvent::Removed { message } | SignalingEvent::Ended { reason: message } => {
                Told::Ended(message)
            }
            SignalingEvent::Description { .. }
            | SignalingEvent::Sealed { .. }
            | SignalingEvent::IceServers(_) => Told::Other,
        })
    }
}

fn entry(Joined { peer_id, peers, .. }: Joined) -> Entry {
    Entry { peer_id, peers }
}
