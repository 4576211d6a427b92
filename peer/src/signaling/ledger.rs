//! The numbers of a session, as a pure state: which requests the server may not have carried out, and
//! which responses we have handled. Bounded: a request too many is not taken, so the numbers have no gap,
//! and the peer it was for is remembered.

use std::collections::{BTreeSet, VecDeque};

use patchcord_proto::v1::{
    SignalRequest,
    signal_request::{Answer, Candidate, Message, Offer, Sealed},
};

use crate::PeerId;

/// Requests kept until the server acknowledges them, also while it is away.
const KEPT_MAX: usize = 256;
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// Requests of which it is remembered for whom they were, acknowledged or not: a rejection may come behind a whole
/// outbox of the server, long after what acknowledges it. Of an older one nobody is told.
const REMEMBERED_MAX: usize = 1024;

/// A bare acknowledgement goes out after this many responses, if no request carried it.
const UNACKNOWLEDGED_MAX: u64 = 16;

/// A response's place in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// To be handled, and then acknowledged.
    Next,
    /// Handled before.
    Repetition,
    /// Something before it did not come.
    AfterGap,
}

/// Both directions of one session.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    kept: VecDeque<(Message, usize)>,
    kept_bytes: usize,
    /// The number of the newest request.
    requested: u64,
    /// The number of the newest request that went out on this stream.
    sent: u64,
    handled: u64,
    /// `handled` as the server was last told.
    told: u64,
    /// The next response may leave a gap: the server has said that some are lost.
    gap_is_known: bool,
    lost: BTreeSet<PeerId>,
    /// The newest requests that are for a peer.
    addressees: VecDeque<(u64, PeerId)>,
}

impl Ledger {
    /// A session that the server has just begun: the join was its first request, and is answered.
    pub(super) fn joined(first_seq: u64) -> Self {
        Self { requested: 1, sent: 1, handled: first_seq, ..Self::default() }
    }

    /// Numbers a request and keeps it until it is acknowledged; says no when too many are kept already.
    pub(super) fn take(&mut self, message: Message) -> bool {
        let bytes = message.encoded_len();
        if self.kept.len() >= KEPT_MAX || self.kept_bytes + bytes > KEPT_BYTES_MAX {
            self.lost.extend(addressee(&message));
            return false;
        }
        self.requested += 1;
        if let Some(peer_id) = addressee(&message) {
            if self.addressees.len() == REMEMBERED_MAX {
                self.addressees.pop_front();
            }
            self.addressees.push_back((self.requested, peer_id));
        }
        self.kept_bytes += bytes;
        self.kept.push_back((message, bytes));
        true
    }

    /// The request that was taken last, unless it is acknowledged.
    pub(super) fn newest(&self) -> Option<(u64, &Message)> {
        self.kept.back().map(|(message, _)| (self.requested, message))
    }

    /// Whom the request with this number was for, if for a peer.
    pub(super) fn addressee(&self, seq: u64) -> Option<&PeerId> {
        let index = self.addressees.binary_search_by_key(&seq, |(seq, _)| *seq).ok()?;
        self.addressees.get(index).map(|(_, peer_id)| peer_id)
    }

    /// Whether a request waits for the stream, or enough was handled to say so without one.
    pub(super) fn has_next(&self) -> bool {
        self.sent < self.requested || self.debt() >= UNACKNOWLEDGED_MAX
    }

    /// What goes out next; without a request to send it says what was handled and nothing else.
    pub(super) fn next(&mut self) -> SignalRequest {
        self.told = self.handled;
        let ack = self.handled;
        if self.sent == self.requested {
            return SignalRequest { seq: 0, ack, message: None };
        }
        self.sent += 1;
        let index = usize::try_from(self.sent - self.oldest()).ok();
        let message = index.and_then(|index| self.kept.get(index)).map(|(message, _)| message.clone());
        SignalRequest { seq: self.sent, ack, message }
    }

