//! Who is at the other end, and a peer that is held.

use super::*;
use crate::sas::Place;

fn open_with(certificates: [Certificates; 2]) -> Pair {
    let mut pair = Pair::new();
    for (side, certificates) in pair.sides.iter_mut().zip(certificates) {
        side.channel_opened(Some(certificates));
    }
    pair
}

/// The frames of `from` until it has no more to say; what `to` makes of them.
fn carry(pair: &mut Pair, from: usize) -> Vec<Result<Option<Heard>, Violation>> {
    let mut results = Vec::new();
    while let Some((frame, _)) = pair.sides[from].next_frame() {
        results.push(pair.sides[1 - from].handle(&frame).map(|(heard, _)| heard));
    }
    results
}

/// Everything that both say, until nobody has more; what each was told.
fn told(pair: &mut Pair) -> [Vec<Result<Option<Heard>, Violation>>; 2] {
    let mut told = [Vec::new(), Vec::new()];
    loop {
        let (by_0, by_1) = (carry(pair, 0), carry(pair, 1));
        if by_0.is_empty() && by_1.is_empty() {
            return told;
        }
        told[1].extend(by_0);
        told[0].extend(by_1);
    }
}

fn key_of(told: &[Result<Option<Heard>, Violation>]) -> Option<Option<IdentityKey>> {
    told.iter().find_map(|heard| match heard {
        Ok(Some(Heard::Open { key, .. })) => Some(*key),
        _ => None,
    })
}

#[test]
fn both_know_the_key_of_the_other_before_any_text_and_the_string_follows() {
    let mut pair = Pair::new();
    pair.sides[0].queue(text(1));
    pair.open();
    let [of_0, of_1] = told(&mut pair);
    assert_eq!(key_of(&of_0), Some(Some(crate::Identity::from_seed(&[2; 32]).key())));
    assert_eq!(key_of(&of_1), Some(Some(crate::Identity::from_seed(&[1; 32]).key())));
    let at = |wanted: fn(&Heard) -> bool| {
        of_1.iter().position(|heard| matches!(heard, Ok(Some(heard)) if wanted(heard))).unwrap()
    };
    let open = at(|heard| matches!(heard, Heard::Open { .. }));
    assert!(open < at(|heard| matches!(heard, Heard::Text(_))));
    assert!(open < at(|heard| matches!(heard, Heard::ShortString(_))));
}

#[test]
fn who_shows_no_key_is_open_without_one_and_so_is_an_earlier_version() {
    let mut pair = Pair::new();
    pair.sides[0].identity.secret = None;
    pair.open();
    assert_eq!(key_of(&told(&mut pair)[1]), Some(None));
    // It knows neither frame nor feature.
    let mut pair = open_with([certificates(0), certificates(1)]);
    pair.sides[0].channel_opened(None);
    let [of_0, of_1] = told(&mut pair);
    assert_eq!((key_of(&of_0), key_of(&of_1)), (Some(None), Some(None)));
}

#[test]
fn a_proof_that_is_carried_on_by_somebody_in_between_ends_the_channel() {
    // Towards each side it shows a certificate of its own, and carries every frame unchanged.
    let between = |number| Certificates { peer: [9; 32], ..certificates(number) };
    let told = told(&mut open_with([between(0), between(1)]));
    for told in told {
        assert_eq!(key_of(&told), None);
        assert!(told.contains(&Err(Violation::FalseIdentity)), "{told:?}");
    }
}

#[test]
fn a_proof_of_an_earlier_channel_is_no_proof_on_this_one() {
    let mut pair = open_with([certificates(0), certificates(1)]);
    let recorded: Vec<_> = std::iter::from_fn(|| {
        let frame = pair.sides[0].next_frame().map(|(frame, _)| frame);
        carry(&mut pair, 1);
        frame
    })
    .collect();
    // Whoever has recorded it plays it to a session that the peer has with somebody else.
    let mut victim = chat(3);
    victim.channel_opened(Some(Certificates { own: [3; 32], peer: [0; 32], to_compare: true }));
    victim.next_frame();
    let results: Vec<_> = recorded.iter().map(|frame| victim.handle(frame)).collect();
    assert!(results.iter().any(|result| matches!(result, Err(Violation::FalseIdentity))), "{results:?}");
}

