//! What a room tells its user. Texts and names are [`Untrusted`].

use std::time::{Duration, SystemTime};

use crate::{Judgement, PeerId, ShortString, Shown, Untrusted};

/// One thing that happened. Events of one peer come in order; [`Event::Ended`] is the last.
///
/// A new name travels twice, over the channel and through the server. A text never comes before the name it
/// was written under; a text written before a change of name may come after it.
///
/// The receiver is bounded: a user that does not read holds up its own room and, over the data
/// channels, those that write to it; nothing is lost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The stream to the server was lost or is back. Open channels are not touched by it.
    Signaling(SignalingState),
    /// The server had forgotten us, by a restart or because we were away for too long, and knows us by this
    /// id now. Peers whose channels are open keep the ids under which they were told.
    Rejoined {
        /// Our own id.
        peer_id: PeerId,
    },
    /// Somebody joined. Those that were there before are in [`crate::RoomInfo::peers`].
    PeerJoined(Peer),
    /// A peer's display name or presence changed. While its channel is open, what the server says of its name
    /// may be older than what it says itself.
    PeerUpdated(Peer),
    /// A peer left for good.
    PeerLeft {
        /// Who.
        peer_id: PeerId,
        /// Why.
        reason: LeaveReason,
    },
    /// In a sealed room: a peer proved that it knows the code, and bound its certificate to that. Told again for each
    /// exchange; users who want to can compare the string.
    Verified {
        /// Who.
        peer_id: PeerId,
        /// The same on both sides.
        string: ShortString,
    },
    /// In an open room: what both users see alike when nobody is between them. Nothing is proved before they have
    /// compared it, by voice or any other way that the server does not carry. Told for each channel.
    ShortString {
        /// With whom.
        peer_id: PeerId,
        /// To be compared.
        string: ShortString,
        /// The peer shows another certificate than on its channel before: what was compared then says nothing any more. With
        /// the same one it still holds.
        changed: bool,
    },
    /// What a peer showed and proved on a channel that is about to open, and what the program made of it; before
    /// [`Event::ChannelOpen`], and again when the peer takes another name or the program was asked again.
    Identity {
        /// Shown by whom, and what.
        shown: Shown,
        /// While it is [`Judgement::Held`] no text of the peer is told and none sent to it; both wait.
        judgement: Judgement,
    },
    /// In a sealed room: how many wrong codes were tried on this client, to be kept with the code. It is used up at 16.
    GuessesUsed {
        /// Of this code and client, so far.
        used: u32,
    },
    /// A connection changed its state or its path, or its round trip moved by a quarter.
    Connection {
        /// With whom.
        peer_id: PeerId,
        /// Now.
        state: ConnectionState,
        /// What it runs over, once known.
        path: Option<Path>,
    },
    /// The chat channel with a peer is open in both directions.
    ChannelOpen {
        /// With whom.
        peer_id: PeerId,
        /// As the peer said on the channel.
        display_name: Untrusted,
    },
    /// The chat channel is gone. What was not delivered stays queued while the peer is in the room.
    ChannelClosed {
        /// With whom.
        peer_id: PeerId,
    },
    /// A peer wrote.
    Message(Message),
    /// One of our own texts went a step further towards one of its receivers.
    Receipt {
        /// Which.
        message_id: MessageId,
        /// Towards whom.
        peer_id: PeerId,
        /// How far.
        state: DeliveryState,
    },
    /// A peer writes, or stopped.
    Typing {
        /// Who.
        peer_id: PeerId,
        /// Whether it does.
        active: bool,
    },
    /// Something failed that the user may want to know; the room goes on.
    Problem {
        /// For programs.
        code: ProblemCode,
        /// With whom, if with one peer.
        peer_id: Option<PeerId>,
        /// For people: what failed and what to do. Free of control characters.
        message: String,
    },
    /// The room is over; no event follows.
    Ended(EndReason),
}

/// A member of the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Made by the server.
    pub id: PeerId,
    /// As the peer gave it; not unique.
    pub display_name: Untrusted,
    /// By the server's clock.
    pub joined_at: SystemTime,
    /// Whether its signaling stream is open.
    pub attached: bool,
}

/// Whether the server can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalingState {
    /// Requests reach the server.
    Connected,
    /// The stream is lost; chats go on, newcomers cannot be seen. Another attempt follows by itself.
    Away {
        /// What the network or the server said. Free of control characters.
        reason: String,
    },
    /// An attempt to come back has begun.
    Resuming,
    /// The server does not take us back; chats go on until their connections end.
    Gone {
        /// What the server said. Free of control characters.
        reason: String,
    },
}

