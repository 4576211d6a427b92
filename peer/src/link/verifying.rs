//! Who the peer is, as far as is known: it proved that it knows the code, our user compared a short string with it, or the
//! program knows the identity key that it proved. One that cannot be who it says is held until the program says otherwise.
//!
//! Invariant: what is known holds for one certificate; a peer that is held is told nothing and not heard.

use super::Link;
use crate::{Event, IdentityKey, Judgement, ShortString, Shown, Untrusted, connection::Fingerprint};

/// What is known.
#[derive(Default)]
pub(super) struct Standing {
    /// On the channel that is open, or was last.
    pub(super) shown: Option<Shown>,
    /// It is of the channel that is open.
    current: bool,
    /// The program knows the key.
    pub(super) known: bool,
    /// The certificate that the last short string was of.
    compared: Option<Fingerprint>,
    /// The string of the channel that is open now.
    string: Option<ShortString>,
    /// The user found it to be the same on both sides, or an earlier one under the same certificate.
    same: bool,
}

impl Link {
    /// Whether the peer is the one that the user means: by the code, the comparison or the key.
    pub(super) fn is_verified(&self) -> bool {
        let knows_code = self.sealing.as_ref().is_some_and(|sealing| sealing.is_proved());
        let verified = knows_code || self.standing.same || self.standing.known;
        verified && !self.chat.is_held()
    }

    /// The certificate that what is known of the peer holds for.
    pub(super) fn verified_certificate(&self) -> Option<Fingerprint> {
        self.standing.shown.as_ref().map(|shown| shown.certificate)
    }

    /// The user has compared this string. One of an earlier channel says nothing about who is on this one.
    pub(super) fn compared(&mut self, string: ShortString) {
        self.standing.same |= self.standing.string == Some(string);
    }

    /// Both users can compare this.
    pub(super) async fn short_string(&mut self, string: ShortString) {
        let shown = self.standing.shown.as_ref().map(|shown| shown.certificate);
        let before = std::mem::replace(&mut self.standing.compared, shown);
        let changed = before.is_some() && before != shown;
        self.standing.string = Some(string);
        self.events.send(Event::ShortString { peer_id: self.peer_id.clone(), string, changed }).await;
    }

    /// The channel is closed: nobody can compare its string any more.
    pub(super) fn forget_string(&mut self) {
        self.standing.string = None;
    }

    /// The peer is about to introduce itself on another channel: what it showed before is not judged under its new name.
    pub(super) fn forget_introduction(&mut self) {
        self.standing.current = false;
    }

    /// What the peer showed on a channel that is about to open; says whether it may.
    pub(super) async fn introduced(&mut self, display_name: Untrusted, key: Option<IdentityKey>) -> bool {
        let bound = self.sealing.as_ref().and_then(|sealing| sealing.bound_key());
        if bound.is_some_and(|bound| bound != key.map(IdentityKey::to_bytes)) {
            self.misbehaved("the identity key that it proved is not the one that it bound to the code").await;
            return false;
        }
        let Some(certificates) = self.certificates().await else {
            self.misbehaved("it showed no certificate").await;
            return false;
        };
        let certificate = certificates.peer;
        if self.standing.shown.as_ref().is_none_or(|shown| shown.certificate != certificate) {
            self.standing.known = false;
            self.standing.same = false;
        }
        self.standing.string = None;
        let shown = Shown { peer_id: self.peer_id.clone(), display_name, key, certificate };
        self.standing.current = true;
        let judgement = self.judge(&shown);
        self.settle(shown, judgement).await;
        true
    }

    /// The peer calls itself otherwise on an open channel. That does not free one that is held.
    pub(super) async fn judge_name(&mut self, display_name: Untrusted) {
        let current = self.standing.current && self.chat.is_open();
        let Some(shown) = self.standing.shown.clone().filter(|_| current) else { return };
        if shown.display_name == display_name {
            return;
        }
        let shown = Shown { display_name, ..shown };
        let judgement = self.judge(&shown);
        self.settle(shown, judgement).await;
    }

    /// The program may have learnt something. What was kept of a peer that was held is told now.
    pub(super) async fn judge_again(&mut self) {
        let Some(shown) = self.standing.shown.clone() else { return };
        let judgement = self.judge(&shown);
        self.conclude(shown, judgement).await;
    }

    fn judge(&self, shown: &Shown) -> Judgement {
        self.context.judge.as_ref().map_or(Judgement::New, |judge| judge.judge(shown))
    }

    async fn settle(&mut self, shown: Shown, judgement: Judgement) {
        // Whoever is held and takes another name, or another connection, is still whoever it was.
        let judgement = match judgement {
            Judgement::New if self.chat.is_held() => Judgement::Held,
            judgement => judgement,
        };
        self.conclude(shown, judgement).await;
    }

    async fn conclude(&mut self, shown: Shown, judgement: Judgement) {
        let mut kept = Vec::new();
        if judgement == Judgement::Held {
            let unsent = self.outgoing.take_if(|(_, message_id)| message_id.is_some());
            self.chat.hold(unsent.and_then(|(_, message_id)| message_id));
        } else {
            kept = self.chat.release();
            self.tell_peer().await;
        }
        self.standing.known = judgement == Judgement::Known;
        self.standing.shown = Some(shown.clone());
        self.events.send(Event::Identity { shown, judgement }).await;
        for text in kept {
            self.text(text).await;
        }
    }

    /// The user does not want the peer: it is not connected until the user wants that again. What it was to be sent and
    /// never was has failed.
    pub(super) async fn refuse(&mut self, refused: bool) {
        self.refused = refused;
        if !refused {
            return self.forgive();
        }
        let failed = self.chat.give_up_unsent();
        self.fail(failed).await;
        self.close(crate::ConnectionState::Closed).await;
    }
}
