//! The short authentication string of an open room ("wrtc/1 sas", chat.proto): both users see the same words when nobody is
//! between them, and whoever is has one try in 2^39. Pure: no clock, no I/O.
//!
//! Invariant: A is bound to its part before it sees B's; a string is given only when certificates and identity keys are the ones that
//! were bound.

use std::fmt;

use bytes::Bytes;
use hkdf::Hkdf;
use patchcord_proto::v1::{self, chat_sas::Step};
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::seal::{Role, Terms, lv, word};

const INFO: &[u8] = b"wrtc/1 sas";
const HASH_BYTES: usize = 32;
const RANDOM_BYTES: usize = 32;
pub(crate) const STRING_BYTES: usize = 10;
const WORDS: usize = 4;
const BITS_PER_WORD: usize = 10;
const NUMBERS: usize = 3;
const BITS_PER_NUMBER: usize = 13;

/// What two users compare: the same on both screens when nobody is between them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShortString([u8; STRING_BYTES]);

impl ShortString {
    /// Of these bits, which only both sides know.
    pub fn new(bits: [u8; STRING_BYTES]) -> Self {
        Self(bits)
    }

    /// Four words: 40 bits.
    pub fn words(&self) -> [&'static str; WORDS] {
        std::array::from_fn(|number| word(self.bits(number * BITS_PER_WORD, BITS_PER_WORD)))
    }

    /// Three numbers of four digits: 39 bits, others than those of the words.
    pub fn numbers(&self) -> [u16; NUMBERS] {
        std::array::from_fn(|number| {
            let first = STRING_BYTES / 2 * 8 + number * BITS_PER_NUMBER;
            1000 + self.bits(first, BITS_PER_NUMBER) as u16
        })
    }

    fn bits(&self, first: usize, count: usize) -> usize {
        (first..first + count).fold(0, |bits, at| bits << 1 | usize::from(self.0[at / 8] >> (7 - at % 8) & 1))
    }
}

impl fmt::Display for ShortString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(" "))
    }
}

impl fmt::Debug for ShortString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShortString({self})")
    }
}

/// What a step of the peer's brought.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Nothing that a user sees.
    Nothing,
    /// The string is there.
    Ready(ShortString),
}

/// The connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("a step towards the short string is outside its limits, or not due")]
    Malformed,
    #[error("somebody is in between: the peer's certificate is not the one that it sees as its own")]
    OtherCertificate,
    #[error("the identity key that it binds to the short string is not the one that it proved")]
    OtherIdentity,
    #[error("somebody is in between: the peer's part is not the one that it committed itself to")]
    OtherPart,
}

struct Part {
    public_key: [u8; 32],
    random: [u8; RANDOM_BYTES],
    terms: Terms,
}

enum State {
    /// A: the commitment is sent.
    Committed,
    /// B: waits for the commitment.
    Waiting,
    /// B: the commitment is here, its own part is sent.
    Answered { commitment: [u8; HASH_BYTES] },
    /// The string is there.
    Ready,
}

/// Between us and one peer, on one channel.
pub(crate) struct Sas {
    role: Role,
    channel_id: Vec<u8>,
    secret: StaticSecret,
    ours: Part,
    /// The certificate that the peer showed to the transport.
    seen: [u8; HASH_BYTES],
    /// The identity key that the peer proved.
    proved: Option<[u8; 32]>,
    state: State,
    steps: Vec<v1::ChatSas>,
}

/// Where an exchange takes place.
pub(crate) struct Place<'a> {
    pub room: &'a str,
    pub own_session_id: &'a [u8],
    pub peer_session_id: &'a [u8],
    /// SHA-256 of the certificates, our own and the one that the peer showed to the transport.
    pub own_fingerprint: [u8; HASH_BYTES],
    pub peer_fingerprint: [u8; HASH_BYTES],
}

impl Sas {
    /// None without random bits, or between sessions of one id, as only an echo has.
    pub(crate) fn new(
        place: &Place<'_>,
        own_key: Option<[u8; 32]>,
        peer_key: Option<[u8; 32]>,
    ) -> Option<Self> {
        let (mut secret, mut random) = (zeroize::Zeroizing::new([0; 32]), [0; RANDOM_BYTES]);
        getrandom::fill(&mut *secret).and_then(|()| getrandom::fill(&mut random)).ok()?;
        let (role, a, b) = match place.own_session_id.cmp(place.peer_session_id) {
            std::cmp::Ordering::Less => (Role::A, place.own_session_id, place.peer_session_id),
            std::cmp::Ordering::Greater => (Role::B, place.peer_session_id, place.own_session_id),
            std::cmp::Ordering::Equal => return None,
        };
        let channel_id = lv([INFO, place.room.as_bytes(), a, b]);
        let secret = StaticSecret::from(*secret);
        let terms =
            Terms { fingerprint: place.own_fingerprint, identity_key: own_key, capabilities: Vec::new() };
        let ours = Part { public_key: PublicKey::from(&secret).to_bytes(), random, terms };
        let mut sas = Self {
            role,
            channel_id,
            secret,
            ours,
            seen: place.peer_fingerprint,
            proved: peer_key,
            state: State::Waiting,
            steps: Vec::new(),
        };
        if role == Role::A {
            let commitment = Bytes::copy_from_slice(&sas.commitment(&sas.ours));
            sas.say(Step::Commitment(commitment));
            sas.state = State::Committed;
        }
        Some(sas)
    }

