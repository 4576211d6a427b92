//! What follows from a key that two peers agreed on: the transcript, the keys of each direction and the proofs.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::pake::Key;
use crate::sas::{STRING_BYTES, ShortString};

pub(super) const KEY_BYTES: usize = 32;
pub(super) const TAG_BYTES: usize = 32;

const VERSION: &[u8] = b"wrtc/1";

/// Which side of a pair: A has the smaller peer id, and begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    A,
    B,
}

impl Role {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    pub(crate) fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::A => b"A",
            Self::B => b"B",
        }
    }
}

/// `lv`, one after the other.
pub(crate) fn lv<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut joined = Vec::new();
    for part in parts {
        // What is bound is bounded far below 4 GiB when it is decoded.
        joined.extend_from_slice(&(part.len() as u32).to_be_bytes());
        joined.extend_from_slice(part);
    }
    joined
}

/// CI.
pub(super) fn channel_id(locator: &str, peer_a: &str, peer_b: &str) -> Vec<u8> {
    lv([VERSION, locator.as_bytes(), peer_a.as_bytes(), peer_b.as_bytes()])
}

/// Everything that both sides saw, hashed: th.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transcript([u8; KEY_BYTES]);

impl Transcript {
    pub(super) fn new(seen: [&[u8]; 6]) -> Self {
        Self(Sha256::digest(lv(seen)).into())
    }
}

/// The keys of an exchange.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Keys {
    confirm: [[u8; KEY_BYTES]; 2],
    directions: [[u8; KEY_BYTES]; 2],
    export: [u8; KEY_BYTES],
    #[zeroize(skip)]
    transcript: Transcript,
}

impl Keys {
    pub(super) fn derive(agreed: &Key, transcript: Transcript) -> Self {
        let mut bytes = zeroize::Zeroizing::new([0; 5 * KEY_BYTES]);
        let expanded = Hkdf::<Sha256>::new(Some(&transcript.0), agreed).expand(b"wrtc/1 keys", &mut *bytes);
        expanded.expect("160 bytes are fewer than the 8,160 that HKDF-SHA-256 gives");
        let key = |number: usize| {
            let mut key = [0; KEY_BYTES];
            key.copy_from_slice(&bytes[number * KEY_BYTES..][..KEY_BYTES]);
            key
        };
        Self { confirm: [key(0), key(1)], directions: [key(2), key(3)], export: key(4), transcript }
    }

    /// The key of what this side sends.
    pub(super) fn direction(&self, from: Role) -> &[u8; KEY_BYTES] {
        &self.directions[from as usize]
    }

    /// The proof of this side that it has the keys.
    pub(super) fn confirmation(&self, of: Role) -> [u8; TAG_BYTES] {
        self.confirmation_mac(of).finalize().into_bytes().into()
    }

    /// Whether the proof is this side's, in constant time.
    pub(super) fn confirms(&self, of: Role, tag: &[u8]) -> bool {
        self.confirmation_mac(of).verify_slice(tag).is_ok()
    }

    fn confirmation_mac(&self, of: Role) -> Hmac<Sha256> {
        mac(&self.confirm[of as usize], [b"confirm", of.as_bytes(), &self.transcript.0])
    }

    /// What both users see alike when nobody is between them.
    pub(super) fn short_string(&self) -> ShortString {
        let mut string = [0; STRING_BYTES];
        string.copy_from_slice(&self.export[..STRING_BYTES]);
        ShortString::new(string)
    }
}

fn mac<const PARTS: usize>(key: &[u8; KEY_BYTES], parts: [&[u8]; PARTS]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}
