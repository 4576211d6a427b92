//! From the contract's messages to our own types, and its errors to words. Protobuf ends here.
//!
//! Invariant: what comes out keeps the contract's limits, whatever the server does.

use std::time::SystemTime;

use patchcord_proto::{
    limits,
    v1::{
        self,
        signal_response::{self as response, rejected::Code},
    },
};

use super::{Joined, SignalingEvent};
use crate::{
    IceServer, LeaveReason, Peer, PeerId, Untrusted,
    endpoint::printable,
    negotiation::{Candidate, DescriptionKind},
};

/// More than any server knows.
const PERMISSIONS_MAX: usize = 32;

/// Each makes a connection gather, from each of our addresses.
const ICE_SERVERS_MAX: usize = 8;
/// Of all of them together.
const ICE_URLS_MAX: usize = 16;

pub(super) fn parse_joined(joined: response::Joined) -> Option<Joined> {
    Some(Joined {
        peer_id: PeerId::parse(&joined.peer_id)?,
        peers: joined.peers.into_iter().filter_map(parse_peer).collect(),
        ice_servers: parse_ice_servers(joined.ice_servers),
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
        display_name: Untrusted::new(start(&peer.display_name, limits::DISPLAY_NAME_BYTES_MAX)),
        joined_at: joined_at.unwrap_or(SystemTime::UNIX_EPOCH),
    })
}

/// As much of it as fits.
fn start(text: &str, bytes_max: usize) -> &str {
    let fits = (0..=text.len().min(bytes_max)).rev().find(|end| text.is_char_boundary(*end));
    &text[..fits.unwrap_or(0)]
}

fn parse_ice_servers(servers: Vec<v1::IceServer>) -> Vec<IceServer> {
    let mut urls_left = ICE_URLS_MAX;
    let urls: usize = servers.iter().map(|server| server.urls.len()).sum();
    if servers.len() > ICE_SERVERS_MAX || urls > ICE_URLS_MAX {
        tracing::warn!(servers = servers.len(), urls, "the server names more ICE servers than are used");
    }
    let servers = servers.into_iter().take(ICE_SERVERS_MAX).map(|mut server| {
        server.urls.truncate(urls_left);
        urls_left -= server.urls.len();
        IceServer { urls: server.urls, username: server.username, credential: server.credential }
    });
    servers.filter(|server| !server.urls.is_empty()).collect()
}

fn parse_description(from: &str, kind: DescriptionKind, sdp: String) -> Option<SignalingEvent> {
    let from = PeerId::parse(from)?;
    fits("a session description", sdp.len(), limits::SDP_BYTES_MAX).then_some(SignalingEvent::Description {
        from,
        kind,
        sdp,
    })
}

fn parse_candidate(candidate: response::Candidate) -> Option<SignalingEvent> {
    let bytes = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let all_fit = fits("a candidate", candidate.candidate.len(), limits::CANDIDATE_BYTES_MAX)
        && fits("a media id", bytes(&candidate.sdp_mid), limits::SDP_MID_BYTES_MAX)
        && fits(
            "a username fragment",
            bytes(&candidate.username_fragment),
            limits::USERNAME_FRAGMENT_BYTES_MAX,
        );
    let from = PeerId::parse(&candidate.from_peer_id).filter(|_| all_fit)?;
    let candidate = Candidate {
        candidate: candidate.candidate,
        sdp_mid: candidate.sdp_mid,
        sdp_m_line_index: candidate.sdp_m_line_index,
        username_fragment: candidate.username_fragment,
    };
    Some(SignalingEvent::Candidate { from, candidate })
}

