//! Whether it is known who the peer is: it proved that it knows the code, or our user says so.
//!
//! Invariant: it holds for one certificate; a peer that shows another is not verified any more.

use super::Link;
use crate::{Event, ShortString, connection::Fingerprint};

/// What was compared, or can be.
#[derive(Default)]
pub(super) struct Comparison {
    /// The certificate of the peer when there was a string last.
    shown: Option<Fingerprint>,
    /// The string of the channel that is open now.
    string: Option<ShortString>,
    /// The user found it to be the same on both sides, or an earlier one under the same certificate.
    same: bool,
}

impl Link {
    /// Whether the peer is the one that the user means: in a sealed room by the code, in an open one because the program said so.
    pub(super) fn is_verified(&self) -> bool {
        let knows_code = self.sealing.as_ref().is_some_and(|sealing| sealing.is_proved());
        knows_code || self.comparison.same
    }

    /// The certificate of the peer when there was a short string last.
    pub(super) fn verified_certificate(&self) -> Option<Fingerprint> {
        self.comparison.shown
    }

    /// The user has compared this string. One of an earlier channel says nothing about who is on this one.
    pub(super) fn compared(&mut self, string: ShortString) {
        self.comparison.same |= self.comparison.string == Some(string);
    }

    /// Both users can compare this.
    pub(super) async fn short_string(&mut self, string: ShortString) {
        let shown = self.certificates().await.map(|certificates| certificates.peer);
        let before = std::mem::replace(&mut self.comparison.shown, shown);
        let changed = before.is_some() && before != shown;
        self.comparison.same &= !changed;
        self.comparison.string = Some(string);
        self.events.send(Event::ShortString { peer_id: self.peer_id.clone(), string, changed }).await;
    }

    /// A channel is open; what was compared on another certificate is void.
    pub(super) fn forget_comparison_unless(&mut self, shown: Option<Fingerprint>) {
        self.comparison.string = None;
        self.comparison.same &= self.comparison.shown.is_some() && self.comparison.shown == shown;
    }
}
