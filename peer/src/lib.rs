//! The line: joins a room, negotiates WebRTC with the peers in it and carries chat over data channels.
//!
//! [`Room::join`] gives a handle to say things with and one bounded receiver of [`Event`]s.
//! Everything that came from other people is [`Untrusted`].

mod access_token;
mod address_gate;
mod candidate_gate;
mod chat;
mod config;
mod connection;
mod endpoint;
mod error;
mod event;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod handshake_flight;
mod identity;
mod inspect;
mod link;
#[cfg(feature = "measure")]
pub mod measure;
mod mesh;
mod negotiation;
mod peer_id;
pub mod probe;
mod random;
mod rate;
mod room;
mod runtime;
mod sas;
mod sdp_gate;
mod seal;
mod signaling;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation;
mod source_filter;
mod stun_tls;
mod timeline;
mod turn_shim;
mod untrusted;

pub use access_token::AccessToken;
pub use config::{Config, ConnectPolicy, IceServer, IceTransportPolicy, IpPolicy};
pub use endpoint::{CaCertificate, ClientCertificate, NoCaCertificate, NoClientCertificate, SecretInClear};
pub use error::{InspectError, JoinError, SendError};
pub use event::{
    CandidateType, ConnectionState, DeliveryState, EndReason, Event, LeaveReason, Message, MessageId, Path,
    Peer, ProblemCode, SignalingState, TextKind,
};
pub use identity::{Identity, IdentityKey, InvalidIdentityKey, Judge, Judgement, Shown};
pub use inspect::{InspectConfig, Inspector, RoomChange, RoomCounters, RoomDetails, RoomPeer};
pub use peer_id::PeerId;
pub use room::{ConnectionReport, Departure, Recipients, Room, RoomInfo};
pub use sas::ShortString;
pub use seal::{Code, InvalidCode, Seal};
pub use timeline::{ConnectionStep, TimelineEntry};
pub use untrusted::Untrusted;
