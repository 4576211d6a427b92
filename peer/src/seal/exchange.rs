//! One pair's exchange, as a state machine: request, share, reply, confirmation, then sealed messages.
//!
//! Invariant: a channel opens only to a peer that proved that it knows the words, for these two ids, with the terms that it bound;
//! whoever can make us answer a guess has spent one.

use bytes::Bytes;
use patchcord_proto::v1::{self, sealed_payload::Payload, sealed_refusal::Reason};
use prost::Message as _;

use super::{
    Channel, Code, Guesses,
    keys::{Keys, Role, TAG_BYTES, Transcript, channel_id, lv},
    messages::NotNext,
    pake::{BadShare, Common, Cpace, Pake, SHARE_BYTES, random},
};
use crate::{PeerId, ShortString};

const SESSION_ID_BYTES: usize = 16;
const FINGERPRINT_BYTES: usize = 32;
const CAPABILITIES_BYTES_MAX: usize = 1024;

/// What a side binds to the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// SHA-256 of its DTLS certificate in DER.
    pub fingerprint: [u8; FINGERPRINT_BYTES],
    /// Its Ed25519 public key, when it has one.
    pub identity_key: Option<[u8; 32]>,
    pub capabilities: Vec<u8>,
}

impl Terms {
    /// AD.
    pub(crate) fn bound(&self) -> Vec<u8> {
        let identity_key = self.identity_key.as_ref().map_or(&[][..], |key| &key[..]);
        lv([&self.fingerprint[..], identity_key, &self.capabilities])
    }
}

/// What a payload of the peer's brought.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Nothing to do.
    Nothing,
    /// Send this.
    Answer(Bytes),
    /// The peer knows the words: the channel is open. What is to be sent goes first.
    Open { terms: Terms, string: ShortString, answer: Option<Bytes> },
    /// A message came.
    Message(v1::Negotiation),
    /// The peer ended the exchange. Not protected: a reason to begin again or to tell the user, never to go on in clear.
    Refused(Reason),
}

/// The exchange is over; [`Broken::reason`] is for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("it does not decode, or is outside its limits")]
    Malformed,
    #[error("the peer knows other words")]
    OtherWords,
    #[error("too many wrong words were tried: the code is used up, make a new one")]
    Burnt,
    #[error(transparent)]
    NotNext(#[from] NotNext),
    #[error("the system gives no random bits")]
    NoRandom,
}

impl Broken {
    /// What the peer is told.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::OtherWords => Reason::OtherWords,
            Self::Burnt => Reason::Burnt,
            Self::Malformed | Self::NotNext(_) | Self::NoRandom => Reason::Broken,
        }
    }
}

impl From<BadShare> for Broken {
    fn from(_: BadShare) -> Self {
        Self::Malformed
    }
}

struct Begun {
    told: Bytes,
    session_id: Bytes,
    share: Vec<u8>,
    pake: <Cpace as Pake>::Begun,
}

struct Answered {
    told: Bytes,
    session_id: Bytes,
    keys: Keys,
    theirs: Terms,
}

/// Between us and one peer.
pub(crate) struct Exchange {
    code: Code,
    role: Role,
    channel_id: Vec<u8>,
    ours: Terms,
    begun: Option<Begun>,
    answered: Option<Answered>,
    channel: Option<Channel>,
    /// Whose exchange the last payload that could not be taken was of.
    refused: Bytes,
}

impl Exchange {
    /// Between these two ids.
    pub(crate) fn new(code: Code, own_id: &PeerId, peer_id: &PeerId, ours: Terms) -> Self {
        let (role, a, b) = match own_id < peer_id {
            true => (Role::A, own_id, peer_id),
            false => (Role::B, peer_id, own_id),
        };
        let channel_id = channel_id(code.locator(), a.as_str(), b.as_str());
        Self {
            code,
            role,
            channel_id,
            ours,
            begun: None,
            answered: None,
            channel: None,
            refused: Bytes::new(),
        }
    }

    /// Begins, or asks the peer to. What is under way is only said again: each answer to another share would be a guess.
    pub(crate) fn begin(&mut self, guesses: &Guesses) -> Result<Bytes, Broken> {
        if guesses.are_used_up() {
            return Err(Broken::Burnt);
        }
        if self.role == Role::B {
            return Ok(encode(Payload::Request(v1::SealedRequest {})));
        }
        if let Some(begun) = &self.begun {
            return Ok(begun.told.clone());
        }
        let mut session_id = [0; SESSION_ID_BYTES];
        getrandom::fill(&mut session_id).map_err(|_| Broken::NoRandom)?;
        let session_id = Bytes::copy_from_slice(&session_id);
        let (share, pake) = Cpace::begin(self.common(&session_id), &self.ours.bound(), &mut random())?;
        let told = v1::SealedShare {
            session_id: session_id.clone(),
            share: share.clone().into(),
            terms: Some(terms_told(&self.ours)),
        };
        let told = encode(Payload::Share(told));
        self.begun = Some(Begun { told: told.clone(), session_id, share, pake });
        Ok(told)
    }

