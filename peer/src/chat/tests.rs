//! Two chat sessions over channels that may end at any moment.

use std::collections::VecDeque;

use patchcord_proto::limits::CHAT_TEXT_BYTES_MAX;
use proptest::prelude::*;

use super::*;

mod introducing;

fn identity(number: u8) -> Introduction {
    Introduction {
        session_ids: SessionIds::new([number; 8]),
        room: "lobby".into(),
        display_name: format!("peer{number}"),
        user_agent: "test".into(),
        secret: Some(crate::Identity::from_seed(&[number; 32])),
    }
}

/// What the side of this number sees, unless somebody is in between.
fn certificates(number: u8) -> Certificates {
    Certificates { own: [number; 32], peer: [1 - number; 32], to_compare: true }
}

fn chat(number: u8) -> Chat {
    Chat::new(identity(number))
}

fn text(id: u64) -> OutgoingText {
    OutgoingText {
        message_id: MessageId(id),
        text: format!("text {id}").into(),
        kind: TextKind::Plain,
        direct: false,
        sent_at: SystemTime::UNIX_EPOCH,
    }
}

/// Two sides and what is in flight between them.
struct Pair {
    identities: [Introduction; 2],
    sides: [Chat; 2],
    wires: [VecDeque<Bytes>; 2],
    received: [Vec<MessageId>; 2],
    delivered: [Vec<MessageId>; 2],
    failed: [Vec<MessageId>; 2],
    byes: [usize; 2],
}

impl Pair {
    fn new() -> Self {
        let identities = [identity(1), identity(2)];
        Self {
            sides: identities.clone().map(Chat::new),
            identities,
            wires: Default::default(),
            received: Default::default(),
            delivered: Default::default(),
            failed: Default::default(),
            byes: [0; 2],
        }
    }

    fn open(&mut self) {
        self.close();
        for (side, number) in self.sides.iter_mut().zip(0..) {
            side.channel_opened(Some(certificates(number)));
        }
    }

    fn close(&mut self) {
        self.wires.iter_mut().for_each(VecDeque::clear);
        self.sides.iter_mut().for_each(Chat::channel_closed);
    }

    fn send(&mut self, from: usize) -> bool {
        match self.sides[from].next_frame() {
            Some((frame, _)) => {
                self.wires[from].push_back(frame);
                true
            }
            None => false,
        }
    }

    fn deliver(&mut self, from: usize) -> bool {
        let Some(frame) = self.wires[from].pop_front() else { return false };
        let to = 1 - from;
        let (heard, delivered) = self.sides[to].handle(&frame).expect("own frames keep the contract");
        self.delivered[to].extend(delivered);
        match heard {
            Some(Heard::Text(text)) => {
                self.received[to].push(text.message_id);
                self.sides[to].handled(text.seq);
            }
            Some(Heard::Open { failed, .. } | Heard::Forgotten { failed }) => self.failed[to].extend(failed),
            Some(Heard::Bye) => self.byes[to] += 1,
            // Closing loses whatever is on its way.
            Some(Heard::ByeAcknowledged) => self.close(),
            _ => {}
        }
        true
    }

    /// This side's link to the other ended, as when the other was said to have left, and there is a new one.
    fn forget(&mut self, side: usize) {
        self.close();
        let forgotten = std::mem::replace(&mut self.sides[side], Chat::new(self.identities[side].clone()));
        self.failed[side].extend(forgotten.undelivered());
    }

    fn settle(&mut self) {
        while (0..2).fold(false, |moved, side| self.send(side) | self.deliver(side) | moved) {}
    }
}

proptest! {
    #[test]
    fn no_text_is_lost_or_doubled_unknowingly_when_a_side_forgets_the_other(
        steps in proptest::collection::vec((0u8..7, 0usize..2), 0..300),
    ) {
        let mut pair = Pair::new();
        let mut queued = [0u64; 2];
        for (step, side) in steps {
            match step {
                0 | 1 => {
                    queued[side] += 1;
                    pair.sides[side].queue(text(queued[side]));
                }
                2 => pair.open(),
                3 => pair.forget(side),
                4 => pair.settle(),
                5 => drop(pair.send(side)),
                _ => drop(pair.deliver(side)),
            }
        }
        pair.open();
        pair.settle();
        for (side, queued) in queued.into_iter().enumerate() {
            let received = &pair.received[1 - side];
            prop_assert!(received.is_sorted_by(|one, next| one < next), "{received:?}");
            let mut told: Vec<_> = pair.delivered[side].iter().chain(&pair.failed[side]).copied().collect();
            told.sort_unstable();
            prop_assert_eq!(told, (1..=queued).map(MessageId).collect::<Vec<_>>());
            prop_assert!(pair.delivered[side].iter().all(|id| received.contains(id)));
        }
    }

    #[test]
    fn every_text_arrives_once_in_order_over_any_number_of_channels(
        steps in proptest::collection::vec((0u8..5, 0usize..2), 0..300),
    ) {
        let mut pair = Pair::new();
        let mut queued = [0u64; 2];
        for (step, side) in steps {
            match step {
                0 => {
                    queued[side] += 1;
                    pair.sides[side].queue(text(queued[side]));
                }
                1 => pair.open(),
                2 => { pair.send(side); }
                3 => { pair.deliver(side); }
                _ => pair.close(),
            }
        }
        pair.open();
        pair.settle();
        for (side, queued) in queued.into_iter().enumerate() {
            let all: Vec<_> = (1..=queued).map(MessageId).collect();
            prop_assert_eq!(&pair.received[1 - side], &all);
            prop_assert_eq!(&pair.delivered[side], &all);
            prop_assert_eq!(pair.sides[side].undelivered().len(), 0);
        }
    }

    #[test]
    fn no_text_that_was_handed_over_looks_lost_to_a_side_that_parts(
        steps in proptest::collection::vec((0u8..4, 0usize..2), 0..100),
    ) {
        let mut pair = Pair::new();
        pair.open();
        pair.settle();
        let mut queued = [0u64; 2];
        for (step, side) in steps {
            match step {
                // Nothing is taken once one leaves.
                0 if pair.sides[side].goodbye == Goodbye::None => {
                    queued[side] += 1;
                    pair.sides[side].queue(text(queued[side]));
                }
                1 => { pair.send(side); }
                2 => { pair.deliver(side); }
                3 => pair.sides[side].say_goodbye(),
                _ => {}
            }
        }
        pair.sides.iter_mut().for_each(Chat::say_goodbye);
        pair.settle();
        prop_assert!(!pair.sides[0].open && !pair.sides[1].open, "both parted");
        for (side, queued) in queued.into_iter().enumerate() {
            prop_assert_eq!(&pair.received[1 - side], &pair.delivered[side]);
            let lost = pair.sides[side].undelivered().len();
            prop_assert_eq!(lost + pair.delivered[side].len(), queued as usize);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 0..20)) {
        let mut chat = chat(1);
        chat.channel_opened(None);
        for frame in frames {
            let _ = chat.handle(&frame);
            let _ = chat.next_frame();
        }
    }
}