    /// A request that is no part of the session: it goes out once, or never.
    pub(super) fn unnumbered(&mut self, message: Message) -> SignalRequest {
        self.told = self.handled;
        SignalRequest { seq: 0, ack: self.handled, message: Some(message) }
    }

    /// The server has carried out or rejected this request and all before it.
    pub(super) fn acknowledged(&mut self, through: u64) {
        while !self.kept.is_empty() && self.oldest() <= through {
            if let Some((_, bytes)) = self.kept.pop_front() {
                self.kept_bytes -= bytes;
            }
        }
        self.sent = self.sent.max(self.oldest() - 1);
    }

    /// For whom requests were not taken, once there is room for new ones.
    pub(super) fn take_lost(&mut self) -> BTreeSet<PeerId> {
        if self.kept.len() > KEPT_MAX / 2 || self.kept_bytes > KEPT_BYTES_MAX / 2 {
            return BTreeSet::new();
        }
        std::mem::take(&mut self.lost)
    }

    /// Takes the number of a response; 0 is no part of the session.
    pub(super) fn response(&mut self, seq: u64) -> Place {
        if seq == 0 {
            return Place::Next;
        }
        if seq <= self.handled {
            return Place::Repetition;
        }
        if seq != self.handled + 1 && !self.gap_is_known {
            return Place::AfterGap;
        }
        self.gap_is_known = false;
        self.handled = seq;
        Place::Next
    }

    /// The last response that was handled.
    pub(super) fn handled(&self) -> u64 {
        self.handled
    }

    /// Responses that the server does not know to be handled.
    pub(super) fn debt(&self) -> u64 {
        self.handled - self.told
    }

    /// The session goes on over another stream: what the server has not carried out goes out again.
    pub(super) fn resume(&mut self, last_seq: u64, complete: bool) {
        self.acknowledged(last_seq);
        self.sent = self.oldest() - 1;
        self.gap_is_known = !complete;
    }

    /// The number of the oldest request that is kept; one beyond the newest when none is.
    fn oldest(&self) -> u64 {
        self.requested + 1 - self.kept.len() as u64
    }
}