/// Why a peer left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveReason {
    /// It said so.
    Left,
    /// Its stream broke.
    Disconnected,
    /// It did not read what the server sent.
    TooSlow,
    /// An operator removed it.
    Removed,
    /// An operator closed the room.
    RoomClosed,
    /// The server is shutting down.
    ServerShutdown,
    /// It sent what is no request, or too many.
    RulesBroken,
    /// For a reason that this version does not know.
    Unknown,
}

/// How far a connection is: RTCPeerConnectionState of W3C WebRTC 1.0 section 4.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Nobody has begun.
    New,
    /// Negotiating or checking candidates.
    Connecting,
    /// Packets flow.
    Connected,
    /// Packets stopped flowing; it may come back by itself, and is restarted or replaced if it does not.
    Disconnected,
    /// Given up.
    Failed,
    /// Ended on purpose.
    Closed,
}

/// What a connection runs over: its selected candidate pair (RFC 8445).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Path {
    /// Our end.
    pub local: CandidateType,
    /// Their end.
    pub remote: CandidateType,
    /// The last round trip that was measured.
    pub round_trip: Option<Duration>,
}

impl Path {
    /// Whether a TURN server carries the packets.
    pub fn is_relayed(&self) -> bool {
        self.local == CandidateType::Relay || self.remote == CandidateType::Relay
    }
}

/// Where a candidate came from: RTCIceCandidateType of W3C WebRTC 1.0 section 4.8.1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidateType {
    /// An address of the host itself.
    Host,
    /// Server-reflexive: what a STUN server saw.
    Srflx,
    /// Peer-reflexive: what the peer saw.
    Prflx,
    /// An address of a TURN server.
    Relay,
}

impl CandidateType {
    /// As in candidate attributes (RFC 8839 section 5.1).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Srflx => "srflx",
            Self::Prflx => "prflx",
            Self::Relay => "relay",
        }
    }
}

/// Names one of our own texts, the same for all its receivers. Counts from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub u64);

/// A text from a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The writer's own number for it; unique together with the peer id.
    pub id: MessageId,
    /// Who wrote.
    pub peer_id: PeerId,
    /// What.
    pub text: Untrusted,
    /// How to show it.
    pub kind: TextKind,
    /// Whether it went to us alone.
    pub direct: bool,
    /// By the writer's clock.
    pub sent_at: SystemTime,
}

/// How to show a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TextKind {
    /// Said.
    #[default]
    Plain,
    /// Done: `/me waves`.
    Action,
}

/// How far a text is on its way to one receiver. Only ever rises, but for a text that is sent again on
/// a new channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeliveryState {
    /// Waits for a channel.
    Queued,
    /// Handed to the channel.
    Sent,
    /// The receiver's program has it.
    Delivered,
    /// The receiver left before it was delivered.
    Failed,
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemCode {
    /// A connection did not open in [`crate::Config::connect_timeout`].
    ConnectTimeout,
    /// A connection could not be opened, or was lost and nothing brought it back.
    ConnectionFailed,
    /// A STUN or TURN server cannot be used from here while a connection waits for one; told by programs that look into
    /// it with [`crate::probe`].
    IceServer,
    /// The room has more peers than [`crate::Config::mesh_peers_max`]; this one is not connected.
    MeshFull,
    /// A peer broke the rules of negotiation or chat; its connection was closed.
    PeerMisbehaved,
    /// The server rejected a request.
    Rejected,
    /// A peer knows another code than we do, or none.
    OtherCode,
    /// Who a peer is cannot be kept for the next time; told by programs that remember identities.
    NotRemembered,
}

impl ProblemCode {
    /// Its name in `--json` output and logs: never changed once released.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectionFailed => "connection_failed",
            Self::IceServer => "ice_server",
            Self::MeshFull => "mesh_full",
            Self::PeerMisbehaved => "peer_misbehaved",
            Self::Rejected => "rejected",
            Self::OtherCode => "other_code",
            Self::NotRemembered => "not_remembered",
        }
    }
}

/// Why a room is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EndReason {
    /// [`crate::Room::leave`] was called, or the last handle dropped.
    #[default]
    Left,
    /// An operator removed us or closed the room. The message is for people and free of control characters.
    Removed {
        /// From the operator.
        message: String,
    },
}