    /// Takes what the peer sent. After an error nothing of the exchange is left, and it can be begun again.
    pub(crate) fn handle(&mut self, payload: &[u8], guesses: &mut Guesses) -> Result<Outcome, Broken> {
        let payload = v1::SealedPayload::decode(payload).map_err(|_| Broken::Malformed);
        self.refused = payload.as_ref().map(session_id).unwrap_or_default();
        let outcome = payload.and_then(|payload| self.take(payload, guesses));
        if outcome.is_err() {
            self.begun = None;
            self.answered = None;
            self.channel = None;
        }
        outcome
    }

    /// Whether messages can be sealed.
    pub(crate) fn is_open(&self) -> bool {
        self.channel.is_some()
    }

    /// The next message to the peer; none before the channel is open.
    pub(crate) fn seal(&mut self, negotiation: &v1::Negotiation) -> Option<Bytes> {
        self.channel.as_mut().map(|channel| encode(Payload::Message(channel.seal(negotiation))))
    }

    /// What tells the peer that the last payload ended the exchange.
    pub(crate) fn refusal(&self, reason: Reason) -> Bytes {
        let session_id = self.refused.clone();
        encode(Payload::Refusal(v1::SealedRefusal { session_id, reason: reason.into() }))
    }

    fn take(&mut self, payload: v1::SealedPayload, guesses: &mut Guesses) -> Result<Outcome, Broken> {
        match payload.payload {
            Some(Payload::Request(_)) if self.role == Role::A => Ok(Outcome::Answer(self.begin(guesses)?)),
            Some(Payload::Share(share)) if self.role == Role::B => self.reply(share, guesses),
            Some(Payload::Reply(reply)) => self.confirm(reply, guesses),
            Some(Payload::Confirmation(confirmation)) => self.confirmed(&confirmation, guesses),
            Some(Payload::Message(message)) => match &mut self.channel {
                Some(channel) if channel.session_id() == &message.session_id[..] => {
                    Ok(Outcome::Message(channel.open(&message)?))
                }
                // Of an exchange that is over here: the peer has to begin another.
                _ => Ok(Outcome::Answer(self.refusal(Reason::Broken))),
            },
            Some(Payload::Refusal(refusal)) if !self.is_of(&refusal.session_id) => Ok(Outcome::Nothing),
            Some(Payload::Refusal(refusal)) => Ok(Outcome::Refused(refusal.reason())),
            // Of a later version, or for the other role.
            Some(Payload::Request(_) | Payload::Share(_)) | None => Ok(Outcome::Nothing),
        }
    }

    /// Whether an exchange of this id is under way or done here. A refusal without an id can only be of a request, and says
    /// nothing about what has begun: anybody can say it.
    fn is_of(&self, session_id: &[u8]) -> bool {
        let begun = self.begun.as_ref().map(|begun| &begun.session_id[..]);
        let answered = self.answered.as_ref().map(|answered| &answered.session_id[..]);
        let open = self.channel.as_ref().map(Channel::session_id);
        let known = [begun, answered, open];
        match session_id.is_empty() {
            true => known == [None; 3],
            false => known.contains(&Some(session_id)),
        }
    }

    /// B: proves itself first, which is a guess to whoever does not know the words.
    fn reply(&mut self, share: v1::SealedShare, guesses: &mut Guesses) -> Result<Outcome, Broken> {
        if guesses.are_used_up() {
            return Err(Broken::Burnt);
        }
        if let Some(answered) =
            self.answered.as_ref().filter(|answered| answered.session_id == share.session_id)
        {
            return Ok(Outcome::Answer(answered.told.clone()));
        }
        let theirs = terms_heard(share.terms)?;
        if share.session_id.len() != SESSION_ID_BYTES || share.share.len() != SHARE_BYTES {
            return Err(Broken::Malformed);
        }
        let (terms_a, terms_b) = (theirs.bound(), self.ours.bound());
        let common = self.common(&share.session_id);
        let (own_share, agreed) = Cpace::answer(common, &share.share, &terms_a, &terms_b, &mut random())?;
        let transcript = Transcript::new([
            &self.channel_id,
            &share.session_id,
            &share.share,
            &terms_a,
            &own_share,
            &terms_b,
        ]);
        let keys = Keys::derive(&agreed, transcript);
        let reply = v1::SealedReply {
            session_id: share.session_id.clone(),
            share: own_share.into(),
            terms: Some(terms_told(&self.ours)),
            tag: Bytes::copy_from_slice(&keys.confirmation(Role::B)),
        };
        guesses.count();
        let told = encode(Payload::Reply(reply));
        self.answered = Some(Answered { told: told.clone(), session_id: share.session_id, keys, theirs });
        Ok(Outcome::Answer(told))
    }