/// Whom a request is for, if for a peer.
fn addressee(message: &Message) -> Option<PeerId> {
    match message {
        Message::Offer(Offer { to_peer_id, .. })
        | Message::Answer(Answer { to_peer_id, .. })
        | Message::Candidate(Candidate { to_peer_id, .. })
        | Message::Sealed(Sealed { to_peer_id, .. }) => PeerId::parse(to_peer_id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use patchcord_proto::v1::signal_request::Leave;
    use proptest::prelude::*;

    use super::*;

    fn offer(to: &PeerId, bytes: usize) -> Message {
        Message::Offer(Offer { to_peer_id: to.to_string(), sdp: "x".repeat(bytes) })
    }

    fn peer(letter: &str) -> PeerId {
        PeerId::parse(&letter.repeat(16)).unwrap()
    }

    #[test]
    fn a_request_too_many_is_not_taken_and_its_addressee_is_known() {
        let mut ledger = Ledger::default();
        for _ in 0..KEPT_MAX {
            assert!(ledger.take(offer(&peer("a"), 1)));
        }
        assert!(!ledger.take(offer(&peer("b"), 1)));
        assert!(!ledger.take(Message::Leave(Leave {})));
        ledger.acknowledged(1);
        assert!(ledger.take_lost().is_empty(), "there is hardly room");
        ledger.acknowledged(KEPT_MAX as u64);
        assert_eq!(ledger.take_lost(), BTreeSet::from([peer("b")]));
        assert!(ledger.take(offer(&peer("b"), 1)));
        assert_eq!(ledger.next().seq, KEPT_MAX as u64 + 1);
    }

    #[test]
    fn whom_a_request_was_for_is_known_after_it_is_acknowledged_and_for_a_bounded_time() {
        let mut ledger = Ledger::joined(1);
        assert!(ledger.take(offer(&peer("a"), 1)));
        assert!(ledger.take(Message::Leave(Leave {})));
        assert!(ledger.take(offer(&peer("b"), 1)));
        let known = |ledger: &Ledger| [1, 2, 3, 4, 5].map(|seq| ledger.addressee(seq).cloned());
        let all = [None, Some(peer("a")), None, Some(peer("b")), None];
        assert_eq!(known(&ledger), all);
        ledger.acknowledged(4);
        ledger.resume(4, true);
        assert_eq!(known(&ledger), all);
        for seq in 5..5 + REMEMBERED_MAX as u64 {
            assert!(ledger.take(offer(&peer("c"), 1)));
            ledger.acknowledged(seq);
        }
        assert_eq!(known(&ledger)[..4], [None, None, None, None]);
        assert_eq!(ledger.addressee(4 + REMEMBERED_MAX as u64), Some(&peer("c")));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut ledger = Ledger::default();
        assert_eq!((0..100).filter(|_| ledger.take(offer(&peer("a"), 16 * 1024))).count(), 15);
    }

    #[test]
    fn what_was_handled_is_said_with_a_request_or_alone() {
        let mut ledger = Ledger::joined(1);
        assert_eq!((ledger.debt(), ledger.has_next()), (1, false));
        assert!(ledger.take(Message::Leave(Leave {})));
        assert_eq!((ledger.next().ack, ledger.debt()), (1, 0));
        for seq in 2..2 + UNACKNOWLEDGED_MAX {
            assert!(!ledger.has_next());
            assert_eq!(ledger.response(seq), Place::Next);
        }
        assert!(ledger.has_next());
        let ack = SignalRequest { seq: 0, ack: 1 + UNACKNOWLEDGED_MAX, message: None };
        assert_eq!(ledger.next(), ack);
        assert!(!ledger.has_next());
    }

    #[test]
    fn a_gap_is_taken_only_when_the_server_has_said_so_and_only_once() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.response(1), Place::Next);
        assert_eq!(ledger.response(3), Place::AfterGap);
        assert_eq!(ledger.handled(), 1);
        ledger.resume(0, false);
        assert_eq!(ledger.response(3), Place::Next);
        assert_eq!(ledger.response(5), Place::AfterGap);
        assert_eq!(ledger.response(3), Place::Repetition);
        assert_eq!(ledger.response(0), Place::Next);
        assert_eq!(ledger.handled(), 3);
    }

    proptest! {
        /// A server that carries out what comes in sequence, over streams that break anywhere.
        #[test]
        fn every_request_is_carried_out_once_and_in_order_whatever_breaks(
            steps in prop::collection::vec((0u8..4, any::<prop::sample::Index>()), 1..300),
        ) {
            let mut ledger = Ledger::default();
            let (mut wire, mut carried_out, mut asked) = (Vec::new(), Vec::new(), 0usize);
            let send = |ledger: &mut Ledger, wire: &mut Vec<SignalRequest>| {
                while ledger.has_next() {
                    wire.push(ledger.next());
                }
            };
            for (step, index) in steps {
                match step {
                    0 | 1 => {
                        asked += usize::from(ledger.take(offer(&peer("a"), asked + 1)));
                        send(&mut ledger, &mut wire);
                    }
                    2 => for request in wire.drain(..) {
                        prop_assert_eq!(request.seq, carried_out.len() as u64 + 1);
                        carried_out.push(request.message.unwrap());
                        if index.index(2) == 0 {
                            ledger.acknowledged(carried_out.len() as u64);
                        }
                    },
                    _ => {
                        // What of the wire still arrives before it breaks.
                        let arrives = index.index(wire.len() + 1);
                        carried_out.extend(wire.drain(..arrives).map(|request| request.message.unwrap()));
                        wire.clear();
                        ledger.resume(carried_out.len() as u64, true);
                        send(&mut ledger, &mut wire);
                    }
                }
            }
            carried_out.extend(wire.into_iter().map(|request| request.message.unwrap()));
            let expected: Vec<_> = (1..=asked).map(|bytes| offer(&peer("a"), bytes)).collect();
            prop_assert_eq!(carried_out, expected);
        }
    }
}
