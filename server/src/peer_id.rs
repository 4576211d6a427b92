//! The id of a peer: 80 random bits in 16 characters of a-z and 2-7 (base32, RFC 4648 section 6, in
//! lower case), so that it can be read aloud and cannot be guessed.

use std::{fmt, str};

/// Characters of a peer id.
pub const PEER_ID_BYTES: usize = 16;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A peer, for as long as its session lasts; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId([u8; PEER_ID_BYTES]);

impl PeerId {
    /// A new id.
    pub fn random() -> Self {
        let mut bits = [0; 10];
        crate::random::fill(&mut bits);
        Self::from_bits(bits)
    }

    /// The id that stands for these 80 bits.
    pub fn from_bits(bits: [u8; 10]) -> Self {
        let mut id = [0; PEER_ID_BYTES];
        for (index, character) in id.iter_mut().enumerate() {
            let bit = index * 5;
            let high = u16::from(bits[bit / 8]) << 8;
            let low = bits.get(bit / 8 + 1).copied().map_or(0, u16::from);
            let five = (high | low) >> (11 - bit % 8) & 31;
            *character = ALPHABET[usize::from(five)];
        }
        Self(id)
    }

    /// Reads an id as a client wrote it; `None` when no peer can have it.
    pub fn parse(text: &str) -> Option<Self> {
        let id: [u8; PEER_ID_BYTES] = text.as_bytes().try_into().ok()?;
        id.iter().all(|character| ALPHABET.contains(character)).then_some(Self(id))
    }

    /// As it travels.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("every character comes from the ASCII alphabet")
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bits_are_written_as_rfc_4648_base32() {
        // "fooba" and "r" repeated are the alphabet's own test vectors (RFC 4648 section 10).
        assert_eq!(PeerId::from_bits(*b"foobafooba").as_str(), "mzxw6ytbmzxw6ytb");
        assert_eq!(PeerId::from_bits([0xff; 10]).as_str(), "7777777777777777");
    }

    #[test]
    fn what_no_peer_can_have_is_no_id() {
        for text in ["", "a", "aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaa1", "AAAAAAAAAAAAAAAA"]
        {
            assert_eq!(PeerId::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_id_reads_back(bits: [u8; 10]) {
            let id = PeerId::from_bits(bits);
            prop_assert_eq!(PeerId::parse(id.as_str()), Some(id));
        }

        #[test]
        fn different_bits_give_different_ids(one: [u8; 10], other: [u8; 10]) {
            prop_assert_eq!(one == other, PeerId::from_bits(one) == PeerId::from_bits(other));
        }
    }
}
