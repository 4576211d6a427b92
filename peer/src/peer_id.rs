//! The id of a peer: made by the server, parsed once where it comes in.

use std::{fmt, sync::Arc};

const BYTES_MAX: usize = 64;

/// Names one peer of one room. Compares byte by byte; in a pair the smaller one is the polite peer.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(Arc<str>);

impl PeerId {
    /// Takes 1 to 64 ASCII letters, digits, `-` and `_`; anything else is no peer id.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = (1..=BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        valid.then(|| Self(text.into()))
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first four characters, to tell apart peers of the same display name.
    pub fn short(&self) -> &str {
        &self.0[..self.0.len().min(4)]
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_plain_ascii_is_a_peer_id() {
        assert!(PeerId::parse("k7m2abcdabcdabcd").is_some());
        for hostile in ["", "a b", "a/b", "\u{1b}[31m", "é", &"x".repeat(65)] {
            assert!(PeerId::parse(hostile).is_none(), "{hostile:?}");
        }
    }
}
