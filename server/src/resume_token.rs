//! What proves that a stream continues a session: 256 random bits, known to the peer alone. The server
//! keeps a hash, so nothing that it keeps can be presented.

use std::fmt;

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// Bytes of a token.
pub const RESUME_TOKEN_BYTES: usize = 32;

/// A token on its way to a peer or back.
pub struct ResumeToken([u8; RESUME_TOKEN_BYTES]);

/// What is kept of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl ResumeToken {
    /// A new one.
    pub fn random() -> Self {
        let mut token = [0; RESUME_TOKEN_BYTES];
        crate::random::fill(&mut token);
        Self(token)
    }

    /// As a peer presents it; `None` when it is no token.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// What is kept.
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0).into())
    }

    /// As the peer is told it.
    pub fn reveal(&self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }
}

impl fmt::Debug for ResumeToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ResumeToken(..)")
    }
}
