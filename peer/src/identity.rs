//! Who somebody is from one room to the next: an Ed25519 key, proved on each channel ("wrtc/1 identity", chat.proto). Pure: no
//! clock, no I/O.
//!
//! Invariant: a proof holds between two sessions and the two certificates that they showed, and in one direction.

use std::{cmp::Ordering, fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use ed25519_dalek::{SECRET_KEY_LENGTH, SIGNATURE_LENGTH, Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::{
    PeerId, Untrusted,
    sas::Place,
    seal::{Role, lv},
};

const DOMAIN: &[u8] = b"wrtc/1 identity";
pub(crate) const KEY_BYTES: usize = 32;
const SHORT_CHARS: usize = 20;
const GROUP_CHARS: usize = 4;

/// The secret half of what we prove to be. Zeroed when dropped, and not shown by `Debug`.
#[derive(Clone)]
pub struct Identity(SigningKey);

impl Identity {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no random bits.
    pub fn generate() -> Result<Self, std::io::Error> {
        let mut seed = Zeroizing::new([0; SECRET_KEY_LENGTH]);
        getrandom::fill(&mut *seed).map_err(std::io::Error::other)?;
        Ok(Self::from_seed(&seed))
    }

    /// The one of this seed (RFC 8032 section 5.1.5).
    pub fn from_seed(seed: &[u8; SECRET_KEY_LENGTH]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// To be kept where nobody else reads.
    pub fn seed(&self) -> Zeroizing<[u8; SECRET_KEY_LENGTH]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// What others see.
    pub fn key(&self) -> IdentityKey {
        IdentityKey(self.0.verifying_key().to_bytes())
    }

    /// The signature that proves on this channel that we have the key. None where both sides are one, as in an echo.
    pub(crate) fn prove(&self, place: &Place<'_>) -> Option<[u8; SIGNATURE_LENGTH]> {
        let transcript = transcript(place, Side::Own, self.key())?;
        Some(self.0.sign(&transcript).to_bytes())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Identity").field(&self.key()).finish()
    }
}

/// What others prove to have: an Ed25519 public key. Shown and read as 52 letters and digits of base 32 (RFC 4648).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentityKey([u8; KEY_BYTES]);

/// A text that is no identity key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an identity key is 52 letters and digits from 2 to 7")]
pub struct InvalidIdentityKey;

impl IdentityKey {
    /// Of these bytes; whether they are a point of the curve shows when something is to be proved.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// As in the contract.
    pub fn to_bytes(self) -> [u8; KEY_BYTES] {
        self.0
    }

    /// Its first 100 bits in groups of four, for people: nobody finds another key that begins alike.
    pub fn short(&self) -> String {
        let whole = self.to_string();
        let mut groups = Vec::new();
        for start in (0..SHORT_CHARS).step_by(GROUP_CHARS) {
            groups.push(&whole[start..start + GROUP_CHARS]);
        }
        groups.join("-")
    }

    /// Whether the peer has the secret half, shown by its signature for this channel.
    pub(crate) fn is_proved(&self, place: &Place<'_>, signature: &[u8]) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&self.0) else { return false };
        let Ok(signature) = Signature::from_slice(signature) else { return false };
        let Some(transcript) = transcript(place, Side::Peer, *self) else { return false };
        // Strict: no key of small order, for which one signature holds for everything.
        key.verify_strict(&transcript, &signature).is_ok()
    }
}

impl fmt::Display for IdentityKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "IdentityKey({})", self.short())
    }
}

impl FromStr for IdentityKey {
    type Err = InvalidIdentityKey;

    fn from_str(text: &str) -> Result<Self, InvalidIdentityKey> {
        let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes());
        let bytes = bytes.ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(InvalidIdentityKey)
    }
}

/// What a peer shows on a channel, for the program to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Who.
    pub peer_id: PeerId,
    /// As it calls itself now.
    pub display_name: Untrusted,
    /// Proved to be its own on this channel; none when it has none or wants to show none.
    pub key: Option<IdentityKey>,
    /// SHA-256 of its certificate in DER. It keeps one for as long as it is in a room.
    pub certificate: [u8; 32],
}

/// What the program makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The key was verified before: the peer is verified.
    Known,
    /// Nothing is known of it.
    New,
    /// It is not the one that its name says, as far as is known: nothing is said to it and nothing heard of it until
    /// [`crate::Room::judge_again`] finds otherwise.
    Held,
}

/// Asked whenever a channel opens and whenever the peer on it calls itself otherwise, before any text goes either way. Its
/// answer is waited for: it must not wait for the room.
#[derive(Clone)]
pub struct Judge(std::sync::Arc<dyn Fn(&Shown) -> Judgement + Send + Sync>);

impl Judge {
    /// One that answers by `judge`.
    pub fn new(judge: impl Fn(&Shown) -> Judgement + Send + Sync + 'static) -> Self {
        Self(std::sync::Arc::new(judge))
    }

    /// Its answer.
    pub fn judge(&self, shown: &Shown) -> Judgement {
        (self.0)(shown)
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Judge")
    }
}

/// Whose proof it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Own,
    Peer,
}

/// What is signed.
fn transcript(place: &Place<'_>, signer: Side, key: IdentityKey) -> Option<Vec<u8>> {
    let own = (place.own_session_id, &place.own_fingerprint);
    let peer = (place.peer_session_id, &place.peer_fingerprint);
    let (own_role, a, b) = match place.own_session_id.cmp(place.peer_session_id) {
        Ordering::Less => (Role::A, own, peer),
        Ordering::Greater => (Role::B, peer, own),
        Ordering::Equal => return None,
    };
    let role = if signer == Side::Own { own_role } else { own_role.other() };
    Some(lv([DOMAIN, place.room.as_bytes(), role.as_bytes(), a.0, b.0, a.1, b.1, &key.0]))
}

#[cfg(test)]
mod tests;
