//! The messages of a negotiation under the keys of an exchange: padded, numbered, each direction with a key of its own.
//!
//! Invariant: what is opened is a prefix of what the other sealed; after the first message that does not fit nothing is.

use chacha20poly1305::{
    ChaCha20Poly1305, Key, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use patchcord_proto::v1;
use prost::Message as _;

use super::keys::{Keys, Role, lv};

/// Sizes tell what a message is; of these there is one for a candidate and some for a description.
const BUCKET_BYTES: usize = 256;

/// ISO/IEC 7816-4: marks the end of what is padded.
const END: u8 = 0x80;

/// Why a message is not the next that the other sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotNext {
    #[error("message {got} of the exchange came where {expected} was due")]
    OutOfOrder { got: u64, expected: u64 },
    #[error("a message of the exchange was changed on its way")]
    Changed,
    #[error("a message before this one did not fit")]
    Over,
}

/// Both directions between two peers that proved that they know the code.
pub(crate) struct Channel {
    session_id: Vec<u8>,
    channel_id: Vec<u8>,
    role: Role,
    keys: Keys,
    sealed: u64,
    opened: u64,
    over: bool,
}

impl Channel {
    pub(super) fn new(session_id: Vec<u8>, channel_id: Vec<u8>, role: Role, keys: Keys) -> Self {
        Self { session_id, channel_id, role, keys, sealed: 0, opened: 0, over: false }
    }

    pub(super) fn session_id(&self) -> &[u8] {
        &self.session_id
    }

    /// The next message to the other.
    pub(super) fn seal(&mut self, negotiation: &v1::Negotiation) -> v1::SealedMessage {
        let mut padded = negotiation.encode_to_vec();
        padded.push(END);
        padded.resize(padded.len().next_multiple_of(BUCKET_BYTES), 0);
        let seq = self.sealed;
        self.sealed += 1;
        let aad = self.associated(self.role, seq);
        let ciphertext = self
            .cipher(self.role)
            .encrypt(&nonce(seq), Payload { msg: &padded, aad: &aad })
            .expect("a negotiation is shorter than the 256 GiB of one message");
        v1::SealedMessage { session_id: self.session_id.clone().into(), seq, ciphertext: ciphertext.into() }
    }

    /// The next message of the other.
    pub(super) fn open(&mut self, message: &v1::SealedMessage) -> Result<v1::Negotiation, NotNext> {
        let opened = self.check(message);
        self.over |= opened.is_err();
        opened
    }

    fn check(&mut self, message: &v1::SealedMessage) -> Result<v1::Negotiation, NotNext> {
        if self.over {
            return Err(NotNext::Over);
        }
        if message.seq != self.opened {
            return Err(NotNext::OutOfOrder { got: message.seq, expected: self.opened });
        }
        let from = self.role.other();
        let aad = self.associated(from, message.seq);
        let padded = self
            .cipher(from)
            .decrypt(&nonce(message.seq), Payload { msg: &message.ciphertext, aad: &aad })
            .map_err(|_| NotNext::Changed)?;
        self.opened += 1;
        let end = padded.iter().rposition(|byte| *byte != 0).filter(|end| padded[*end] == END);
        let plain = &padded[..end.ok_or(NotNext::Changed)?];
        v1::Negotiation::decode(plain).map_err(|_| NotNext::Changed)
    }

    fn cipher(&self, from: Role) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(&Key::from(*self.keys.direction(from)))
    }

    fn associated(&self, from: Role, seq: u64) -> Vec<u8> {
        let mut associated = lv([&b"wrtc/1 s"[..], &self.channel_id]);
        associated.extend_from_slice(from.as_bytes());
        associated.extend_from_slice(&seq.to_be_bytes());
        associated
    }
}

fn nonce(seq: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&seq.to_be_bytes());
    nonce.into()
}
