//! What was said and what happened, oldest first. Bounded in entries and in bytes: the oldest go first.

use std::collections::VecDeque;

use jiff::Timestamp;
use patchcord_peer::{DeliveryState, PeerId, TextKind};

use crate::safe_text::SafeText;

/// Entries kept.
pub const ENTRIES_MAX: usize = 200_000;
/// Bytes of text kept.
pub const TEXT_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Names an entry for as long as the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub u64);

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub id: EntryId,
    /// When it came in, by our clock.
    pub at: Timestamp,
    /// What it tells.
    pub body: Body,
}

/// What an entry tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Somebody wrote.
    Said(Said),
    /// Something happened.
    Notice {
        /// How much it matters.
        level: Level,
        /// What happened, of one or more lines.
        text: SafeText,
    },
}

/// A text of the chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Who wrote; `None` is us.
    pub peer_id: Option<PeerId>,
    /// The writer's name at that time.
    pub name: SafeText,
    /// How to show it.
    pub kind: TextKind,
    /// What.
    pub text: SafeText,
    /// For a direct text, whom it is for: a peer's name, or our own.
    pub direct: Option<SafeText>,
    /// For a text of our own, how far it is.
    pub delivery: Option<Delivery>,
}

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Good to know.
    Info,
    /// Something failed.
    Problem,
}

/// How far a text of our own is on its way to each of its receivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    receivers: Vec<(PeerId, DeliveryState)>,
    /// The room did not take it.
    refused: bool,
}

impl Delivery {
    /// Queued for each of `receivers`.
    pub fn queued_for(receivers: impl IntoIterator<Item = PeerId>) -> Self {
        let receivers = receivers.into_iter().map(|peer_id| (peer_id, DeliveryState::Queued)).collect();
        Self { receivers, refused: false }
    }

    /// Takes a receipt in.
    pub fn record(&mut self, peer_id: &PeerId, state: DeliveryState) {
        match self.receivers.iter_mut().find(|(receiver, _)| receiver == peer_id) {
            Some((_, known)) => *known = state,
            None => self.receivers.push((peer_id.clone(), state)),
        }
    }

    /// The room did not take the text.
    pub fn refuse(&mut self) {
        self.refused = true;
    }

    /// Receivers of whom nothing final is known.
    pub fn pending(&self) -> impl Iterator<Item = &PeerId> {
        let pending = self.receivers.iter().filter(|(_, state)| *state < DeliveryState::Delivered);
        pending.map(|(peer_id, _)| peer_id)
    }

    /// Receivers that have it.
    pub fn delivered(&self) -> usize {
        self.receivers.iter().filter(|(_, state)| *state == DeliveryState::Delivered).count()
    }

    /// Receivers in all.
    pub fn receivers(&self) -> usize {
        self.receivers.len()
    }

    /// Failed once nothing is on its way and somebody has not got it; else as far as the slowest receiver.
    pub fn state(&self) -> DeliveryState {
        let states = || self.receivers.iter().map(|(_, state)| *state);
        let pending = states().filter(|state| *state < DeliveryState::Delivered).min();
        match pending {
            _ if self.refused => DeliveryState::Failed,
            Some(slowest) => slowest,
            None => states().max().unwrap_or(DeliveryState::Queued),
        }
    }

    /// Whether nothing more can become of it.
    pub fn is_settled(&self) -> bool {
        self.state() >= DeliveryState::Delivered
    }
}

/// The entries.
#[derive(Debug, Default)]
pub struct Transcript {
    entries: VecDeque<Entry>,
    /// The id of the first entry that is kept.
    first: u64,
    text_bytes: usize,
}

impl Transcript {
    /// Appends an entry; the oldest make room for it.
    pub fn push(&mut self, at: Timestamp, body: Body) -> EntryId {
        let id = EntryId(self.first + self.entries.len() as u64);
        self.text_bytes += body.bytes();
        self.entries.push_back(Entry { id, at, body });
        while self.entries.len() > ENTRIES_MAX || (self.text_bytes > TEXT_BYTES_MAX && self.entries.len() > 1)
        {
            if let Some(oldest) = self.entries.pop_front() {
                self.text_bytes -= oldest.body.bytes();
                self.first += 1;
            }
        }
        id
    }

