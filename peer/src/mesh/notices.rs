//! What links tell the room: what is to be relayed, and how their peers and channels are.

use patchcord_proto::v1::signal_request as request;

use super::Mesh;
use crate::{Event, LeaveReason, PeerId, link::Notice, negotiation::DescriptionKind, signaling::Signaling};

impl Mesh {
    pub(super) fn notice(&mut self, peer_id: PeerId, notice: Notice) {
        let Some(member) = self.members.get_mut(&peer_id) else { return };
        let server_id = member.server_id.clone();
        match notice {
            Notice::Description { kind: DescriptionKind::Offer, sdp } => {
                self.request(request::Message::Offer(request::Offer {
                    to_peer_id: server_id.to_string(),
                    sdp,
                }));
            }
            Notice::Description { kind: DescriptionKind::Answer, sdp } => {
                self.request(request::Message::Answer(request::Answer {
                    to_peer_id: server_id.to_string(),
                    sdp,
                }));
            }
            Notice::Candidate(candidate) => {
                self.request(request::Message::Candidate(request::Candidate {
                    to_peer_id: server_id.to_string(),
                    candidate: candidate.candidate,
                    sdp_mid: candidate.sdp_mid,
                    sdp_m_line_index: candidate.sdp_m_line_index,
                    username_fragment: candidate.username_fragment,
                }));
            }
            Notice::Sealed(payload) => {
                let to_peer_id = server_id.to_string();
                self.request(request::Message::Sealed(request::Sealed { to_peer_id, payload }));
            }
            Notice::SaidBye => {
                member.said_bye = true;
                self.let_go_of_the_gone();
            }
            Notice::Open(open) => {
                member.open = open;
                self.settle_if_nobody_is_missing();
            }
            Notice::NetworkMayHaveChanged => self.signaling.iter().for_each(Signaling::doubt),
            Notice::Claim { server_id } => self.claimed(&peer_id, server_id),
            Notice::Ended { undelivered } => {
                let reason = member.left.unwrap_or(LeaveReason::Left);
                self.members.remove(&peer_id);
                self.by_server_id.retain(|_, known| *known != peer_id);
                self.settle_if_nobody_is_missing();
                if self.leaving.is_none() {
                    self.pending.push_back(Event::PeerLeft { peer_id, reason });
                } else {
                    self.undelivered.extend(undelivered.into_iter().map(|id| (id, peer_id.clone())));
                }
            }
        }
    }

    /// A request that the server does not take is lost; what depends on it times out and says so.
    pub(super) fn request(&self, message: request::Message) {
        if let Some(signaling) = &self.signaling
            && !signaling.try_send(message)
        {
            tracing::warn!("signaling is stuck; a request is lost");
        }
    }
}
