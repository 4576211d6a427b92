//! From the contract's messages to our own types, and its errors to words. Protobuf ends here.

use std::time::SystemTime;

use patchcord_proto::v1::{
    self,
    signal_response::{self as response, rejected::Code},
};

use super::{Joined, SignalingEvent};
use crate::{
    IceServer, LeaveReason, Peer, PeerId, Untrusted,
    endpoint::printable,
    negotiation::{Candidate, DescriptionKind},
};

/// More than any server knows.
const PERMISSIONS_MAX: usize = 32;

pub(super) fn parse_joined(joined: response::Joined) -> Option<Joined> {
    Some(Joined {
        peer_id: PeerId::parse(&joined.peer_id)?,
        peers: joined.peers.into_iter().filter_map(parse_peer).collect(),
        ice_servers: joined.ice_servers.into_iter().map(parse_ice_server).collect(),
        resume_token: joined.resume_token,
        server: printable(&joined.server),
        permissions: joined.permissions.iter().take(PERMISSIONS_MAX).map(|name| printable(name)).collect(),
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
        Message::Sealed(sealed) => {
            SignalingEvent::Sealed { from: PeerId::parse(&sealed.from_peer_id)?, payload: sealed.payload }
        }
        Message::IceServersUpdated(updated) => {
            SignalingEvent::IceServers(updated.ice_servers.into_iter().map(parse_ice_server).collect())
        }
        Message::Rejected(_)
        | Message::GoAway(_)
        | Message::Joined(_)
        | Message::Resumed(_)
        | Message::Pong(_) => return None,
    })
}

/// A request that was not carried out; `addressee` is whom it was for.
pub(super) fn parse_rejected(
    rejected: &response::Rejected,
    addressee: impl FnOnce(u64) -> Option<PeerId>,
) -> SignalingEvent {
    let again = || {
        let passes = matches!(rejected.code(), Code::PeerBusy | Code::RateLimited) && rejected.retryable;
        let retry_after = rejected.retry_after.and_then(|after| after.try_into().ok()).unwrap_or_default();
        passes.then(|| addressee(rejected.request_seq)).flatten().map(|peer_id| (peer_id, retry_after))
    };
    SignalingEvent::Rejected { again: again(), code: rejected.code(), message: printable(&rejected.message) }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn again(code: Code, request_seq: u64, retryable: bool) -> Option<(PeerId, Duration)> {
        let rejected = response::Rejected {
            request_seq,
            code: code.into(),
            retryable,
            retry_after: Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }),
            ..response::Rejected::default()
        };
        match parse_rejected(&rejected, |seq| (seq == 7).then(|| PeerId::parse("ana")).flatten()) {
            SignalingEvent::Rejected { again, .. } => again,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_was_for_a_peer_and_can_succeed_later_is_to_be_said_again() {
        let wait = Some((PeerId::parse("ana").unwrap(), Duration::from_millis(1500)));
        assert_eq!(again(Code::PeerBusy, 7, true), wait);
        assert_eq!(again(Code::RateLimited, 7, true), wait);
        for (code, seq, retryable) in [
            (Code::PeerBusy, 7, false),
            (Code::PeerBusy, 8, true),
            (Code::NoSuchPeer, 7, true),
            (Code::Draining, 7, true),
        ] {
            assert_eq!(again(code, seq, retryable), None, "{code:?} {seq} {retryable}");
        }
    }
}
