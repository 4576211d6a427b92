//! The chat session with one peer, as a pure state machine over encoded frames. It outlives channels.
//!
//! Invariant: a text that was taken is handed to the receiver's program exactly once and in order, over
//! however many channels, or is reported as not delivered.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
use patchcord_proto::{
    limits::CHAT_FRAME_BYTES_MAX,
    v1::{self, chat_frame::Frame},
};
use prost::Message as _;

use crate::{
    Identity, IdentityKey, MessageId, ShortString, TextKind, Untrusted,
    connection::Fingerprint,
    sas::{self, Sas},
};

mod incoming;
mod introducing;
mod outgoing;

use introducing::Waiting;

const SESSION_ID_BYTES: usize = 16;
const FEATURES_MAX: usize = 32;
const SAS_FEATURE: &str = "sas.v1";
const IDENTITY_FEATURE: &str = "identity.v1";

/// What a peer that is held may have written; more waits on its side.
const HELD_TEXTS_MAX: usize = 1024;
const HELD_BYTES_MAX: usize = 2 << 20;

/// Texts taken from the channel before an acknowledgement goes out even though more are waiting.
const UNACKNOWLEDGED_MAX: u64 = 32;

/// Who we are, on every channel of a room.
#[derive(Clone, Debug)]
pub(crate) struct Introduction {
    pub session_ids: SessionIds,
    pub room: Arc<str>,
    pub display_name: String,
    pub user_agent: String,
    /// To be proved on each channel.
    pub secret: Option<Identity>,
}

/// What both ends of a channel showed to the transport.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Certificates {
    pub own: Fingerprint,
    pub peer: Fingerprint,
    /// Whether users are to be given a short string; where an exchange has bound the certificates there is another.
    pub to_compare: bool,
}

/// Makes ids for sessions, never one twice: whoever forgets a peer and meets it again would else be taken for the
/// session it was, and what that one had been told for what this one said.
#[derive(Clone, Debug)]
pub(crate) struct SessionIds {
    ours: [u8; SESSION_ID_BYTES / 2],
    made: Arc<AtomicU64>,
}

impl SessionIds {
    /// Ids that differ from those of every other program, when this is random.
    pub(crate) fn new(ours: [u8; SESSION_ID_BYTES / 2]) -> Self {
        Self { ours, made: Arc::default() }
    }

    fn make(&self) -> Bytes {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        [self.ours, number.to_be_bytes()].concat().into()
    }
}

/// One of our own texts on its way to one peer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OutgoingText {
    pub message_id: MessageId,
    pub text: Arc<str>,
    pub kind: TextKind,
    pub direct: bool,
    pub sent_at: SystemTime,
}

/// A text of the peer's, to be handed over and then acknowledged by [`Chat::handled`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IncomingText {
    pub seq: u64,
    pub message_id: MessageId,
    pub text: Untrusted,
    pub kind: TextKind,
    pub direct: bool,
    pub sent_at: SystemTime,
}

/// What a frame of the peer means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    /// The channel is open in both directions.
    Open {
        display_name: Untrusted,
        /// Proved to be the peer's.
        key: Option<IdentityKey>,
        /// Own texts of which it cannot be told whether they were delivered over an earlier channel.
        failed: Vec<MessageId>,
    },
    /// The peer has said hello and forgotten us: own texts of which it cannot be told whether they were delivered.
    Forgotten {
        failed: Vec<MessageId>,
    },
    Text(IncomingText),
    Typing(bool),
    Profile {
        display_name: Untrusted,
    },
    /// Both users can compare this.
    ShortString(ShortString),
    /// The server knows the peer by this id now.
    Rejoined {
        peer_id: String,
    },
    /// The peer has no more to say and waits for our acknowledgement to close.
    Bye,
    /// Our own goodbye is acknowledged: everything is delivered.
    ByeAcknowledged,
}

