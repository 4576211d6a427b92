//! From the contract's messages to our own types, and its errors to words. Protobuf ends here.

use std::time::SystemTime;

use patchcord_proto::v1::{self, signal_response as response};

use super::{Joined, SignalingEvent};
use crate::{
    IceServer, LeaveReason, Peer, PeerId, Untrusted,
    endpoint::printable,
    negotiation::{Candidate, DescriptionKind},
};

pub(super) fn parse_joined(joined: response::Joined) -> Option<Joined> {
    Some(Joined {
        peer_id: PeerId::parse(&joined.peer_id)?,
        peers: joined.peers.into_iter().filter_map(parse_peer).collect(),
        ice_servers: joined.ice_servers.into_iter().map(parse_ice_server).collect(),
        resume_token: joined.resume_token,
        server: printable(&joined.server),
    })
}

pub(super) fn parse_peer(peer: v1::Peer) -> Option<Peer> {
    let joined_at = peer.joined_at.and_then(|at| SystemTime::try_from(at).ok());
    Some(Peer {
        id: PeerId::parse(&peer.peer_id)?,
        attached: peer.state() != v1::PeerState::Detached,
        display_name: Untrusted::new(peer.display_name),
        joined_at: joined_at.unwrap_or(SystemTime::UNIX_EPOCH),
    })
}

fn parse_ice_server(server: v1::IceServer) -> IceServer {
    IceServer { urls: server.urls, username: server.username, credential: server.credential }
}

/// What a response means to a room; none for one that it need not know or that a later version sent.
pub(super) fn parse(message: response::Message) -> Option<SignalingEvent> {
    use response::Message;
    Some(match message {
        Message::PeerJoined(joined) => SignalingEvent::PeerJoined(parse_peer(joined.peer?)?),
        Message::PeerUpdated(updated) => SignalingEvent::PeerUpdated(parse_peer(updated.peer?)?),
        Message::PeerLeft(left) => SignalingEvent::PeerLeft {
            reason: leave_reason(left.reason()),
            peer_id: PeerId::parse(&left.peer_id)?,
        },
        Message::Offer(offer) => SignalingEvent::Description {
            from: PeerId::parse(&offer.from_peer_id)?,
            kind: DescriptionKind::Offer,
            sdp: offer.sdp,
        },
        Message::Answer(answer) => SignalingEvent::Description {
            from: PeerId::parse(&answer.from_peer_id)?,
            kind: DescriptionKind::Answer,
            sdp: answer.sdp,
        },
        Message::Candidate(candidate) => SignalingEvent::Candidate {
            from: PeerId::parse(&candidate.from_peer_id)?,
            candidate: Candidate {
                candidate: candidate.candidate,
                sdp_mid: candidate.sdp_mid,
                sdp_m_line_index: candidate.sdp_m_line_index,
                username_fragment: candidate.username_fragment,
            },
        },
        Message::Rejected(rejected) => {
            SignalingEvent::Rejected { code: rejected.code(), message: printable(&rejected.message) }
        }
        Message::IceServersUpdated(updated) => {
            SignalingEvent::IceServers(updated.ice_servers.into_iter().map(parse_ice_server).collect())
        }
        Message::GoAway(_)
        | Message::Joined(_)
        | Message::Resumed(_)
        | Message::Sealed(_)
        | Message::Pong(_) => return None,
    })
}

pub(crate) fn leave_reason(reason: v1::LeaveReason) -> LeaveReason {
    match reason {
        v1::LeaveReason::Left => LeaveReason::Left,
        v1::LeaveReason::Disconnected => LeaveReason::Disconnected,
        v1::LeaveReason::TooSlow => LeaveReason::TooSlow,
        v1::LeaveReason::Removed => LeaveReason::Removed,
        v1::LeaveReason::RoomClosed => LeaveReason::RoomClosed,
        v1::LeaveReason::ServerShutdown => LeaveReason::ServerShutdown,
        v1::LeaveReason::RulesBroken => LeaveReason::RulesBroken,
        v1::LeaveReason::Unspecified => LeaveReason::Unknown,
    }
}

/// A status for people.
pub(crate) fn describe(status: &tonic::Status) -> String {
    // Made here by the transport, not sent by the server.
    if std::error::Error::source(status).is_some() {
        return "the connection to the server was lost".into();
    }
    let message = match status.message() {
        "" => status.code().description(),
        message => message,
    };
    printable(message)
}