/// What is too long the server should not have passed on; it is dropped here.
fn fits(what: &str, bytes: usize, bytes_max: usize) -> bool {
    if bytes > bytes_max {
        tracing::warn!(bytes, bytes_max, "the server passed on {what} that is too long");
    }
    bytes <= bytes_max
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
        Message::Offer(offer) => parse_description(&offer.from_peer_id, DescriptionKind::Offer, offer.sdp)?,
        Message::Answer(answer) => {
            parse_description(&answer.from_peer_id, DescriptionKind::Answer, answer.sdp)?
        }
        Message::Candidate(candidate) => parse_candidate(candidate)?,
        Message::Sealed(sealed) => {
            let from = PeerId::parse(&sealed.from_peer_id)?;
            let payload = sealed.payload;
            let all_fit = fits("a sealed payload", payload.len(), limits::SEALED_BYTES_MAX);
            all_fit.then_some(SignalingEvent::Sealed { from, payload })?
        }
        Message::IceServersUpdated(updated) => {
            SignalingEvent::IceServers(parse_ice_servers(updated.ice_servers))
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

    #[test]
    fn what_is_too_long_is_dropped_and_a_name_is_cut() {
        let id = "a".repeat(16);
        let passes = |message: response::Message| parse(message).is_some();
        let offer = |bytes| response::Offer { from_peer_id: id.clone(), sdp: "x".repeat(bytes) };
        let answer = |bytes| response::Answer { from_peer_id: id.clone(), sdp: "x".repeat(bytes) };
        let candidate = |candidate: usize, mid: usize, fragment: usize| response::Candidate {
            from_peer_id: id.clone(),
            candidate: "x".repeat(candidate),
            sdp_mid: Some("x".repeat(mid)),
            username_fragment: Some("x".repeat(fragment)),
            ..response::Candidate::default()
        };
        let sealed = |bytes| response::Sealed { from_peer_id: id.clone(), payload: vec![0; bytes].into() };
        for (more, expected) in [(0, true), (1, false)] {
            assert_eq!(passes(response::Message::Offer(offer(limits::SDP_BYTES_MAX + more))), expected);
            assert_eq!(passes(response::Message::Answer(answer(limits::SDP_BYTES_MAX + more))), expected);
            assert_eq!(passes(response::Message::Sealed(sealed(limits::SEALED_BYTES_MAX + more))), expected);
            for fields in [
                candidate(limits::CANDIDATE_BYTES_MAX + more, 1, 1),
                candidate(1, limits::SDP_MID_BYTES_MAX + more, 1),
                candidate(1, 1, limits::USERNAME_FRAGMENT_BYTES_MAX + more),
            ] {
                assert_eq!(passes(response::Message::Candidate(fields)), expected);
            }
        }
        let named = |name: &str| {
            let peer = v1::Peer { peer_id: id.clone(), display_name: name.into(), ..v1::Peer::default() };
            parse_peer(peer).unwrap().display_name
        };
        assert_eq!(named("ana").as_raw(), "ana");
        assert_eq!(named(&"ä".repeat(100)).as_raw(), "ä".repeat(limits::DISPLAY_NAME_BYTES_MAX / 2));
        assert_eq!(
            named(&format!("x{}", "ä".repeat(100))).as_raw().len(),
            limits::DISPLAY_NAME_BYTES_MAX - 1
        );
        assert!(parse_peer(v1::Peer { peer_id: "a".repeat(65), ..v1::Peer::default() }).is_none());
    }

    #[test]
    fn no_server_makes_a_connection_ask_more_than_a_few_ice_servers() {
        let servers = |count: usize, urls: usize| {
            let server =
                v1::IceServer { urls: vec!["stun:192.0.2.1".into(); urls], ..v1::IceServer::default() };
            parse_ice_servers(vec![server; count])
        };
        let urls =
            |servers: Vec<IceServer>| servers.iter().map(|server| server.urls.len()).collect::<Vec<_>>();
        assert_eq!(urls(servers(3, 2)), [2, 2, 2]);
        assert_eq!(urls(servers(20, 1)), [1; ICE_SERVERS_MAX]);
        assert_eq!(urls(servers(20, 3)), [3, 3, 3, 3, 3, 1]);
        assert_eq!(urls(servers(1, 1000)), [ICE_URLS_MAX]);
    }
}
