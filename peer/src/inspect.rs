//! Looking into the rooms of a server through its admin door, without a gRPC type in sight.

use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;

use crate::{InspectError, LeaveReason, PeerId, Untrusted};

/// A connection to the admin door of a server.
#[derive(Clone, Debug)]
pub struct Inspector {}

/// A room as an operator sees it.
#[derive(Clone, Debug)]
pub struct RoomDetails {
    /// Its name.
    pub name: Untrusted,
    /// When the first peer joined.
    pub created_at: SystemTime,
    /// How long ago that was, by the server's clock.
    pub age: Duration,
    /// In the order of joining.
    pub peers: Vec<RoomPeer>,
    /// What went through it.
    pub counters: RoomCounters,
}

/// A member of a room as an operator sees it.
#[derive(Clone, Debug)]
pub struct RoomPeer {
    /// Its id.
    pub id: PeerId,
    /// As the peer gave it.
    pub display_name: Untrusted,
    /// By the server's clock.
    pub joined_at: SystemTime,
    /// Where its stream comes from.
    pub address: Untrusted,
    /// As the peer gave it.
    pub user_agent: Untrusted,
    /// Whether its stream is open.
    pub attached: bool,
}

/// What went through a room since it appeared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomCounters {
    /// Offers relayed.
    pub offers: u64,
    /// Answers relayed.
    pub answers: u64,
    /// Candidates relayed.
    pub candidates: u64,
    /// Sealed payloads relayed.
    pub sealed: u64,
    /// Pairs of which one offered to the other.
    pub negotiations_begun: u64,
    /// Those in which an answer came back.
    pub negotiations_answered: u64,
}

/// What changed.
#[derive(Clone, Debug)]
pub enum RoomChange {
    /// A room is there.
    Opened(RoomDetails),
    /// All rooms that were there at the start have been told.
    Synced,
    /// A peer joined, or its name or state changed.
    Peer {
        /// The room.
        room: Untrusted,
        /// The peer as it is now.
        peer: RoomPeer,
    },
    /// A peer left.
    Left {
        /// The room.
        room: Untrusted,
        /// Who.
        peer_id: PeerId,
        /// Why.
        reason: LeaveReason,
    },
    /// Counters moved.
    Activity {
        /// The room.
        room: Untrusted,
        /// As they are now.
        counters: RoomCounters,
    },
    /// A room is gone.
    Closed {
        /// The room.
        room: Untrusted,
    },
}

impl Inspector {
    /// Connects to the admin door at `url`.
    ///
    /// # Errors
    /// When the url does not parse or nobody answers there.
    pub async fn connect(_url: &str) -> Result<Self, InspectError> {
        unimplemented!()
    }

    /// All rooms whose name begins with `name_prefix`, in order of their names.
    ///
    /// # Errors
    /// When the server refuses or breaks off.
    pub async fn rooms(&mut self, _name_prefix: &str) -> Result<Vec<RoomDetails>, InspectError> {
        unimplemented!()
    }

    /// The rooms, then what changes, until the receiver is dropped or an error ends it.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn watch(
        &mut self,
        _name_prefix: &str,
    ) -> Result<mpsc::Receiver<Result<RoomChange, InspectError>>, InspectError> {
        unimplemented!()
    }
}