    /// Entries kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The id that the next entry will get: entries from it on are new to who remembers it.
    pub fn next_id(&self) -> EntryId {
        EntryId(self.first + self.entries.len() as u64)
    }

    /// The oldest entry that is kept, if any is.
    pub fn oldest_id(&self) -> EntryId {
        EntryId(self.first)
    }

    /// The entry at `index`, counted from the oldest that is kept.
    pub fn at(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    /// The entry of that id, if it is kept.
    pub fn get(&self, id: EntryId) -> Option<&Entry> {
        self.entries.get(self.index(id)?)
    }

    /// Where the entry of that id is; `None` when it is gone.
    pub fn index(&self, id: EntryId) -> Option<usize> {
        let index = usize::try_from(id.0.checked_sub(self.first)?).ok()?;
        (index < self.entries.len()).then_some(index)
    }

    /// The entries from `id` on; all that are kept when it is gone.
    pub fn since(&self, id: EntryId) -> impl Iterator<Item = &Entry> {
        let index = usize::try_from(id.0.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.entries.range(index.min(self.entries.len())..)
    }

    /// The newest text of our own.
    pub fn last_own(&self) -> Option<&Said> {
        self.entries.iter().rev().take(RECENT).find_map(|entry| match &entry.body {
            Body::Said(said) if said.peer_id.is_none() => Some(said),
            _ => None,
        })
    }

    /// The delivery of a text of our own.
    pub fn delivery_mut(&mut self, id: EntryId) -> Option<&mut Delivery> {
        let index = self.index(id)?;
        match &mut self.entries.get_mut(index)?.body {
            Body::Said(said) => said.delivery.as_mut(),
            Body::Notice { .. } => None,
        }
    }
}

/// How far back an own text is looked for, so that a frame costs the same however long the transcript is.
const RECENT: usize = 1000;

impl Body {
    fn bytes(&self) -> usize {
        match self {
            Self::Said(said) => said.text.as_str().len(),
            Self::Notice { text, .. } => text.as_str().len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(id: &str) -> PeerId {
        PeerId::parse(id).unwrap()
    }

    fn notice(text: &str) -> Body {
        Body::Notice { level: Level::Info, text: SafeText::message(text) }
    }

    #[test]
    fn a_text_is_as_far_as_its_slowest_receiver() {
        let mut delivery = Delivery::queued_for([peer("a"), peer("b")]);
        assert_eq!(delivery.state(), DeliveryState::Queued);
        delivery.record(&peer("a"), DeliveryState::Delivered);
        assert_eq!(
            (delivery.state(), delivery.delivered(), delivery.receivers()),
            (DeliveryState::Queued, 1, 2)
        );
        delivery.record(&peer("b"), DeliveryState::Sent);
        assert_eq!(delivery.state(), DeliveryState::Sent);
        delivery.record(&peer("b"), DeliveryState::Delivered);
        assert_eq!(delivery.state(), DeliveryState::Delivered);
    }

    #[test]
    fn a_text_has_failed_when_somebody_will_not_get_it_and_nobody_still_may() {
        let mut delivery = Delivery::queued_for([peer("a"), peer("b")]);
        delivery.record(&peer("a"), DeliveryState::Failed);
        assert_eq!(delivery.state(), DeliveryState::Queued, "b may get it");
        delivery.record(&peer("b"), DeliveryState::Delivered);
        assert_eq!((delivery.state(), delivery.delivered()), (DeliveryState::Failed, 1));
        let mut refused = Delivery::queued_for([peer("a")]);
        refused.refuse();
        assert_eq!(refused.state(), DeliveryState::Failed);
    }

    #[test]
    fn the_oldest_entries_make_room_and_ids_stay() {
        let mut transcript = Transcript::default();
        for index in 0..ENTRIES_MAX + 3 {
            transcript.push(Timestamp::UNIX_EPOCH, notice(&index.to_string()));
        }
        assert_eq!(transcript.len(), ENTRIES_MAX);
        assert_eq!(transcript.get(EntryId(2)), None);
        assert_eq!(transcript.get(EntryId(3)).map(|entry| entry.id), Some(EntryId(3)));
        assert_eq!(transcript.since(EntryId(0)).count(), ENTRIES_MAX);
        assert_eq!(transcript.since(transcript.next_id()).count(), 0);
    }
}