    /// The next step to send.
    pub(crate) fn next_step(&mut self) -> Option<v1::ChatSas> {
        (!self.steps.is_empty()).then(|| self.steps.remove(0))
    }

    /// Takes a step of the peer's.
    pub(crate) fn handle(&mut self, step: v1::ChatSas) -> Result<Outcome, Broken> {
        match (step.step, &self.state) {
            // Of a later version.
            (None, _) => Ok(Outcome::Nothing),
            (Some(Step::Commitment(commitment)), State::Waiting) => {
                let commitment = commitment[..].try_into().map_err(|_| Broken::Malformed)?;
                self.say(Step::Key(told(&self.ours)));
                self.state = State::Answered { commitment };
                Ok(Outcome::Nothing)
            }
            (Some(Step::Key(part)), State::Committed) => {
                let part = self.heard(part)?;
                self.say(Step::Reveal(told(&self.ours)));
                self.ready(&part)
            }
            (Some(Step::Reveal(part)), State::Answered { commitment }) => {
                let commitment = *commitment;
                let part = heard(part)?;
                if self.commitment(&part) != commitment {
                    return Err(Broken::OtherPart);
                }
                self.check_terms(&part)?;
                self.ready(&part)
            }
            _ => Err(Broken::Malformed),
        }
    }

    fn heard(&self, part: v1::ChatSasPart) -> Result<Part, Broken> {
        let part = heard(part)?;
        self.check_terms(&part)?;
        Ok(part)
    }

    fn check_terms(&self, part: &Part) -> Result<(), Broken> {
        if part.terms.fingerprint != self.seen {
            return Err(Broken::OtherCertificate);
        }
        if part.terms.identity_key == self.proved { Ok(()) } else { Err(Broken::OtherIdentity) }
    }

    fn ready(&mut self, theirs: &Part) -> Result<Outcome, Broken> {
        let agreed = self.secret.diffie_hellman(&PublicKey::from(theirs.public_key));
        if !agreed.was_contributory() {
            return Err(Broken::Malformed);
        }
        let (a, b) = match self.role {
            Role::A => (&self.ours, theirs),
            Role::B => (theirs, &self.ours),
        };
        let (terms_a, terms_b) = (a.terms.bound(), b.terms.bound());
        let seen =
            [&self.channel_id[..], &a.public_key, &terms_a, &a.random, &b.public_key, &terms_b, &b.random];
        let transcript: [u8; HASH_BYTES] = Sha256::digest(lv(seen)).into();
        let mut string = [0; STRING_BYTES];
        let expanded = Hkdf::<Sha256>::new(Some(&transcript), agreed.as_bytes()).expand(INFO, &mut string);
        expanded.expect("10 bytes are fewer than the 8,160 that HKDF-SHA-256 gives");
        self.state = State::Ready;
        Ok(Outcome::Ready(ShortString(string)))
    }

    fn commitment(&self, part: &Part) -> [u8; HASH_BYTES] {
        let terms = part.terms.bound();
        Sha256::digest(lv([&self.channel_id[..], &part.public_key, &terms, &part.random])).into()
    }

    fn say(&mut self, step: Step) {
        self.steps.push(v1::ChatSas { step: Some(step) });
    }
}

fn told(part: &Part) -> v1::ChatSasPart {
    let identity_key = part.terms.identity_key.map(|key| Bytes::copy_from_slice(&key));
    v1::ChatSasPart {
        public_key: Bytes::copy_from_slice(&part.public_key),
        random: Bytes::copy_from_slice(&part.random),
        fingerprint: Bytes::copy_from_slice(&part.terms.fingerprint),
        identity_key: identity_key.unwrap_or_default(),
    }
}

fn heard(part: v1::ChatSasPart) -> Result<Part, Broken> {
    let array = |bytes: &Bytes| <[u8; 32]>::try_from(&bytes[..]).map_err(|_| Broken::Malformed);
    let identity_key = match part.identity_key.is_empty() {
        true => None,
        false => Some(array(&part.identity_key)?),
    };
    let terms = Terms { fingerprint: array(&part.fingerprint)?, identity_key, capabilities: Vec::new() };
    Ok(Part { public_key: array(&part.public_key)?, random: array(&part.random)?, terms })
}

#[cfg(test)]
mod tests;
