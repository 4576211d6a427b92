//! Two sides, and somebody between them.

use proptest::prelude::*;

use super::*;

const KEYS: [Option<[u8; 32]>; 2] = [Some([3; 32]), None];
const FINGERPRINTS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

/// The certificate of whoever is between.
const BETWEEN: [u8; 32] = [9; 32];

const RUNS: usize = 1_000;

fn side(number: usize, seen: [u8; 32]) -> Sas {
    side_with(number, FINGERPRINTS[number], seen)
}

fn side_with(number: usize, own: [u8; 32], seen: [u8; 32]) -> Sas {
    let ids = [[1u8; 16], [2; 16]];
    let place = Place {
        room: "lobby",
        own_session_id: &ids[number],
        peer_session_id: &ids[1 - number],
        own_fingerprint: own,
        peer_fingerprint: seen,
    };
    Sas::new(&place, KEYS[number], KEYS[1 - number]).unwrap()
}

fn pair() -> [Sas; 2] {
    [side(0, FINGERPRINTS[1]), side(1, FINGERPRINTS[0])]
}

/// Carries every step, as `change` leaves it, until nobody has more to say.
fn settle(
    sides: &mut [Sas; 2],
    mut change: impl FnMut(usize, v1::ChatSas) -> v1::ChatSas,
) -> [Result<Vec<Outcome>, Broken>; 2] {
    let mut outcomes = [Ok(Vec::new()), Ok(Vec::new())];
    loop {
        let mut moved = false;
        for from in 0..2 {
            while let Some(step) = sides[from].next_step() {
                moved = true;
                let to = 1 - from;
                let step = change(from, step);
                match (sides[to].handle(step), &mut outcomes[to]) {
                    (Ok(Outcome::Nothing), _) | (_, Err(_)) => {}
                    (Ok(outcome), Ok(outcomes)) => outcomes.push(outcome),
                    (Err(broken), outcomes) => *outcomes = Err(broken),
                }
            }
        }
        if !moved {
            return outcomes;
        }
    }
}

fn string(outcome: &Result<Vec<Outcome>, Broken>) -> Option<ShortString> {
    outcome.as_ref().ok()?.iter().find_map(|outcome| match outcome {
        Outcome::Ready(string) => Some(*string),
        _ => None,
    })
}

#[test]
fn both_see_one_string_and_another_each_time() {
    let mut seen = std::collections::HashSet::new();
    for run in 0..RUNS {
        let [a, b] = settle(&mut pair(), |_, step| step);
        let string = string(&a).unwrap();
        assert_eq!(Some(string), super::tests::string(&b));
        assert!(string.numbers().iter().all(|number| (1000..9192).contains(number)));
        // More would meet again by chance now and then.
        assert!(run >= 1000 || seen.insert(string.words()));
    }
}

#[test]
fn a_certificate_that_was_exchanged_on_the_way_is_noticed_without_any_user() {
    // Whoever is between shows each its own certificate and carries the steps unchanged.
    let mut sides = [side(0, [9; 32]), side(1, [9; 32])];
    let [a, _] = settle(&mut sides, |_, step| step);
    assert_eq!(a, Err(Broken::OtherCertificate));
}

#[test]
fn whoever_plays_both_sides_gives_them_other_strings() {
    let mut alike = 0;
    for _ in 0..RUNS {
        // With a certificate of its own towards each, about which it does not lie.
        let mut to_a = [side(0, BETWEEN), side_with(1, BETWEEN, FINGERPRINTS[0])];
        let mut to_b = [side_with(0, BETWEEN, FINGERPRINTS[1]), side(1, BETWEEN)];
        let [a, _] = settle(&mut to_a, |_, step| step);
        let [_, b] = settle(&mut to_b, |_, step| step);
        alike += usize::from(string(&a).unwrap().words() == string(&b).unwrap().words());
    }
    assert_eq!(alike, 0);
}

#[test]
fn a_part_other_than_the_committed_one_a_zero_key_and_steps_out_of_order_are_refused() {
    let changed_reveal = settle(&mut pair(), |_, mut step| {
        if let Some(Step::Reveal(part)) = &mut step.step {
            part.random = vec![7; 32].into();
        }
        step
    });
    assert_eq!(changed_reveal[1], Err(Broken::OtherPart));
    let zero = settle(&mut pair(), |_, mut step| {
        if let Some(Step::Key(part)) = &mut step.step {
            part.public_key = vec![0; 32].into();
        }
        step
    });
    assert_eq!(zero[0], Err(Broken::Malformed));
    let [mut a, mut b] = pair();
    a.next_step();
    let reveal = v1::ChatSas { step: Some(Step::Reveal(told(&a.ours))) };
    assert_eq!(b.handle(reveal.clone()), Err(Broken::Malformed));
    assert_eq!(a.handle(reveal), Err(Broken::Malformed));
    let reflected = side(0, FINGERPRINTS[1]).next_step().unwrap();
    assert_eq!(a.handle(reflected), Err(Broken::Malformed));
}

proptest! {
    #[test]
    fn no_steps_make_it_panic(steps in proptest::collection::vec((0u8..3, proptest::collection::vec(any::<u8>(), 0..70)), 0..10)) {
        let mut sides = pair();
        for (step, bytes) in steps {
            let bytes = Bytes::from(bytes);
            let part = v1::ChatSasPart { public_key: bytes.clone(), random: vec![1; 32].into(), fingerprint: vec![2; 32].into(), identity_key: Bytes::new() };
            let step = match step {
                0 => Step::Commitment(bytes),
                1 => Step::Key(part),
                _ => Step::Reveal(part),
            };
            for side in &mut sides {
                drop(side.handle(v1::ChatSas { step: Some(step.clone()) }));
            }
        }
    }
}
