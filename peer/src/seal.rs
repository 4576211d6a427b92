//! Sealed rooms ("wrtc/1", sealed.proto): two peers that know one code prove it to each other through a server that must
//! not learn it, and negotiate under keys that only they have. Pure: no clock, no I/O; randomness is handed in.
//!
//! Invariant: what is opened was sealed by a peer that knew the code, for this peer, in this order, with none missing.

mod code;
mod exchange;
mod guesses;
mod keys;
mod messages;
mod pake;

pub(crate) use code::word;
pub use code::{Code, InvalidCode};
pub(crate) use exchange::{Broken, Exchange, Outcome, Terms};
pub(crate) use guesses::Guesses;
pub(crate) use keys::{Role, lv};
pub(crate) use messages::Channel;

/// Makes a room a sealed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Known to whoever may come in.
    pub code: Code,
    /// Guesses of the code that this client has met before, as [`crate::Event::GuessesUsed`] told; 16 use it up.
    pub guesses_used: u32,
}

/// As whom everybody joins at the server, which is not to learn names.
pub(crate) const SERVER_NAME: &str = "sealed";
