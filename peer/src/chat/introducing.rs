//! Who is at the other end: what both sides prove right after the hellos, and what becomes of what a peer says that our user
//! does not want to hear yet.
//!
//! Invariant: no text goes either way before the peer has introduced itself, and none while it is held.

use bytes::Bytes;
use patchcord_proto::v1::{self, chat_frame::Frame};

use super::{Chat, HELD_BYTES_MAX, HELD_TEXTS_MAX, Heard, IncomingText, Violation};
use crate::{
    IdentityKey, MessageId, Untrusted,
    identity::KEY_BYTES,
    sas::{Place, Sas},
};

/// What a hello said, until its sender has introduced itself.
pub(super) struct Waiting {
    pub display_name: Untrusted,
    /// The peer takes part in short strings.
    pub compares: bool,
}

impl Chat {
    /// Our own introduction, if it is due: first of all after the hellos.
    pub(super) fn own_identity(&mut self) -> Option<Frame> {
        if !std::mem::take(&mut self.proof_wanted) {
            return None;
        }
        let proved = self.identity.secret.as_ref().and_then(|secret| {
            let signature = secret.prove(&self.place()?)?;
            Some((secret.key().to_bytes(), signature))
        });
        let (key, signature) = match &proved {
            Some((key, signature)) => (Bytes::copy_from_slice(key), Bytes::copy_from_slice(signature)),
            None => Default::default(),
        };
        Some(Frame::Identity(v1::ChatIdentity { key, signature }))
    }

    pub(super) fn handle_identity(
        &mut self,
        identity: &v1::ChatIdentity,
    ) -> Result<Option<Heard>, Violation> {
        // Of a peer that was not told that we take part.
        if self.certificates.is_none() {
            return Ok(None);
        }
        if self.waiting.is_none() {
            return Err(Violation::SecondIdentity);
        }
        let key = if identity.key.is_empty() && identity.signature.is_empty() {
            None
        } else {
            let key = <[u8; KEY_BYTES]>::try_from(&identity.key[..]).map_err(|_| Violation::OutsideLimits)?;
            let key = IdentityKey::from_bytes(key);
            let place = self.place().ok_or(Violation::FalseIdentity)?;
            let proved = key.is_proved(&place, &identity.signature);
            Some(proved.then_some(key).ok_or(Violation::FalseIdentity)?)
        };
        let waiting = self.waiting.take();
        Ok(waiting.map(|waiting| self.introduced(waiting, key, Vec::new())))
    }

    /// The channel is open in both directions.
    pub(super) fn introduced(
        &mut self,
        waiting: Waiting,
        key: Option<IdentityKey>,
        failed: Vec<MessageId>,
    ) -> Heard {
        let Waiting { display_name, compares } = waiting;
        if compares && self.certificates.is_some_and(|certificates| certificates.to_compare) {
            let own_key = self.identity.secret.as_ref().map(|secret| secret.key().to_bytes());
            let peer_key = key.map(IdentityKey::to_bytes);
            self.sas = self.place().and_then(|place| Sas::new(&place, own_key, peer_key));
        }
        Heard::Open { display_name, key, failed }
    }

    fn place(&self) -> Option<Place<'_>> {
        let certificates = self.certificates?;
        Some(Place {
            room: &self.identity.room,
            own_session_id: &self.session_id,
            peer_session_id: self.heard_session.as_ref()?,
            own_fingerprint: certificates.own,
            peer_fingerprint: certificates.peer,
        })
    }

    /// From here on nothing is said to the peer, and what it says is kept. `unsent` was about to be sent.
    pub(crate) fn hold(&mut self, unsent: Option<MessageId>) {
        self.held = true;
        self.typing = None;
        if unsent.is_some() {
            self.sent = self.sent.saturating_sub(1);
        }
    }

    /// Gives out what the peer has said meanwhile, in order; each text is to be told by [`Chat::handled`].
    pub(crate) fn release(&mut self) -> Vec<IncomingText> {
        self.held = false;
        self.kept_bytes = 0;
        self.kept.drain(..).collect()
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    /// Whether nothing more of a peer that is held can be kept, so that it has to wait.
    pub(crate) fn is_full(&self) -> bool {
        self.kept.len() >= HELD_TEXTS_MAX || self.kept_bytes >= HELD_BYTES_MAX
    }

    /// The number that the next text of the peer has.
    pub(super) fn expected_seq(&self) -> u64 {
        self.kept.back().map_or(self.heard_seq, |text| text.seq) + 1
    }

    /// The text, unless its writer is held.
    pub(super) fn unless_held(&mut self, text: IncomingText) -> Option<Heard> {
        if !self.held {
            return Some(Heard::Text(text));
        }
        self.kept_bytes += text.text.as_raw().len();
        self.kept.push_back(text);
        None
    }

    pub(super) fn forget_kept(&mut self) {
        self.kept.clear();
        self.kept_bytes = 0;
    }
}