/// The peer broke the contract; the channel is to be closed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Violation {
    #[error("a frame of {0} bytes, more than {CHAT_FRAME_BYTES_MAX}")]
    FrameTooLarge(usize),
    #[error("a frame that does not decode")]
    Malformed,
    #[error("a frame before the hello")]
    NoHello,
    #[error("it said that it would introduce itself first, and did not")]
    NoIdentity,
    #[error("it introduced itself twice")]
    SecondIdentity,
    #[error("its proof of its identity key does not hold on this channel: somebody may be in between")]
    FalseIdentity,
    #[error("a hello of another session")]
    SecondHello,
    #[error("a name or text outside its limits")]
    OutsideLimits,
    #[error("text {got} where {expected} was due")]
    Gap { got: u64, expected: u64 },
    #[error("a receipt for a text that was not sent")]
    FalseReceipt,
    #[error(transparent)]
    Sas(#[from] sas::Broken),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goodbye {
    None,
    Wanted,
    Sent,
}

/// A frame to send, and the text in it, which is then sent.
pub(crate) type OutgoingFrame = (Bytes, Option<MessageId>);

pub(crate) struct Chat {
    identity: Introduction,
    session_id: Bytes,
    /// Taken and not acknowledged; the first `sent` of them went over the channel that is open now.
    texts: VecDeque<(u64, OutgoingText)>,
    sent: usize,
    /// The newest text that ever went over a channel.
    sent_through: u64,
    next_seq: u64,
    /// The peer has shown that it has heard of this session.
    known_to_peer: bool,
    peer_of_our_kind: bool,
    open: bool,
    /// Of the channel that is open.
    certificates: Option<Certificates>,
    sas: Option<Sas>,
    /// Our own identity is to be told.
    proof_wanted: bool,
    /// The peer has said hello and is to introduce itself.
    waiting: Option<Waiting>,
    /// Nothing is said to the peer and nothing of it given out.
    held: bool,
    /// Texts of a peer that is held.
    kept: VecDeque<IncomingText>,
    kept_bytes: usize,
    hello_sent: bool,
    /// An engine may lose what arrives in one batch with the end of its own handshake (rtc 0.21.1 does), so
    /// that our first hello may be lost; by its hello the peer shows that it is ready for ours.
    hello_again: bool,
    hello_received: bool,
    heard_session: Option<Bytes>,
    heard_seq: u64,
    acknowledged_seq: u64,
    receipt_wanted: bool,
    typing: Option<bool>,
    profile_wanted: bool,
    /// Our own id by the server, to be told.
    rejoined_as: Option<String>,
    goodbye: Goodbye,
    /// The last text that was taken before the peer's goodbye came. Its acknowledgement lets the peer close, which
    /// loses what is on its way: so it waits for the receipts of these texts, and later texts are held back.
    bye_heard_after: Option<u64>,
    bye_ack_wanted: bool,
    deaf: bool,
}

impl Chat {
    pub(crate) fn new(identity: Introduction) -> Self {
        Self {
            session_id: identity.session_ids.make(),
            identity,
            texts: VecDeque::new(),
            sent: 0,
            sent_through: 0,
            next_seq: 1,
            known_to_peer: false,
            peer_of_our_kind: false,
            open: false,
            certificates: None,
            sas: None,
            proof_wanted: false,
            waiting: None,
            held: false,
            kept: VecDeque::new(),
            kept_bytes: 0,
            hello_sent: false,
            hello_again: false,
            hello_received: false,
            heard_session: None,
            heard_seq: 0,
            acknowledged_seq: 0,
            receipt_wanted: false,
            typing: None,
            profile_wanted: false,
            rejoined_as: None,
            goodbye: Goodbye::None,
            bye_heard_after: None,
            bye_ack_wanted: false,
            deaf: false,
        }
    }

