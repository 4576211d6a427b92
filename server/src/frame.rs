//! Responses as they wait and travel: the body is encoded once, whoever reads it; `seq` and `ack` are the
//! receiver's own and are put before it when it leaves (fields of a protobuf message concatenate).

use std::time::{Duration, SystemTime};

use bytes::{BufMut, Bytes};
use patchcord_proto::v1::{
    Peer, PeerState, SignalResponse,
    signal_response::{self, IceServersUpdated, Message, PeerJoined, PeerLeft, PeerUpdated, Pong, Rejected},
};
use prost::{
    Message as _,
    encoding::{encode_varint, encoded_len_varint},
};
use tokio::time::Instant;

use crate::{peer_id::PeerId, room::Member};

const SEQ_TAG: u8 = 1 << 3;
const ACK_TAG: u8 = 2 << 3;

/// A response without `seq` and `ack`.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The encoded `oneof message`; empty in a bare acknowledgement.
    pub body: Bytes,
    /// Whether it is part of the session and gets a number.
    pub numbered: bool,
    /// When the request that it relays was decoded.
    pub relayed_at: Option<Instant>,
    /// What it is about.
    pub about: About,
}

/// What a response is about, so that an outbox can leave out what was overtaken unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// An answer, or the beginning or end of a session.
    Session,
    /// ICE servers, in place of all earlier ones.
    IceServers,
    /// What this peer sends.
    From(PeerId),
    /// What was sent to this peer did not reach it.
    Refused(PeerId),
    /// This peer came.
    Came(PeerId),
    /// A peer changed.
    Changed {
        /// Which.
        peer_id: PeerId,
        /// The body that tells that it came, as it is now.
        came: Bytes,
    },
    /// This peer left.
    Left(PeerId),
}

/// A response as it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// 0 when it has no number.
    pub seq: u64,
    /// The last request that was carried out or rejected; 0 when there was none.
    pub ack: u64,
    /// The encoded `oneof message`.
    pub body: Bytes,
    /// As in the frame.
    pub relayed_at: Option<Instant>,
}

impl Frame {
    /// A response that is part of the session.
    pub fn numbered(message: Message) -> Self {
        Self { body: encode(message), numbered: true, relayed_at: None, about: About::Session }
    }

    fn news(message: Message, about: About) -> Self {
        Self { about, ..Self::numbered(message) }
    }

    /// A response that is not.
    pub fn unnumbered(message: Message) -> Self {
        Self { numbered: false, ..Self::numbered(message) }
    }

    /// What one peer sends another.
    pub fn relayed(from: PeerId, message: Message, relayed_at: Instant) -> Self {
        Self { relayed_at: Some(relayed_at), ..Self::news(message, About::From(from)) }
    }

    /// New ICE servers.
    pub fn ice_servers_updated(updated: IceServersUpdated) -> Self {
        Self::news(Message::IceServersUpdated(updated), About::IceServers)
    }

    /// Says nothing but `ack`.
    pub fn bare_ack() -> Self {
        Self { body: Bytes::new(), numbered: false, relayed_at: None, about: About::Session }
    }

    /// Somebody came.
    pub fn peer_joined(member: &Member) -> Self {
        let joined = PeerJoined { peer: Some(peer(member)) };
        Self::news(Message::PeerJoined(joined), About::Came(member.peer_id))
    }

    /// Somebody changed.
    pub fn peer_updated(member: &Member) -> Self {
        let updated = PeerUpdated { peer: Some(peer(member)) };
        let about = About::Changed { peer_id: member.peer_id, came: Self::peer_joined(member).body };
        Self::news(Message::PeerUpdated(updated), about)
    }

    /// Somebody left.
    pub fn peer_left(peer_id: PeerId, reason: patchcord_proto::v1::LeaveReason) -> Self {
        let left = PeerLeft { peer_id: peer_id.to_string(), reason: reason.into() };
        Self::news(Message::PeerLeft(left), About::Left(peer_id))
    }

    /// A request was refused; before a session there is nothing to number it in.
    pub fn rejected(rejected: Rejected) -> Self {
        Self::numbered(Message::Rejected(rejected))
    }

    /// Answer to Ping.
    pub fn pong(nonce: u64) -> Self {
        Self::unnumbered(Message::Pong(Pong { nonce }))
    }

    /// What it counts for in an outbox: the body and the most that is put before it.
    pub fn cost_bytes(&self) -> usize {
        self.body.len() + 22
    }
}

