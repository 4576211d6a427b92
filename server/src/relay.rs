//! From what a peer asks to be passed on to what its addressee reads. Sizes are checked here, `from` is
//! stamped here, and the message is encoded here, once.

use patchcord_proto::{
    limits,
    v1::{
        signal_request::{self, Message as Asked},
        signal_response::{self, Message as Told},
    },
};
use tokio::time::Instant;

use crate::{frame::Frame, peer_id::PeerId, refusal::Refusal, room::RelayKind, store::Relay};

/// Makes what the addressee reads; `None` when the request is not for another peer.
pub fn relay(from: PeerId, asked: Asked, decoded_at: Instant) -> Option<Result<Relay, Refusal>> {
    let from_peer_id = from.to_string();
    let (to, kind, told) = match asked {
        Asked::Offer(offer) => (offer.to_peer_id.clone(), RelayKind::Offer, offer_told(from_peer_id, offer)),
        Asked::Answer(answer) => {
            (answer.to_peer_id.clone(), RelayKind::Answer, answer_told(from_peer_id, answer))
        }
        Asked::Candidate(candidate) => {
            (candidate.to_peer_id.clone(), RelayKind::Candidate, candidate_told(from_peer_id, candidate))
        }
        Asked::Sealed(sealed) => {
            (sealed.to_peer_id.clone(), RelayKind::Sealed, sealed_told(from_peer_id, sealed))
        }
        _ => return None,
    };
    Some(told.and_then(|told| {
        let to = PeerId::parse(&to).ok_or_else(Refusal::no_such_peer)?;
        Ok(Relay { to, kind, frame: Frame::relayed(from, told, decoded_at) })
    }))
}

fn offer_told(from_peer_id: String, offer: signal_request::Offer) -> Result<Told, Refusal> {
    check_size("sdp", offer.sdp.len(), 1, limits::SDP_BYTES_MAX)?;
    Ok(Told::Offer(signal_response::Offer { from_peer_id, sdp: offer.sdp }))
}

fn answer_told(from_peer_id: String, answer: signal_request::Answer) -> Result<Told, Refusal> {
    check_size("sdp", answer.sdp.len(), 1, limits::SDP_BYTES_MAX)?;
    Ok(Told::Answer(signal_response::Answer { from_peer_id, sdp: answer.sdp }))
}

fn candidate_told(from_peer_id: String, asked: signal_request::Candidate) -> Result<Told, Refusal> {
    check_size("candidate", asked.candidate.len(), 0, limits::CANDIDATE_BYTES_MAX)?;
    check_tag("sdp_mid", asked.sdp_mid.as_deref(), limits::SDP_MID_BYTES_MAX)?;
    check_tag("username_fragment", asked.username_fragment.as_deref(), limits::USERNAME_FRAGMENT_BYTES_MAX)?;
    Ok(Told::Candidate(signal_response::Candidate {
        from_peer_id,
        candidate: asked.candidate,
        sdp_mid: asked.sdp_mid,
        sdp_m_line_index: asked.sdp_m_line_index,
        username_fragment: asked.username_fragment,
    }))
}

fn sealed_told(from_peer_id: String, sealed: signal_request::Sealed) -> Result<Told, Refusal> {
    check_size("payload", sealed.payload.len(), 1, limits::SEALED_BYTES_MAX)?;
    Ok(Told::Sealed(signal_response::Sealed { from_peer_id, payload: sealed.payload }))
}

fn check_size(field: &str, bytes: usize, bytes_min: usize, bytes_max: usize) -> Result<(), Refusal> {
    if bytes < bytes_min {
        Err(Refusal::invalid_argument(format!("{field} is empty")))
    } else if bytes > bytes_max {
        Err(Refusal::too_large(field, bytes, bytes_max))
    } else {
        Ok(())
    }
}

