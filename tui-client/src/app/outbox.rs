//! Which entry a receipt is about, and of which texts something may still become. A receipt may come before the
//! answer that says which id a text got, and after all other receivers have the text.

use std::collections::{BTreeMap, BTreeSet};

use patchcord_peer::{DeliveryState, MessageId, PeerId};

use super::EntryId;

/// Texts of our own.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Entries whose id is not yet known.
    waiting: BTreeSet<EntryId>,
    /// Of the others, as many as the transcript keeps.
    entries: BTreeMap<MessageId, EntryId>,
    /// Those of which something may still become.
    open: BTreeSet<MessageId>,
    /// Receipts for ids that no answer has named yet: as many at most as entries wait and have receivers.
    early: BTreeMap<MessageId, Vec<(PeerId, DeliveryState)>>,
}

impl Outbox {
    /// A text was given to the room; `oldest` is the first entry that the transcript keeps.
    pub fn begin(&mut self, entry: EntryId, oldest: EntryId) {
        self.waiting.insert(entry);
        // Ids are given in the order of the entries.
        while let Some(first) = self.entries.first_entry().filter(|first| *first.get() < oldest) {
            self.open.remove(first.key());
            first.remove();
        }
    }

    /// The room took it as `id`; returns the receipts that came already.
    pub fn accepted(&mut self, entry: EntryId, id: MessageId) -> Vec<(PeerId, DeliveryState)> {
        self.entries.insert(id, entry);
        self.open.insert(id);
        let early = self.early.remove(&id).unwrap_or_default();
        self.end_waiting(entry);
        early
    }

    /// The room did not take it.
    pub fn refused(&mut self, entry: EntryId) {
        self.end_waiting(entry);
    }

    fn end_waiting(&mut self, entry: EntryId) {
        self.waiting.remove(&entry);
        if self.waiting.is_empty() {
            self.early.clear();
        }
    }

    /// The entry that a receipt is about. One that nobody waits for is dropped.
    pub fn receipt(&mut self, id: MessageId, peer_id: &PeerId, state: DeliveryState) -> Option<EntryId> {
        let known = self.entries.get(&id).copied();
        if known.is_none() && !self.waiting.is_empty() {
            self.early.entry(id).or_default().push((peer_id.clone(), state));
        }
        known
    }

    /// Texts of which something may still become.
    pub fn unsettled(&self) -> usize {
        self.waiting.len() + self.open.len()
    }

    /// Those of them that the room took.
    pub fn open(&self) -> Vec<(MessageId, EntryId)> {
        self.open.iter().filter_map(|id| Some((*id, *self.entries.get(id)?))).collect()
    }

    /// Whether nothing more will become of a text, as far as is known.
    pub fn set_settled(&mut self, id: MessageId, settled: bool) {
        if settled {
            self.open.remove(&id)
        } else {
            self.open.insert(id)
        };
    }
}