impl About {
    /// The other peer that it is about, if there is one.
    pub fn peer_id(&self) -> Option<PeerId> {
        match self {
            Self::Session | Self::IceServers => None,
            Self::From(peer_id) | Self::Refused(peer_id) | Self::Came(peer_id) | Self::Left(peer_id) => {
                Some(*peer_id)
            }
            Self::Changed { peer_id, .. } => Some(*peer_id),
        }
    }

    /// The peer that it says has left.
    pub fn left(&self) -> Option<PeerId> {
        match self {
            Self::Left(peer_id) => Some(*peer_id),
            _ => None,
        }
    }

    /// The peer whose negotiation suffers if this is lost. Of who came and left a roster tells.
    pub fn concerns(&self) -> Option<PeerId> {
        match self {
            Self::From(peer_id) | Self::Refused(peer_id) => Some(*peer_id),
            _ => None,
        }
    }

    /// Whether it counts for what may wait. Who came, changed and left is bounded otherwise.
    pub fn takes_room(&self) -> bool {
        matches!(self, Self::Session | Self::IceServers | Self::From(_) | Self::Refused(_))
    }
}

impl Outgoing {
    /// Bytes of the whole response.
    pub fn encoded_len(&self) -> usize {
        field_len(self.seq) + field_len(self.ack) + self.body.len()
    }

    /// Writes the whole response.
    pub fn encode(&self, buffer: &mut impl BufMut) {
        for (tag, value) in [(SEQ_TAG, self.seq), (ACK_TAG, self.ack)] {
            if value != 0 {
                buffer.put_u8(tag);
                encode_varint(value, buffer);
            }
        }
        buffer.put_slice(&self.body);
    }
}

fn field_len(value: u64) -> usize {
    if value == 0 { 0 } else { 1 + encoded_len_varint(value) }
}

fn encode(message: Message) -> Bytes {
    SignalResponse { seq: 0, ack: 0, message: Some(message) }.encode_to_vec().into()
}

/// A member as other members see it.
pub fn peer(member: &Member) -> Peer {
    Peer {
        peer_id: member.peer_id.to_string(),
        display_name: member.display_name.as_str().to_owned(),
        joined_at: timestamp(member.joined_at),
        state: state(member).into(),
    }
}

/// Whether a member's stream is open.
pub fn state(member: &Member) -> PeerState {
    match member.attached {
        true => PeerState::Attached,
        false => PeerState::Detached,
    }
}

/// A point in time as it travels.
pub fn timestamp(time: SystemTime) -> Option<prost_types::Timestamp> {
    Some(time.into())
}

/// A length of time as it travels; absent for zero.
pub fn duration(duration: Duration) -> Option<prost_types::Duration> {
    // Whole configuration ranges are far below what does not fit.
    (!duration.is_zero()).then(|| duration.try_into().unwrap_or_default())
}

/// The `GoAway` that comes before the end of a stream.
pub fn go_away(
    reason: patchcord_proto::v1::LeaveReason,
    action: signal_response::go_away::Action,
    reconnect_after: Duration,
    message: &str,
) -> Frame {
    Frame::numbered(Message::GoAway(signal_response::GoAway {
        reason: reason.into(),
        action: action.into(),
        reconnect_after: duration(reconnect_after),
        message: message.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use patchcord_proto::v1::signal_response::Offer;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_prefixed_body_is_the_whole_response(seq: u64, ack: u64, from_peer_id: String, sdp: String) {
            let message = Message::Offer(Offer { from_peer_id, sdp });
            let body = Frame::numbered(message.clone()).body;
            let outgoing = Outgoing { seq, ack, body, relayed_at: None };
            let mut encoded = Vec::new();
            outgoing.encode(&mut encoded);
            prop_assert_eq!(encoded.len(), outgoing.encoded_len());
            let whole = SignalResponse { seq, ack, message: Some(message) };
            prop_assert_eq!(SignalResponse::decode(encoded.as_slice()).unwrap(), whole);
        }
    }

    #[test]
    fn no_prefix_is_longer_than_it_counts_for() {
        let frame = Frame::bare_ack();
        let outgoing = Outgoing { seq: u64::MAX, ack: u64::MAX, body: frame.body.clone(), relayed_at: None };
        assert_eq!(outgoing.encoded_len(), frame.cost_bytes());
    }
}
