//! What waits for one peer, in order. Bounded without ever refusing who came, changed and left: such news,
//! while nobody has taken it and so it has no number, is overtaken by later news of the same peer. Of a
//! peer that came and left unread nothing is told, nor what it sent. So at most two such frames wait for
//! each peer a room may have, and one PeerLeft follows each PeerJoined that was told.

use std::collections::{BTreeSet, VecDeque};

use crate::{
    config::{OUTBOX_RELAYED_BYTES_MAX, OUTBOX_RELAYED_MESSAGES_MAX},
    frame::{About, Frame},
    peer_id::PeerId,
};

/// Below this a drained queue keeps its memory.
const CAPACITY_KEPT: usize = 16;

/// Frames that have no number yet.
#[derive(Default)]
pub struct Queue {
    waiting: VecDeque<Frame>,
    /// What came between the start of a join and `Joined`, which has to be first.
    held: Option<VecDeque<Frame>>,
    /// Who came and left meanwhile: a roster may have been made in between.
    vanished: Vec<Frame>,
    /// Of all but who came, changed and left.
    messages: usize,
    bytes: usize,
}

impl Queue {
    /// Whether nothing can be taken.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether one more answer fits, whatever its size.
    pub fn has_room(&self) -> bool {
        self.messages < OUTBOX_RELAYED_MESSAGES_MAX && self.bytes < OUTBOX_RELAYED_BYTES_MAX
    }

    /// Whether this fits.
    pub fn fits(&self, frame: &Frame) -> bool {
        self.messages < OUTBOX_RELAYED_MESSAGES_MAX
            && self.bytes + frame.cost_bytes() <= OUTBOX_RELAYED_BYTES_MAX
    }

    /// Puts a frame at the end, or in the place of what it overtakes, or drops it with what it ends. Whether
    /// that made room.
    pub fn put(&mut self, frame: Frame) -> bool {
        match &frame.about {
            About::Left(peer_id) => {
                let peer_id = *peer_id;
                if self.has(|about| *about == About::Came(peer_id)) {
                    if self.held.is_some() {
                        self.vanished.push(frame);
                    }
                    return self.remove(|about| about.peer_id() == Some(peer_id));
                }
                self.remove(
                    |about| matches!(about, About::Changed { peer_id: changed, .. } if *changed == peer_id),
                );
            }
            About::Changed { peer_id, came } => {
                if let Some(earlier) = self.news_of(*peer_id) {
                    match earlier.about {
                        About::Came(_) => earlier.body = came.clone(),
                        _ => *earlier = frame,
                    }
                    return false;
                }
            }
            About::IceServers => drop(self.remove(|about| *about == About::IceServers)),
            About::Session | About::From(_) | About::Refused(_) | About::Came(_) => {}
        }
        self.count(&frame);
        self.list().push_back(frame);
        false
    }

    /// Takes the first frame; what is taken gets its number and is never overtaken.
    pub fn take(&mut self) -> Option<Frame> {
        let frame = self.waiting.pop_front()?;
        self.discount(&frame);
        if self.waiting.is_empty() && self.waiting.capacity() > CAPACITY_KEPT {
            self.waiting = VecDeque::new();
        }
        Some(frame)
    }

    /// Keeps back what comes until [`Queue::open`], [`Queue::go_on`] or [`Queue::release`].
    pub fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Drops what was kept back.
    pub fn release(&mut self) {
        self.vanished = Vec::new();
        for frame in self.held.take().unwrap_or_default() {
            self.discount(&frame);
        }
    }

    /// Lets follow what was kept back, after the session's first frame.
    pub fn open(&mut self, joined: Frame) {
        let held = self.held.take().unwrap_or_default();
        self.vanished = Vec::new();
        self.count(&joined);
        self.waiting.push_back(joined);
        self.waiting.extend(held);
    }

    /// Lets follow what was kept back since before a roster was made. With a loss the reader goes on with that
    /// roster: of these peers it has heard by then that they came, so that they leave must be told, and of those whom what is
    /// sent `again` brings back; of others who left nothing is told any more, or whoever loses and never reads would collect
    /// what many were that came and left.
    pub fn go_on(&mut self, roster: Option<&[PeerId]>, again: &BTreeSet<PeerId>) {
        let held = self.held.take().unwrap_or_default();
        let vanished = std::mem::take(&mut self.vanished).into_iter();
        self.waiting.extend(held);
        let Some(roster) = roster else { return };
        let gone: Vec<PeerId> = self.waiting.iter().filter_map(|frame| frame.about.left()).collect();
        let is_gone = |peer_id: &PeerId| gone.contains(peer_id) && !roster.contains(peer_id);
        self.remove(|about| match about {
            // Who leaves before the roster is made and is not in it has come for nothing.
            About::Came(came) => roster.contains(came) || is_gone(came),
            About::From(peer_id) | About::Changed { peer_id, .. } => is_gone(peer_id),
            About::Left(peer_id) => is_gone(peer_id) && !again.contains(peer_id),
            About::Session | About::IceServers | About::Refused(_) => false,
        });
        self.waiting.extend(vanished.filter(|left| left.about.left().is_some_and(|id| roster.contains(&id))));
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn list(&mut self) -> &mut VecDeque<Frame> {
        self.held.as_mut().unwrap_or(&mut self.waiting)
    }

    fn has(&mut self, is_meant: impl Fn(&About) -> bool) -> bool {
        self.list().iter().any(|frame| is_meant(&frame.about))
    }

    /// The frame that tells of a peer that it came or changed.
    fn news_of(&mut self, peer_id: PeerId) -> Option<&mut Frame> {
        self.list().iter_mut().find(|frame| match &frame.about {
            About::Came(came) => *came == peer_id,
            About::Changed { peer_id: changed, .. } => *changed == peer_id,
            _ => false,
        })
    }

    /// Whether that made room.
    fn remove(&mut self, is_meant: impl Fn(&About) -> bool) -> bool {
        let (before, messages, bytes) = (self.messages, &mut self.messages, &mut self.bytes);
        let list = self.held.as_mut().unwrap_or(&mut self.waiting);
        list.retain(|frame| {
            let is_kept = !is_meant(&frame.about);
            if !is_kept && frame.about.takes_room() {
                *messages -= 1;
                *bytes -= frame.cost_bytes();
            }
            is_kept
        });
        self.messages < before
    }

    fn count(&mut self, frame: &Frame) {
        if frame.about.takes_room() {
            self.messages += 1;
            self.bytes += frame.cost_bytes();
        }
    }

    fn discount(&mut self, frame: &Frame) {
        if frame.about.takes_room() {
            self.messages -= 1;
            self.bytes -= frame.cost_bytes();
        }
    }
}

#[cfg(test)]
mod tests;
