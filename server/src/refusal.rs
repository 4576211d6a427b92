//! A request that is not carried out: the one place where the codes of `Rejected`, what they say to
//! people and whether trying again can help are put together.

use std::time::Duration;

use patchcord_proto::v1::signal_response::{Rejected, rejected::Code};

use crate::{name::PRINTABLE_RULE, peer_id::PeerId, tokens::Denied};

/// Why a request is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people; at most 512 bytes.
    pub message: String,
    /// Zero when the same request cannot succeed later.
    pub retry_after: Duration,
    /// Whom the request was for, when it is lost with this.
    pub addressee: Option<PeerId>,
    /// What is wrong with a token, for programs; empty with any other code.
    pub reason: &'static str,
}

impl Refusal {
    fn lasting(code: Code, message: impl Into<String>) -> Self {
        Self::passing(code, message, Duration::ZERO)
    }

    fn passing(code: Code, message: impl Into<String>, retry_after: Duration) -> Self {
        Self { code, message: message.into(), retry_after, addressee: None, reason: "" }
    }

    /// Nothing that this server knows was asked.
    pub fn unsupported(what: &str) -> Self {
        Self::lasting(Code::Unsupported, what)
    }

    /// A session is needed first.
    pub fn not_joined() -> Self {
        Self::lasting(Code::NotJoined, "Join a room first")
    }

    /// One session a stream.
    pub fn already_joined() -> Self {
        Self::lasting(
            Code::AlreadyJoined,
            "this stream has its session; open another stream for another room",
        )
    }

    /// The room name breaks its rule.
    pub fn invalid_room(bytes_max: usize) -> Self {
        Self::lasting(Code::InvalidRoom, format!("room must be 1 to {bytes_max} bytes of {PRINTABLE_RULE}"))
    }

    /// The display name breaks its rule.
    pub fn invalid_display_name(bytes_max: usize) -> Self {
        let message = format!("display_name must be 1 to {bytes_max} bytes of {PRINTABLE_RULE}");
        Self::lasting(Code::InvalidDisplayName, message)
    }

    /// Another field breaks its rule.
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::lasting(Code::InvalidArgument, message)
    }

    /// A field that describes has more bytes than permitted.
    pub fn too_long(field: &str, bytes: usize, bytes_max: usize) -> Self {
        Self::invalid_argument(format!("{field} has {bytes} bytes; it may have {bytes_max} at most"))
    }

    /// What is to be relayed has more bytes than permitted.
    pub fn too_large(field: &str, bytes: usize, bytes_max: usize) -> Self {
        Self::lasting(Code::TooLarge, format!("{field} has {bytes} bytes; at most {bytes_max} are relayed"))
    }

    /// More bytes than are decoded.
    pub fn request_too_large(bytes_max: usize) -> Self {
        Self::lasting(Code::TooLarge, format!("the request has more than {bytes_max} bytes"))
    }

    /// The addressee is not another peer of the room.
    pub fn no_such_peer() -> Self {
        Self::lasting(Code::NoSuchPeer, "to_peer_id is no other peer of this room")
    }

    /// The room is full.
    pub fn room_full(peers_max: usize) -> Self {
        let message = format!("the room holds {peers_max} peers, which is all it may");
        Self::passing(Code::RoomFull, message, Duration::from_secs(5))
    }

    /// The server is full.
    pub fn too_many_rooms(rooms_max: usize) -> Self {
        let message = format!("the server holds {rooms_max} rooms, which is all it may");
        Self::passing(Code::TooManyRooms, message, Duration::from_secs(5))
    }

    /// The addressee's outbox is full.
    pub fn peer_busy(addressee: PeerId) -> Self {
        let message = "the peer does not read fast enough; this message is lost";
        let refusal = Self::passing(Code::PeerBusy, message, Duration::from_millis(500));
        Self { addressee: Some(addressee), ..refusal }
    }

    /// No session has this token.
    pub fn session_unknown() -> Self {
        let message = "no session has this resume token, or its grace time is over; join again";
        Self::lasting(Code::SessionUnknown, message)
    }

    /// Another stream is claiming the session at this moment.
    pub fn session_busy() -> Self {
        let message = "another stream is resuming this session";
        Self::passing(Code::RateLimited, message, Duration::from_millis(500))
    }

    /// Asked again too soon.
    pub fn rate_limited(what: &str, retry_after: Duration) -> Self {
        Self::passing(Code::RateLimited, format!("{what} comes too soon after the last"), retry_after)
    }

    /// The token is missing, not taken, or does not permit this.
    pub fn not_permitted(denied: &Denied) -> Self {
        Self { reason: denied.label(), ..Self::lasting(Code::NotPermitted, denied.to_string()) }
    }

    /// A number that does not follow its predecessor.
    pub fn out_of_sequence(seq: u64, expected: u64) -> Self {
        Self::lasting(Code::OutOfSequence, format!("seq is {seq}; {expected} was to follow"))
    }

    /// Whether the same request can succeed later.
    pub fn retryable(&self) -> bool {
        !self.retry_after.is_zero()
    }

    /// As it travels.
    pub fn into_proto(self, request_seq: u64) -> Rejected {
        Rejected {
            request_seq,
            code: self.code.into(),
            retryable: self.retryable(),
            retry_after: crate::frame::duration(self.retry_after),
            message: self.message,
            reason: self.reason.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_limit() {
        let longest = Refusal::invalid_display_name(usize::MAX);
        assert!(longest.message.len() <= 512, "{} bytes", longest.message.len());
    }

    #[test]
    fn only_what_can_heal_is_retryable() {
        assert!(Refusal::peer_busy(PeerId::from_bits([0; 10])).retryable());
        assert!(Refusal::room_full(64).retryable());
        assert!(!Refusal::no_such_peer().retryable());
        let rejected = Refusal::room_full(64).into_proto(7);
        assert_eq!((rejected.request_seq, rejected.retryable), (7, true));
        assert!(rejected.retry_after.is_some());
    }
}
