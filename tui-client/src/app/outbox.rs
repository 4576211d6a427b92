//! Which entry a receipt is about. A receipt may come before the answer that says which id a text got.

use std::collections::{BTreeMap, HashMap};

use patchcord_peer::{DeliveryState, MessageId, PeerId};

use super::EntryId;

/// Texts of our own that are on their way.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Entries whose id is not yet known.
    waiting: usize,
    entries: HashMap<MessageId, EntryId>,
    /// Receipts for ids that no answer has named yet: as many at most as entries wait and have receivers.
    early: BTreeMap<MessageId, Vec<(PeerId, DeliveryState)>>,
}

impl Outbox {
    /// A text was given to the room.
    pub fn begin(&mut self) {
        self.waiting += 1;
    }

    /// The room took it as `id`; returns the receipts that came already.
    pub fn accepted(&mut self, entry: EntryId, id: MessageId) -> Vec<(PeerId, DeliveryState)> {
        self.entries.insert(id, entry);
        let early = self.early.remove(&id).unwrap_or_default();
        self.end_waiting();
        early
    }

    /// The room did not take it.
    pub fn refused(&mut self) {
        self.end_waiting();
    }

    fn end_waiting(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
        if self.waiting == 0 {
            self.early.clear();
        }
    }

    /// The entry that a receipt is about. One that nobody waits for is dropped.
    pub fn receipt(&mut self, id: MessageId, peer_id: &PeerId, state: DeliveryState) -> Option<EntryId> {
        let known = self.entries.get(&id).copied();
        if known.is_none() && self.waiting > 0 {
            self.early.entry(id).or_default().push((peer_id.clone(), state));
        }
        known
    }

    /// Texts of which something may still become.
    pub fn unsettled(&self) -> usize {
        self.waiting + self.entries.len()
    }

    /// Nothing more will become of a text.
    pub fn settled(&mut self, id: MessageId) {
        self.entries.remove(&id);
    }
}
