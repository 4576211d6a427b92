//! What was sent and is not acknowledged, kept for a resume to send again. Bounded: the oldest falls out,
//! and whom it concerned is remembered until the peer acknowledges it after all. Numbers have no gap.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    config::{RETAINED_BYTES_MAX, RETAINED_MESSAGES_MAX},
    frame::{About, Frame},
    peer_id::PeerId,
};

/// Peers remembered one by one as concerned by a loss; beyond, everybody is.
const CONCERNED_MAX: usize = 128;

/// Below this a queue that emptied keeps its memory.
const CAPACITY_KEPT: usize = 16;

/// Sent and not acknowledged.
#[derive(Debug, Default)]
pub struct Retained {
    /// Consecutive numbers, the newest is `sent`.
    frames: VecDeque<Frame>,
    bytes: usize,
    sent: u64,
    acknowledged: u64,
    /// Peer and the newest number of what was lost between it and this one.
    concerned: BTreeMap<PeerId, u64>,
    /// The newest number lost when `concerned` was full.
    everybody: u64,
}

/// What a resume cannot send again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing: it is complete.
    Nothing,
    /// Something that concerned these peers, perhaps none.
    Concerning(Vec<PeerId>),
    /// Something that may have concerned anybody.
    ConcerningAnybody,
}

impl Retained {
    /// The newest number; 0 before the first.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Numbers what is sent now, and keeps it if anybody may ask for it again.
    pub fn send(&mut self, frame: Frame, keep: bool) -> u64 {
        self.sent += 1;
        if !keep {
            return self.sent;
        }
        self.bytes += frame.cost_bytes();
        self.frames.push_back(frame);
        while self.frames.len() > RETAINED_MESSAGES_MAX || self.bytes > RETAINED_BYTES_MAX {
            self.lose_oldest();
        }
        self.sent
    }

    /// Lets go of what the peer has handled. `through` is at most `sent`.
    pub fn acknowledge(&mut self, through: u64) {
        while self.oldest() <= through.min(self.sent) {
            self.drop_oldest();
        }
        self.acknowledged = self.acknowledged.max(through);
        self.concerned.retain(|_, lost| *lost > through);
        if self.frames.is_empty() && self.frames.capacity() > CAPACITY_KEPT {
            self.frames = VecDeque::new();
        }
    }

    /// The number from which frames are kept; one beyond the newest when none is.
    pub fn oldest(&self) -> u64 {
        self.sent + 1 - self.frames.len() as u64
    }

    /// A frame that is kept.
    pub fn get(&self, seq: u64) -> Option<&Frame> {
        let index = seq.checked_sub(self.oldest())?;
        self.frames.get(usize::try_from(index).ok()?)
    }

    /// Of whom what is kept says that they came or changed.
    pub fn told_of(&self) -> BTreeSet<PeerId> {
        let news = self.frames.iter().filter_map(|frame| match &frame.about {
            About::Came(peer_id) | About::Changed { peer_id, .. } => Some(*peer_id),
            _ => None,
        });
        news.collect()
    }

    /// What is neither acknowledged nor kept.
    pub fn missing(&self) -> Missing {
        if self.oldest() <= self.acknowledged + 1 {
            return Missing::Nothing;
        }
        if self.everybody > self.acknowledged {
            return Missing::ConcerningAnybody;
        }
        Missing::Concerning(self.concerned.keys().copied().collect())
    }

    /// Keeps nothing any more.
    pub fn clear(&mut self) {
        *self = Self { sent: self.sent, acknowledged: self.sent, ..Self::default() };
    }

    fn lose_oldest(&mut self) {
        let seq = self.oldest();
        let Some(frame) = self.drop_oldest() else { return };
        let Some(peer_id) = frame.about.concerns() else { return };
        if self.concerned.len() < CONCERNED_MAX || self.concerned.contains_key(&peer_id) {
            self.concerned.insert(peer_id, seq);
        } else {
            self.everybody = seq;
        }
    }

    fn drop_oldest(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.cost_bytes();
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId::from_bits([number; 10])
    }

    fn frame(concerns: Option<u8>, bytes: usize) -> Frame {
        let about = concerns.map_or(About::Session, |number| About::From(peer(number)));
        Frame { body: vec![0; bytes].into(), about, ..Frame::bare_ack() }
    }

    #[test]
    fn what_was_acknowledged_after_it_fell_out_is_not_missing() {
        let mut retained = Retained::default();
        for _ in 0..RETAINED_MESSAGES_MAX {
            retained.send(frame(Some(1), 1), true);
        }
        assert_eq!(retained.missing(), Missing::Nothing);
        retained.send(frame(Some(2), 1), true);
        assert_eq!(retained.missing(), Missing::Concerning(vec![peer(1)]));
        retained.acknowledge(1);
        assert_eq!(retained.missing(), Missing::Nothing);
    }

    #[test]
    fn beyond_what_can_be_remembered_everybody_is_concerned() {
        let mut retained = Retained::default();
        for number in 0..=CONCERNED_MAX {
            retained.send(frame(Some(number as u8), 1), true);
        }
        for _ in 0..RETAINED_MESSAGES_MAX {
            retained.send(frame(None, 1), true);
        }
        assert_eq!(retained.missing(), Missing::ConcerningAnybody);
        retained.acknowledge(CONCERNED_MAX as u64 + 1);
        assert_eq!(retained.missing(), Missing::Nothing);
    }

    proptest! {
        #[test]
        fn nothing_is_missing_unless_more_than_the_limit_waits(
            steps in prop::collection::vec((prop::option::of(0u8..8), 1usize..4000, prop::option::of(0u64..40)), 1..600),
        ) {
            let mut retained = Retained::default();
            let mut sent: Vec<(Option<u8>, usize)> = Vec::new();
            let mut acknowledged = 0;
            for (concerns, bytes, lag) in steps {
                prop_assert_eq!(retained.send(frame(concerns, bytes), true), sent.len() as u64 + 1);
                sent.push((concerns, bytes));
                if let Some(lag) = lag {
                    acknowledged = acknowledged.max((sent.len() as u64).saturating_sub(lag));
                    retained.acknowledge(acknowledged);
                }
                prop_assert!(retained.frames.len() <= RETAINED_MESSAGES_MAX);
                prop_assert!(retained.bytes <= RETAINED_BYTES_MAX);
                prop_assert_eq!(retained.bytes, retained.frames.iter().map(Frame::cost_bytes).sum::<usize>());
                let lost = acknowledged as usize..(retained.oldest() as usize - 1).max(acknowledged as usize);
                let mut concerned: Vec<_> = sent[lost.clone()].iter().filter_map(|(peer, _)| *peer).collect();
                concerned.sort_unstable();
                concerned.dedup();
                let expected = match lost.is_empty() {
                    true => Missing::Nothing,
                    false => Missing::Concerning(concerned.into_iter().map(peer).collect()),
                };
                prop_assert_eq!(retained.missing(), expected);
                for seq in retained.oldest()..=retained.sent() {
                    prop_assert_eq!(retained.get(seq).unwrap().body.len(), sent[seq as usize - 1].1);
                }
                prop_assert!(retained.get(retained.sent() + 1).is_none());
            }
        }
    }
}
