//! The chat session of a link: frames in and out of its channel, and what they tell the user.

use std::sync::atomic::Ordering::Relaxed;

use tokio::time::Instant;

use super::{BYE_TIMEOUT, Link, Notice};
use crate::{
    ConnectionState, ConnectionStep, DeliveryState, Event, IdentityKey, Message, MessageId, Peer, PeerId,
    Untrusted,
    chat::{Heard, IncomingText},
};

impl Link {
    /// Hands the pending frame to the channel, which has room for it.
    pub(super) async fn send_frame(&mut self) {
        let (Some((frame, message_id)), Some(attempt)) = (self.outgoing.take(), &self.attempt) else {
            return;
        };
        if attempt.connection.channel().send(frame).await.is_err() {
            return self.unwritable().await;
        }
        if let Some(message_id) = message_id {
            self.receipts(vec![message_id], DeliveryState::Sent).await;
        }
        if self.chat.goodbye_is_sent() && self.deadline.is_none() {
            self.deadline = Some(Instant::now() + BYE_TIMEOUT);
        }
    }

    pub(super) async fn frame(&mut self, frame: &[u8]) {
        let (heard, delivered) = match self.chat.handle(frame) {
            Ok(result) => result,
            Err(violation) => return self.misbehaved(&violation.to_string()).await,
        };
        let brings_nothing = heard.is_none() && delivered.is_empty();
        if !delivered.is_empty() {
            self.undelivered.fetch_sub(delivered.len(), Relaxed);
            self.prolong_goodbye();
            self.receipts(delivered, DeliveryState::Delivered).await;
        }
        let peer_id = self.peer_id.clone();
        let is_control = matches!(
            heard,
            Some(
                Heard::Typing(_)
                    | Heard::Profile { .. }
                    | Heard::Rejoined { .. }
                    | Heard::ShortString(_)
                    | Heard::Bye
            )
        );
        if is_control && !self.control_frames.take(Instant::now()) {
            return self.misbehaved("its name or its typing changes too often").await;
        }
        if brings_nothing && !self.idle_frames.take(Instant::now()) {
            return self.misbehaved("it sends too much that means nothing").await;
        }
        match heard {
            None => {}
            Some(Heard::Forgotten { failed }) => self.fail(failed).await,
            Some(Heard::Open { display_name, key, failed }) => {
                self.fail(failed).await;
                self.opened(display_name, key).await;
            }
            Some(Heard::Text(text)) => self.text(text).await,
            Some(Heard::Typing(_)) if self.chat.is_held() => {}
            Some(Heard::Typing(active)) => {
                self.events.send(Event::Typing { peer_id, active }).await;
            }
            Some(Heard::ShortString(string)) => self.short_string(string).await,
            Some(Heard::Profile { display_name }) => self.renamed(display_name).await,
            Some(Heard::Rejoined { peer_id }) => match PeerId::parse(&peer_id) {
                Some(server_id) => self.notify(Notice::Claim { server_id }).await,
                None => self.misbehaved("it came back under what is no peer id").await,
            },
            Some(Heard::Bye) => {
                self.peer_said_bye = true;
                // The peer closes; if it does not, we do.
                self.deadline = Some(Instant::now() + BYE_TIMEOUT);
            }
            Some(Heard::ByeAcknowledged) => self.close(ConnectionState::Closed).await,
        }
    }

    async fn opened(&mut self, display_name: Untrusted, key: Option<IdentityKey>) {
        self.deadline = None;
        self.recovery = None;
        self.abandoned = None;
        self.retries.reset();
        self.timeline.add(ConnectionStep::ChannelOpen);
        if let Some(attempt) = &mut self.attempt {
            attempt.opened_in = Some(attempt.begun.elapsed());
        }
        self.forget_introduction();
        // The peer may have changed its name while the server could not tell us.
        self.update(Peer { display_name: display_name.clone(), ..self.peer.clone() }).await;
        if !self.introduced(display_name.clone(), key).await {
            return;
        }
        let peer_id = self.peer_id.clone();
        self.notify(Notice::Open(true)).await;
        self.events.send(Event::ChannelOpen { peer_id, display_name }).await;
    }

    async fn renamed(&mut self, display_name: Untrusted) {
        self.update(Peer { display_name, ..self.peer.clone() }).await;
    }

    /// The peer is this now.
    pub(super) async fn update(&mut self, peer: Peer) {
        if self.peer != peer {
            self.peer = peer;
            self.tell_peer().await;
            self.judge_name(self.peer.display_name.clone()).await;
        }
    }

    /// Tells the user what the peer is now, if that is new. One that is held could speak through its names: the last one is
    /// told when it is released.
    pub(super) async fn tell_peer(&mut self) {
        let mut peer = self.peer.clone();
        if self.chat.is_held() {
            peer.display_name = self.told.display_name.clone();
        }
        if self.told != peer {
            self.told = peer.clone();
            self.events.send(Event::PeerUpdated(peer)).await;
        }
    }

    /// Own texts that will not be delivered.
    pub(super) async fn fail(&mut self, message_ids: Vec<MessageId>) {
        self.undelivered.fetch_sub(message_ids.len(), Relaxed);
        self.receipts(message_ids, DeliveryState::Failed).await;
    }

    /// Acknowledged only once it is in the user's hands.
    pub(super) async fn text(&mut self, text: IncomingText) {
        let message = Message {
            id: text.message_id,
            peer_id: self.peer_id.clone(),
            text: text.text,
            kind: text.kind,
            direct: text.direct,
            sent_at: text.sent_at,
        };
        if self.events.send(Event::Message(message)).await {
            self.chat.handled(text.seq);
            self.prolong_goodbye();
        } else {
            // Nobody reads any more: what comes now must not look delivered.
            self.chat.stop_listening();
        }
    }

    /// Texts that were taken before a goodbye still go through: it waits for them while they do.
    fn prolong_goodbye(&mut self) {
        if self.chat.goodbye_is_sent() || self.peer_said_bye {
            self.deadline = Some(Instant::now() + BYE_TIMEOUT);
        }
    }

    pub(super) async fn receipts(&self, message_ids: Vec<MessageId>, state: DeliveryState) {
        for message_id in message_ids {
            let peer_id = self.peer_id.clone();
            self.events.send(Event::Receipt { message_id, peer_id, state }).await;
        }
    }
}
