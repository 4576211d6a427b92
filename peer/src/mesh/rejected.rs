//! What the server did not carry out, as far as the user has to know.

use patchcord_proto::v1::signal_response::rejected::Code;

use super::Mesh;
use crate::{Event, ProblemCode};

impl Mesh {
    pub(super) fn rejected(&mut self, code: Code, message: String) {
        let is_told = match code {
            // A peer that left while we wrote to it: its PeerLeft says all there is to say.
            Code::NoSuchPeer => true,
            // A token that permits to look on only: each candidate would say so again.
            Code::NotPermitted => std::mem::replace(&mut self.not_permitted_told, true),
            _ => false,
        };
        if !is_told {
            let code = ProblemCode::Rejected;
            self.pending.push_back(Event::Problem { code, peer_id: None, message });
        }
    }
}