    /// Takes a text. The caller bounds how many.
    pub(crate) fn queue(&mut self, text: OutgoingText) {
        self.texts.push_back((self.next_seq, text));
        self.next_seq += 1;
    }

    /// Texts that are not known to be delivered, oldest first.
    pub(crate) fn undelivered(&self) -> impl ExactSizeIterator<Item = MessageId> {
        self.texts.iter().map(|(_, text)| text.message_id)
    }

    /// `certificates` are what the short string and the proofs of identities are to bind; without them there are none.
    pub(crate) fn channel_opened(&mut self, certificates: Option<Certificates>) {
        self.channel_closed();
        self.open = true;
        self.certificates = certificates;
    }

    /// What was not acknowledged goes again over the next channel.
    pub(crate) fn channel_closed(&mut self) {
        self.open = false;
        self.hello_sent = false;
        self.hello_again = false;
        self.hello_received = false;
        self.certificates = None;
        self.sas = None;
        self.proof_wanted = false;
        self.waiting = None;
        // They come again over the next channel.
        self.forget_kept();
        self.sent = 0;
        self.typing = None;
        self.rejoined_as = None;
        self.receipt_wanted = false;
        self.bye_heard_after = None;
        self.bye_ack_wanted = false;
        if self.goodbye == Goodbye::Sent {
            self.goodbye = Goodbye::Wanted;
        }
    }

    /// Its program knows what ours does; others' engines may not survive an ICE restart, as aiortc's does not.
    pub(crate) fn peer_is_of_our_kind(&self) -> bool {
        self.peer_of_our_kind
    }

    /// Whether hellos went both ways, and the peer has introduced itself if it takes part in that.
    pub(crate) fn is_open(&self) -> bool {
        self.open && self.hello_received && self.waiting.is_none()
    }

    pub(crate) fn set_typing(&mut self, active: bool) {
        // Never queued for later: it would be outdated.
        if self.is_open() && !self.held {
            self.typing = Some(active);
        }
    }

    pub(crate) fn set_display_name(&mut self, display_name: String) {
        self.identity.display_name = display_name;
        self.profile_wanted = self.hello_sent;
    }

    /// The server knows us by another id: the peer has to learn it.
    pub(crate) fn say_rejoined(&mut self, peer_id: String) {
        self.rejoined_as = Some(peer_id);
    }

    /// Texts that never went over a channel are not to be sent any more.
    pub(crate) fn give_up_unsent(&mut self) -> Vec<MessageId> {
        let sent = self.texts.iter().take_while(|(seq, _)| *seq <= self.sent_through).count();
        let unsent: Vec<_> = self.texts.drain(sent..).map(|(_, text)| text.message_id).collect();
        self.next_seq -= unsent.len() as u64;
        unsent
    }

    /// After the texts, say goodbye.
    pub(crate) fn say_goodbye(&mut self) {
        if self.goodbye == Goodbye::None {
            self.goodbye = Goodbye::Wanted;
        }
    }

    /// The text with this number is in the hands of our user: acknowledge it.
    pub(crate) fn handled(&mut self, seq: u64) {
        self.heard_seq = self.heard_seq.max(seq);
        self.receipt_wanted = true;
    }

    /// From here on texts are neither given out nor acknowledged.
    pub(crate) fn stop_listening(&mut self) {
        self.deaf = true;
    }

    /// Whether the goodbye is on its way and not yet acknowledged.
    pub(crate) fn goodbye_is_sent(&self) -> bool {
        self.goodbye == Goodbye::Sent
    }

    /// Whether the acknowledgement should go before more is read.
    pub(crate) fn receipt_is_urgent(&self) -> bool {
        self.receipt_wanted && self.heard_seq - self.acknowledged_seq >= UNACKNOWLEDGED_MAX
    }
}

fn encode(frame: Frame) -> Bytes {
    v1::ChatFrame { frame: Some(frame) }.encode_to_vec().into()
}

#[cfg(test)]
mod tests;
