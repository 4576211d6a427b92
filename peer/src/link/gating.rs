//! What a peer says through the server passes here before anything is made of it; and whether the peer is verified, on which
//! depends where our packets may go.

use tokio::time::Instant;

use super::Link;
use crate::{
    IceTransportPolicy, IpPolicy,
    connection::Fingerprint,
    negotiation::{Candidate, DescriptionKind, Input},
    sdp_gate::{self, Described},
};

/// Violations of one peer that are told; then it is not answered until the user wishes so.
pub(super) const VIOLATIONS_MAX: u32 = 3;

impl Link {
    /// A description of the peer, in clear or opened.
    pub(super) async fn remote_description(&mut self, kind: DescriptionKind, sdp: String) {
        match kind {
            DescriptionKind::Offer if self.violations >= VIOLATIONS_MAX => {
                tracing::debug!(peer_id = %self.peer_id, "ignored an offer: it broke the rules too often");
                return;
            }
            DescriptionKind::Offer if !self.offers.take(Instant::now()) => {
                tracing::debug!(peer_id = %self.peer_id, "ignored an offer: they come too fast");
                return;
            }
            DescriptionKind::Answer if self.attempt.is_none() || !self.negotiation.awaits_answer() => return,
            DescriptionKind::Offer | DescriptionKind::Answer => {}
        }
        match sdp_gate::check(&sdp) {
            Ok(Described { fingerprint, .. }) if !self.is_bound(fingerprint) => {
                self.misbehaved("it describes another certificate than the one that it proved").await;
            }
            Ok(Described { sdp, fingerprint, candidates }) => {
                self.described(kind, sdp, fingerprint).await;
                for candidate in candidates {
                    self.remote_candidate(candidate).await;
                }
            }
            Err(unfit) => self.misbehaved(&format!("its session description {unfit}")).await,
        }
    }

    pub(super) async fn remote_candidate(&mut self, candidate: Candidate) {
        if self.candidates.take(Instant::now()) {
            self.negotiate(Input::RemoteCandidate(candidate)).await;
        } else {
            tracing::debug!(peer_id = %self.peer_id, "ignored a candidate: there are too many");
        }
    }

    /// Whether another violation is to be told; the last one with what becomes of it.
    pub(super) fn counts_violation(&mut self) -> Option<&'static str> {
        self.violations = self.violations.saturating_add(1);
        match self.violations {
            ..VIOLATIONS_MAX => Some(""),
            VIOLATIONS_MAX => Some("; it is not answered any more: /connect tries again"),
            _ => None,
        }
    }

    /// The user, and no policy, wants the peer to be connected: what it did is told anew.
    pub(super) fn forgive(&mut self) {
        self.violations = 0;
        self.forget_told();
    }

    /// Nobody is trusted but under the certificate that was verified.
    fn trusts(&self) -> bool {
        let known = self.verified_certificate();
        let is_other = self.named.is_some() && known.is_some() && self.named != known;
        // In a sealed room nobody gets this far without the code.
        self.sealing.is_some() || (self.is_verified() && !is_other)
    }

    /// A description that is about to be used names this certificate; none when the first one is ours.
    pub(super) async fn name(&mut self, certificate: Option<Fingerprint>) {
        self.named = certificate;
        // Another path is not asked for: what is negotiated right now takes it.
        self.adopt_trust().await;
    }

    /// Whether the peer is trusted may have changed, and with it where packets may go.
    pub(super) async fn keep_to_trust(&mut self) {
        if self.adopt_trust().await && self.chat.is_open() {
            self.restart_ice().await;
        }
    }

    /// Says whether there may be another path now.
    async fn adopt_trust(&mut self) -> bool {
        let trusts = self.trusts();
        let config = &mut self.context.connection;
        if std::mem::replace(&mut config.verified, trusts) == trusts {
            return false;
        }
        let Some(attempt) = &mut self.attempt else { return false };
        let was_confined =
            config.ip_policy == IpPolicy::Relay && config.ice_transport_policy == IceTransportPolicy::All;
        let another_path = was_confined || attempt.connection.withheld() > 0;
        if let Err(error) = attempt.connection.reconfigure(config).await {
            tracing::debug!(peer_id = %self.peer_id, %error, "the connection keeps its addresses");
        }
        attempt.connection.reconsider_withheld().await;
        another_path
    }

    /// To be put behind what failed.
    pub(super) fn withheld(&self) -> String {
        match self.attempt.as_ref().map_or(0, |attempt| attempt.connection.withheld()) {
            0 => String::new(),
            _ => "; its private addresses were not tried, as it is not verified: --ip-policy any tries them"
                .into(),
        }
    }
}
