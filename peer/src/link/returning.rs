//! What a link makes of a server that was away: an open channel goes on, anything less begins anew.

use super::Link;
use crate::{ConnectionState, Peer, PeerId, negotiation::Input};

impl Link {
    /// The server knows us by another id. The peer learns it over the channel; an attempt that was on its way
    /// is lost with the old id.
    pub(super) async fn rejoined(&mut self, own_id: PeerId) {
        self.own_id = own_id;
        self.set_polite();
        self.begin_exchange_anew();
        if self.chat.is_open() {
            self.chat.say_rejoined(self.own_id.to_string());
        } else {
            self.close(ConnectionState::New).await;
        }
    }

    /// The peer is a member again, perhaps by another id.
    pub(super) async fn peer_returned(&mut self, server_id: PeerId) {
        self.server_id = server_id;
        self.peer_gone = false;
        self.set_polite();
        self.begin_exchange_anew();
        self.update(Peer { attached: true, ..self.peer.clone() }).await;
    }

    /// Something was lost on its way through the server.
    pub(super) async fn renegotiate(&mut self) {
        if let Some(recovery) = &mut self.recovery {
            // An attempt under way may wait for what was lost.
            recovery.hurry(tokio::time::Instant::now());
            return;
        }
        if self.chat.is_open() {
            return self.restart_ice().await;
        }
        // The peer may wait for an answer that was lost: what we offer then is in its place.
        let negotiation = self.negotiation.successor();
        self.close(ConnectionState::New).await;
        if self.begin(None).await {
            self.negotiation = negotiation;
            self.negotiate(Input::Connect).await;
        }
    }

    fn set_polite(&mut self) {
        self.polite = self.own_id < self.server_id;
        self.negotiation.set_polite(self.polite);
    }
}