#[test]
fn who_says_that_it_introduces_itself_does_so_first_and_once() {
    let frame = |frame| encode(frame);
    let hello = || {
        Frame::Hello(v1::ChatHello {
            session_id: vec![5; 16].into(),
            display_name: "eve".into(),
            features: vec![IDENTITY_FEATURE.into()],
            ..v1::ChatHello::default()
        })
    };
    let mut side = chat(1);
    side.channel_opened(Some(certificates(1)));
    assert_eq!(side.handle(&frame(hello())).unwrap(), (None, Vec::new()));
    assert!(!side.is_open());
    let typing = Frame::Typing(v1::ChatTyping { active: true });
    assert_eq!(side.handle(&frame(typing)), Err(Violation::NoIdentity));
    let nobody = || frame(Frame::Identity(v1::ChatIdentity::default()));
    assert!(matches!(side.handle(&nobody()), Ok((Some(Heard::Open { key: None, .. }), _))));
    assert_eq!(side.handle(&nobody()), Err(Violation::SecondIdentity));
    for (key, signature) in [(vec![1; 31], vec![1; 64]), (vec![1; 32], vec![]), (vec![], vec![1; 64])] {
        side.channel_opened(Some(certificates(1)));
        side.handle(&frame(hello())).unwrap();
        let identity = v1::ChatIdentity { key: key.into(), signature: signature.into() };
        assert!(side.handle(&frame(Frame::Identity(identity))).is_err());
        assert!(!side.is_open());
    }
}

#[test]
fn a_key_other_than_the_proved_one_in_the_exchange_of_the_string_ends_the_channel() {
    let mut pair = open_with([certificates(0), certificates(1)]);
    // After it has proved its own it binds another.
    while !pair.sides[0].is_open() || !pair.sides[1].is_open() {
        for from in 0..2 {
            pair.send(from);
            pair.deliver(from);
        }
    }
    pair.sides[0].identity.secret = Some(crate::Identity::from_seed(&[8; 32]));
    let place = Place {
        room: "lobby",
        own_session_id: &pair.sides[0].session_id.clone(),
        peer_session_id: &pair.sides[1].session_id.clone(),
        own_fingerprint: [0; 32],
        peer_fingerprint: [1; 32],
    };
    let (other, proved) = ([8; 32], crate::Identity::from_seed(&[2; 32]).key().to_bytes());
    pair.sides[0].sas = Sas::new(&place, Some(other), Some(proved));
    pair.wires.iter_mut().for_each(VecDeque::clear);
    let [_, of_1] = told(&mut pair);
    assert!(of_1.contains(&Err(Violation::Sas(sas::Broken::OtherIdentity))), "{of_1:?}");
}

#[test]
fn what_a_peer_that_is_held_says_is_given_out_once_and_in_order_when_it_is_released() {
    let mut pair = Pair::new();
    pair.open();
    pair.settle();
    pair.sides[1].hold(None);
    (1..=3).for_each(|id| pair.sides[0].queue(text(id)));
    pair.sides[1].queue(text(1));
    pair.settle();
    assert_eq!((&pair.received, &pair.delivered), (&[vec![], vec![]], &[vec![], vec![]]));
    // Over another channel too.
    pair.open();
    pair.settle();
    pair.sides[0].queue(text(4));
    pair.settle();
    assert_eq!(pair.received, [vec![], vec![]]);
    for kept in pair.sides[1].release() {
        pair.received[1].push(kept.message_id);
        pair.sides[1].handled(kept.seq);
    }
    pair.settle();
    let all: Vec<_> = (1..=4).map(MessageId).collect();
    assert_eq!(pair.received, [vec![MessageId(1)], all.clone()]);
    assert_eq!(pair.delivered, [all, vec![MessageId(1)]]);
}

#[test]
fn a_text_that_was_about_to_be_sent_to_a_peer_that_is_held_is_sent_after_its_release() {
    let mut pair = Pair::new();
    pair.open();
    pair.settle();
    pair.sides[0].queue(text(1));
    let (_, unsent) = pair.sides[0].next_frame().unwrap();
    pair.sides[0].hold(unsent);
    pair.settle();
    assert!(pair.received[1].is_empty());
    assert!(pair.sides[0].release().is_empty());
    pair.settle();
    assert_eq!(pair.received[1], [MessageId(1)]);
}

#[test]
fn what_is_kept_of_a_peer_that_is_held_is_bounded() {
    let mut pair = Pair::new();
    pair.open();
    pair.settle();
    pair.sides[1].hold(None);
    let long = OutgoingText { text: "x".repeat(CHAT_TEXT_BYTES_MAX).into(), ..text(1) };
    let mut sent = 0;
    while !pair.sides[1].is_full() {
        pair.sides[0].queue(long.clone());
        pair.settle();
        sent += 1;
    }
    assert_eq!(sent, HELD_BYTES_MAX.div_ceil(CHAT_TEXT_BYTES_MAX));
    pair.close();
    assert!(!pair.sides[1].is_full(), "it comes again over the next channel");
}
