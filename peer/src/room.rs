//! A joined room: the handle, and the one task that owns its mesh of connections.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::{Config, ConnectionState, Event, JoinError, MessageId, Path, Peer, PeerId, SendError, TextKind};

/// A handle to a joined room. Clones are handles to the same room; it is left when the last one drops,
/// but only [`Room::leave`] delivers first what is queued.
#[derive(Clone, Debug)]
pub struct Room {
    info: std::sync::Arc<RoomInfo>,
}

/// What the server said when the room was joined.
#[derive(Clone, Debug)]
pub struct RoomInfo {
    /// Our own id.
    pub peer_id: PeerId,
    /// The room's name.
    pub room: String,
    /// Our own display name at that time.
    pub display_name: String,
    /// Who was there already, in the order of joining.
    pub peers: Vec<Peer>,
    /// Program and version of the server, free of control characters.
    pub server: String,
}

/// For whom a text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// Everybody who is in the room now.
    Everybody,
    /// One peer.
    Peer(PeerId),
}

/// One connection, for a network view.
#[derive(Clone, Debug)]
pub struct ConnectionReport {
    /// With whom.
    pub peer_id: PeerId,
    /// Now.
    pub state: ConnectionState,
    /// Since it last changed.
    pub since: Duration,
    /// What it runs over, once known.
    pub path: Option<Path>,
    /// From its first step to the open channel, once open.
    pub opened_in: Option<Duration>,
    /// Candidates of our own that were sent.
    pub local_candidates: usize,
    /// Candidates that came from the peer and were taken.
    pub remote_candidates: usize,
    /// Texts that are not yet delivered.
    pub undelivered: usize,
}

/// How leaving went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Departure {
    /// Texts that could not be delivered in [`Config::leave_timeout`].
    pub undelivered: Vec<(MessageId, PeerId)>,
}

impl Room {
    /// Joins `config.room` and waits until the server says who is there.
    ///
    /// # Errors
    /// When the server cannot be reached, does not answer in time, or refuses.
    pub async fn join(_config: Config) -> Result<(Self, mpsc::Receiver<Event>), JoinError> {
        unimplemented!()
    }

    /// What the server said when the room was joined.
    pub fn info(&self) -> &RoomInfo {
        &self.info
    }

    /// Takes a text for delivery; [`Event::Receipt`]s tell how far it is.
    ///
    /// # Errors
    /// When it cannot be taken; then nothing was queued for anybody.
    pub async fn send(
        &self,
        _to: Recipients,
        _kind: TextKind,
        _text: impl Into<String>,
    ) -> Result<MessageId, SendError> {
        unimplemented!()
    }

    /// Begins to connect with a peer: the explicit "start chat" of [`crate::ConnectPolicy::Manual`], and a new
    /// attempt after a failure. Does nothing for a connection that is open or opening.
    ///
    /// # Errors
    /// [`SendError::NoSuchPeer`] when the peer is not in the room, [`SendError::Ended`] when the room is over.
    pub async fn connect(&self, _peer_id: PeerId) -> Result<(), SendError> {
        unimplemented!()
    }

    /// Changes how we are shown; [`Event::PeerUpdated`] tells the others.
    ///
    /// # Errors
    /// [`SendError::Empty`] or [`SendError::TooLong`] for a name outside the limits, [`SendError::Ended`].
    pub async fn set_display_name(&self, _display_name: impl Into<String>) -> Result<(), SendError> {
        unimplemented!()
    }

    /// Tells the others that we write, or stopped. Not more often than every 3 seconds; cheap to call.
    pub fn set_typing(&self, _active: bool) {
        unimplemented!()
    }

    /// The connections as they are now, in the order of the peers' joining.
    pub async fn connections(&self) -> Vec<ConnectionReport> {
        unimplemented!()
    }

    /// Delivers what is queued, says goodbye on every channel and to the server, and ends the room.
    pub async fn leave(self) -> Departure {
        unimplemented!()
    }
}
