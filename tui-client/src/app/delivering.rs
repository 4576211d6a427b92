//! What becomes of our own texts: each ends as delivered or as failed for each of its receivers.

use patchcord_peer::{DeliveryState, MessageId, PeerId};

use super::{App, Body, EntryId, Level, Surface};
use crate::{clock::Moment, safe_text::SafeText};

/// Columns of a text that is quoted.
const QUOTED_COLUMNS: usize = 40;

impl App {
    /// The room took a text. Who left or was refused before it did so gets no receipt, and those that overtook the answer
    /// count.
    pub(super) fn accepted(&mut self, entry: EntryId, id: MessageId, now: Moment) {
        let receipts = self.outbox.accepted(entry, id);
        let heard_of = |peer_id: &PeerId| receipts.iter().any(|(receiver, _)| receiver == peer_id);
        let is_out = |peer_id: &PeerId| self.roster.get(peer_id).is_none_or(|member| member.refused);
        let gone = self.lost_receivers(entry, |peer_id| !heard_of(peer_id) && is_out(peer_id));
        for (peer_id, state) in receipts {
            self.record(entry, id, &peer_id, state, now);
        }
        self.fail(entry, id, gone, now);
        if self.events_over {
            self.fail_all(|_| true, now);
        }
    }

    /// A receipt came.
    pub(super) fn receipt(&mut self, id: MessageId, peer_id: &PeerId, state: DeliveryState, now: Moment) {
        if let Some(entry) = self.outbox.receipt(id, peer_id, state) {
            self.record(entry, id, peer_id, state, now);
        }
    }

    /// No receipt of a receiver that is `gone` comes any more.
    pub(super) fn fail_all(&mut self, gone: impl Fn(&PeerId) -> bool, now: Moment) {
        for (id, entry) in self.outbox.open() {
            let lost = self.lost_receivers(entry, &gone);
            self.fail(entry, id, lost, now);
        }
    }

    fn fail(&mut self, entry: EntryId, id: MessageId, receivers: Vec<PeerId>, now: Moment) {
        for peer_id in receivers {
            self.record(entry, id, &peer_id, DeliveryState::Failed, now);
        }
    }

    /// Those that are `gone` without having got the text.
    fn lost_receivers(&self, entry: EntryId, gone: impl Fn(&PeerId) -> bool) -> Vec<PeerId> {
        match self.transcript.get(entry).map(|entry| &entry.body) {
            Some(Body::Said(said)) => said
                .delivery
                .iter()
                .flat_map(|delivery| delivery.pending())
                .filter(|id| gone(id))
                .cloned()
                .collect(),
            _ => Vec::new(),
        }
    }

    fn record(&mut self, entry: EntryId, id: MessageId, peer_id: &PeerId, state: DeliveryState, now: Moment) {
        let settled = self.transcript.delivery_mut(entry).is_none_or(|delivery| {
            delivery.record(peer_id, state);
            delivery.is_settled()
        });
        self.outbox.set_settled(id, settled);
        if state == DeliveryState::Failed {
            self.note_failure(entry, peer_id, now);
        }
    }

    fn note_failure(&mut self, entry: EntryId, peer_id: &PeerId, now: Moment) {
        // On a screen the mark beside the text tells it.
        if self.surface != Surface::Lines {
            return;
        }
        let text = match self.transcript.get(entry).map(|entry| &entry.body) {
            Some(Body::Said(said)) => {
                crate::wrap::truncate(&SafeText::line(said.text.as_str()), QUOTED_COLUMNS)
            }
            _ => SafeText::default(),
        };
        let handle = self.roster.handle(peer_id);
        self.notice(Level::Problem, &format!("not delivered to {handle}: {text}"), now);
    }
}