/// What says where a candidate belongs; only the candidate itself can be too large (`CODE_TOO_LARGE`).
fn check_tag(field: &str, tag: Option<&str>, bytes_max: usize) -> Result<(), Refusal> {
    match tag.map_or(0, str::len) {
        bytes if bytes > bytes_max => Err(Refusal::too_long(field, bytes, bytes_max)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use patchcord_proto::v1::{SignalResponse, signal_response::rejected::Code};
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn from() -> PeerId {
        PeerId::from_bits([1; 10])
    }

    fn offer(to: &str, sdp: String) -> Asked {
        Asked::Offer(signal_request::Offer { to_peer_id: to.to_owned(), sdp })
    }

    fn code(asked: Asked) -> Option<Code> {
        relay(from(), asked, Instant::now()).unwrap().err().map(|refusal| refusal.code)
    }

    #[test]
    fn sizes_are_those_of_the_contract() {
        let to = PeerId::from_bits([2; 10]).to_string();
        assert_eq!(code(offer(&to, "x".repeat(16 * 1024))), None);
        assert_eq!(code(offer(&to, "x".repeat(16 * 1024 + 1))), Some(Code::TooLarge));
        assert_eq!(code(offer(&to, String::new())), Some(Code::InvalidArgument));
        let candidate = |candidate: usize, mid: usize, fragment: usize| {
            Asked::Candidate(signal_request::Candidate {
                to_peer_id: to.clone(),
                candidate: "x".repeat(candidate),
                sdp_mid: Some("x".repeat(mid)),
                sdp_m_line_index: Some(0),
                username_fragment: Some("x".repeat(fragment)),
            })
        };
        assert_eq!(code(candidate(0, 0, 0)), None);
        assert_eq!(code(candidate(1024, 64, 256)), None);
        assert_eq!(code(candidate(1025, 0, 0)), Some(Code::TooLarge));
        assert_eq!(code(candidate(0, 65, 0)), Some(Code::InvalidArgument));
        assert_eq!(code(candidate(0, 0, 257)), Some(Code::InvalidArgument));
        let sealed = |payload: usize| {
            Asked::Sealed(signal_request::Sealed { to_peer_id: to.clone(), payload: vec![0; payload].into() })
        };
        assert_eq!(code(sealed(20 * 1024)), None);
        assert_eq!(code(sealed(20 * 1024 + 1)), Some(Code::TooLarge));
        assert_eq!(code(sealed(0)), Some(Code::InvalidArgument));
    }

    #[test]
    fn an_id_that_nobody_has_is_no_peer() {
        for to in ["", "a", "ffffffffffffffff1", "../../etc/passwd"] {
            assert_eq!(code(offer(to, "v=0".to_owned())), Some(Code::NoSuchPeer), "{to:?}");
        }
    }

    #[test]
    fn what_is_for_the_server_is_not_relayed() {
        let leave = Asked::Leave(signal_request::Leave {});
        assert!(relay(from(), leave, Instant::now()).is_none());
    }

    proptest! {
        #[test]
        fn candidates_arrive_field_by_field_with_the_true_sender(
            candidate in ".{0,100}", sdp_mid: Option<u8>, sdp_m_line_index: Option<u32>, fragment: Option<u8>,
        ) {
            let asked = signal_request::Candidate {
                to_peer_id: PeerId::from_bits([2; 10]).to_string(),
                candidate,
                sdp_mid: sdp_mid.map(|mid| mid.to_string()),
                sdp_m_line_index,
                username_fragment: fragment.map(|fragment| fragment.to_string()),
            };
            let relay = relay(from(), Asked::Candidate(asked.clone()), Instant::now()).unwrap().unwrap();
            let told = SignalResponse::decode(relay.frame.body).unwrap().message.unwrap();
            prop_assert_eq!(told, Told::Candidate(signal_response::Candidate {
                from_peer_id: from().to_string(),
                candidate: asked.candidate,
                sdp_mid: asked.sdp_mid,
                sdp_m_line_index: asked.sdp_m_line_index,
                username_fragment: asked.username_fragment,
            }));
        }
    }
}