    /// A: the peer's proof, then our own.
    fn confirm(&mut self, reply: v1::SealedReply, guesses: &mut Guesses) -> Result<Outcome, Broken> {
        let Some(begun) = self.begun.take_if(|begun| begun.session_id == reply.session_id) else {
            return Ok(Outcome::Nothing);
        };
        if guesses.are_used_up() {
            return Err(Broken::Burnt);
        }
        let theirs = terms_heard(reply.terms)?;
        if reply.share.len() != SHARE_BYTES || reply.tag.len() != TAG_BYTES {
            return Err(Broken::Malformed);
        }
        let (terms_a, terms_b) = (self.ours.bound(), theirs.bound());
        let transcript = Transcript::new([
            &self.channel_id,
            &begun.session_id,
            &begun.share,
            &terms_a,
            &reply.share,
            &terms_b,
        ]);
        let keys = Keys::derive(&Cpace::finish(begun.pake, &reply.share, &terms_b)?, transcript);
        if !keys.confirms(Role::B, &reply.tag) {
            guesses.count();
            return Err(Broken::OtherWords);
        }
        let tag = Bytes::copy_from_slice(&keys.confirmation(Role::A));
        let confirmation = v1::SealedConfirmation { session_id: reply.session_id.clone(), tag };
        let string = keys.short_string();
        self.open(&reply.session_id, keys);
        Ok(Outcome::Open { terms: theirs, string, answer: Some(encode(Payload::Confirmation(confirmation))) })
    }

    /// B: the peer's proof.
    fn confirmed(
        &mut self,
        confirmation: &v1::SealedConfirmation,
        guesses: &mut Guesses,
    ) -> Result<Outcome, Broken> {
        let of_it = |answered: &mut Answered| answered.session_id == confirmation.session_id;
        let Some(answered) = self.answered.take_if(of_it) else { return Ok(Outcome::Nothing) };
        if !answered.keys.confirms(Role::A, &confirmation.tag) {
            return Err(Broken::OtherWords);
        }
        guesses.take_back();
        let string = answered.keys.short_string();
        self.open(&answered.session_id, answered.keys);
        Ok(Outcome::Open { terms: answered.theirs, string, answer: None })
    }

    fn open(&mut self, session_id: &[u8], keys: Keys) {
        self.channel = Some(Channel::new(session_id.to_vec(), self.channel_id.clone(), self.role, keys));
    }

    fn common<'a>(&'a self, session_id: &'a [u8]) -> Common<'a> {
        Common { password: self.code.words(), channel: &self.channel_id, session_id }
    }
}

fn session_id(payload: &v1::SealedPayload) -> Bytes {
    match &payload.payload {
        Some(Payload::Share(share)) => share.session_id.clone(),
        Some(Payload::Reply(reply)) => reply.session_id.clone(),
        Some(Payload::Confirmation(confirmation)) => confirmation.session_id.clone(),
        Some(Payload::Message(message)) => message.session_id.clone(),
        Some(Payload::Request(_) | Payload::Refusal(_)) | None => Bytes::new(),
    }
}

fn terms_told(terms: &Terms) -> v1::SealedTerms {
    v1::SealedTerms {
        fingerprint: Bytes::copy_from_slice(&terms.fingerprint),
        identity_key: terms.identity_key.map(|key| Bytes::copy_from_slice(&key)).unwrap_or_default(),
        capabilities: Bytes::copy_from_slice(&terms.capabilities),
    }
}

fn terms_heard(terms: Option<v1::SealedTerms>) -> Result<Terms, Broken> {
    let terms = terms.ok_or(Broken::Malformed)?;
    let fingerprint = terms.fingerprint[..].try_into().map_err(|_| Broken::Malformed)?;
    let identity_key = match terms.identity_key[..] {
        [] => None,
        ref key => Some(key.try_into().map_err(|_| Broken::Malformed)?),
    };
    if terms.capabilities.len() > CAPABILITIES_BYTES_MAX {
        return Err(Broken::Malformed);
    }
    Ok(Terms { fingerprint, identity_key, capabilities: terms.capabilities.to_vec() })
}

fn encode(payload: Payload) -> Bytes {
    v1::SealedPayload { payload: Some(payload) }.encode_to_vec().into()
}

#[cfg(test)]
mod tests;
