//! What of the peer's descriptions and candidates reaches the engine, and what waits until the peer is verified.

use webrtc::peer_connection::{RTCIceCandidateInit, RTCSessionDescription};

use super::{Connection, ConnectionConfig, EngineError, configuration, networks};
use crate::{
    candidate_gate::{self, Unfit},
    negotiation::{Candidate, DescriptionKind, username_fragments},
};

/// Candidates that may wait; one more is forgotten.
const WITHHELD_MAX: usize = 64;

impl Connection {
    pub(crate) async fn set_remote(&mut self, kind: DescriptionKind, sdp: String) -> Result<(), EngineError> {
        let fragments = username_fragments(&sdp);
        // Of an ICE generation that is over.
        self.withheld.retain(|candidate| {
            candidate.username_fragment.as_ref().is_none_or(|fragment| fragments.contains(fragment))
        });
        let description = match kind {
            DescriptionKind::Offer => RTCSessionDescription::offer(sdp),
            DescriptionKind::Answer => RTCSessionDescription::answer(sdp),
        };
        let description = description.map_err(|error| ("not a session description", error))?;
        self.engine
            .set_remote_description(description)
            .await
            .map_err(|error| ("cannot set the remote description", error).into())
    }

    pub(crate) async fn add_candidate(&mut self, candidate: Candidate) -> Result<(), EngineError> {
        let checked = candidate_gate::check(&candidate.candidate, &self.gate.lock());
        match checked {
            Ok(text) => self.take_candidate(Candidate { candidate: text, ..candidate }).await,
            Err(unfit) => {
                if unfit == Unfit::Unverified && self.withheld.len() < WITHHELD_MAX {
                    self.withheld.push(candidate);
                }
                Err(("an unfit candidate", unfit).into())
            }
        }
    }

    async fn take_candidate(&mut self, candidate: Candidate) -> Result<(), EngineError> {
        self.signaled.add(&candidate.candidate);
        let address = candidate_gate::transport_address(&candidate.candidate);
        let init = RTCIceCandidateInit {
            candidate: candidate.candidate,
            sdp_mid: candidate.sdp_mid,
            sdp_mline_index: candidate.sdp_m_line_index.and_then(|index| u16::try_from(index).ok()),
            username_fragment: candidate.username_fragment,
            url: None,
        };
        let added = self.engine.add_ice_candidate(init).await;
        added.map_err(|error| ("cannot add the candidate", error))?;
        address.inspect(|address| self.sources.lock().name(*address));
        Ok(())
    }

    /// Candidates at private addresses that a peer has to be verified for.
    pub(crate) fn withheld(&self) -> usize {
        self.withheld.len()
    }

    /// Takes those that may be taken by now.
    pub(crate) async fn reconsider_withheld(&mut self) {
        for candidate in std::mem::take(&mut self.withheld) {
            // Its reason was logged when it came.
            let _ = self.add_candidate(candidate).await;
        }
    }

    /// For the next ICE generation: servers, and which addresses may be used. What the engine was told already is not
    /// told again: it would forget the relayed addresses that the peer may know.
    pub(crate) async fn reconfigure(&mut self, config: &ConnectionConfig) -> Result<(), EngineError> {
        let relay_only = config.relay_only();
        {
            let mut gate = self.gate.lock();
            gate.verified = config.verified;
            gate.relay_only = relay_only;
            gate.networks = networks();
        }
        if self.ice_servers == config.ice_servers && self.relay_only == relay_only {
            return Ok(());
        }
        self.ice_servers.clone_from(&config.ice_servers);
        self.relay_only = relay_only;
        let ca_certificate = config.ca_certificate.as_ref();
        let ice_servers =
            self.turn_shims.serve(&config.ice_servers, ca_certificate, &self.local_addresses).await;
        let configuration = configuration(ice_servers, relay_only);
        let set = self.engine.set_configuration(configuration).await;
        set.map_err(|error| ("cannot change the ICE servers", error).into())
    }
}