#[test]
fn goodbye_follows_the_last_acknowledged_text() {
    let mut pair = Pair::new();
    pair.sides[0].queue(text(1));
    pair.sides[0].say_goodbye();
    pair.open();
    pair.settle();
    assert_eq!(pair.delivered[0], [MessageId(1)]);
    assert_eq!(pair.byes, [0, 1]);
}

#[test]
fn what_was_taken_before_the_others_goodbye_came_is_delivered() {
    let mut pair = Pair::new();
    pair.open();
    pair.settle();
    (1..=3).for_each(|id| pair.sides[0].queue(text(id)));
    pair.sides.iter_mut().for_each(Chat::say_goodbye);
    assert!(pair.send(1) && pair.deliver(1), "the other's goodbye");
    pair.settle();
    assert_eq!(pair.delivered[0], [1, 2, 3].map(MessageId));
}

#[test]
fn a_gap_a_false_receipt_and_an_early_frame_are_violations() {
    let mut pair = Pair::new();
    pair.open();
    let early = encode(Frame::Typing(v1::ChatTyping { active: true }));
    assert_eq!(pair.sides[0].handle(&early), Err(Violation::NoHello));
    pair.settle();
    let gap = encode(Frame::Text(v1::ChatText { seq: 2, text: "x".into(), ..Default::default() }));
    assert_eq!(pair.sides[0].handle(&gap), Err(Violation::Gap { got: 2, expected: 1 }));
    let false_receipt = encode(Frame::Receipt(v1::ChatReceipt { through_seq: 1 }));
    assert_eq!(pair.sides[0].handle(&false_receipt), Err(Violation::FalseReceipt));
    pair.sides[0].queue(text(1));
    assert_eq!(pair.sides[0].handle(&false_receipt), Err(Violation::FalseReceipt), "queued is not sent");
    let large = vec![0; CHAT_FRAME_BYTES_MAX + 1];
    assert_eq!(pair.sides[0].handle(&large), Err(Violation::FrameTooLarge(CHAT_FRAME_BYTES_MAX + 1)));
}

#[test]
fn the_longest_text_fits_a_frame() {
    let mut pair = Pair::new();
    pair.open();
    pair.settle();
    pair.sides[0].queue(OutgoingText { text: "x".repeat(CHAT_TEXT_BYTES_MAX).into(), ..text(u64::MAX) });
    let (frame, _) = pair.sides[0].next_frame().expect("a text is queued");
    assert!(frame.len() <= CHAT_FRAME_BYTES_MAX, "{}", frame.len());
}

#[test]
fn many_texts_are_acknowledged_by_one_receipt_but_not_too_many() {
    let mut pair = Pair::new();
    pair.open();
    pair.settle();
    for id in 1..=UNACKNOWLEDGED_MAX {
        assert!(!pair.sides[1].receipt_is_urgent());
        pair.sides[0].queue(text(id));
        pair.send(0);
        pair.deliver(0);
    }
    assert!(pair.sides[1].receipt_is_urgent());
    assert!(pair.send(1));
    assert!(!pair.send(1), "one receipt acknowledges them all");
}

#[test]
fn both_sides_of_a_channel_get_one_string_and_a_strange_certificate_ends_it() {
    let own = [[1; 32], [2; 32]];
    for seen in [own[0], [9; 32]] {
        let mut sides = [chat(1), chat(2)];
        sides[0].channel_opened(Some(Certificates { own: own[0], peer: own[1], to_compare: true }));
        sides[1].channel_opened(Some(Certificates { own: own[1], peer: seen, to_compare: true }));
        let (mut strings, mut violations) = (Vec::new(), Vec::new());
        for from in (0..2).cycle().take(12) {
            while let Some((frame, _)) = sides[from].next_frame() {
                match sides[1 - from].handle(&frame) {
                    Ok((Some(Heard::ShortString(string)), _)) => strings.push(string),
                    Ok(_) => {}
                    Err(violation) => violations.push(violation),
                }
            }
        }
        if seen == own[0] {
            assert!(violations.is_empty() && strings.len() == 2 && strings[0] == strings[1]);
        } else {
            assert!(strings.is_empty() && violations.contains(&Violation::FalseIdentity), "{violations:?}");
        }
    }
}
