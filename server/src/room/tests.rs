//! A room against a reference that remembers everything and is too simple to be wrong.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn peer(number: u8) -> PeerId {
    let mut bits = [0; 10];
    bits[9] = number;
    PeerId::from_bits(bits)
}

fn member(number: u8) -> Arc<Member> {
    Arc::new(Member {
        peer_id: peer(number),
        display_name: DisplayName::parse("somebody", 64).unwrap(),
        user_agent: "test/1".into(),
        address: ([127, 0, 0, 1], 1).into(),
        joined_at: SystemTime::UNIX_EPOCH,
        attached: true,
        grant: None,
    })
}

fn room(peers_max: usize) -> Room {
    Room::new(RoomName::parse("lobby", 128).unwrap(), SystemTime::UNIX_EPOCH, peers_max)
}

#[test]
fn renegotiation_in_a_pair_counts_once() {
    let mut room = room(8);
    room.join(member(1)).unwrap();
    room.join(member(2)).unwrap();
    for _ in 0..3 {
        room.count_relayed(peer(1), peer(2), RelayKind::Offer);
        room.count_relayed(peer(2), peer(1), RelayKind::Answer);
    }
    let counters = room.counters();
    assert_eq!((counters.offers, counters.answers), (3, 3));
    assert_eq!((counters.negotiations_begun, counters.negotiations_answered), (1, 1));
}

#[test]
fn an_answer_to_no_offer_answers_nothing() {
    let mut room = room(8);
    room.join(member(1)).unwrap();
    room.join(member(2)).unwrap();
    room.count_relayed(peer(2), peer(1), RelayKind::Answer);
    room.count_relayed(peer(1), peer(2), RelayKind::Offer);
    room.count_relayed(peer(1), peer(2), RelayKind::Answer);
    assert_eq!(room.counters().negotiations_answered, 0);
    room.count_relayed(peer(2), peer(1), RelayKind::Answer);
    assert_eq!(room.counters().negotiations_answered, 1);
}

#[test]
fn renaming_changes_the_name_alone() {
    let mut room = room(8);
    room.join(member(1)).unwrap();
    let before = Member::clone(room.member(peer(1)).unwrap());
    let display_name = DisplayName::parse("other", 64).unwrap();
    let after = Member::clone(room.rename(peer(1), display_name.clone()).unwrap());
    assert_eq!(after, Member { display_name, ..before });
    assert!(room.rename(peer(2), DisplayName::parse("x", 64).unwrap()).is_none());
}

#[derive(Clone, Debug)]
enum Step {
    Join(u8),
    Leave(u8),
    Relay(u8, u8, RelayKind),
}

fn any_kind() -> impl Strategy<Value = RelayKind> {
    prop_oneof![
        Just(RelayKind::Offer),
        Just(RelayKind::Answer),
        Just(RelayKind::Candidate),
        Just(RelayKind::Sealed)
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..8u8).prop_map(Step::Join),
        (0..8u8).prop_map(Step::Leave),
        (0..8u8, 0..8u8, any_kind()).prop_map(|(from, to, kind)| Step::Relay(from, to, kind)),
    ]
}

proptest! {
    #[test]
    fn a_room_is_an_ordered_set_of_at_most_its_size(steps in prop::collection::vec(any_step(), 0..200), peers_max in 1..6usize) {
        let mut room = room(peers_max);
        let mut model: Vec<u8> = Vec::new();
        let mut relayed = 0;
        let mut begun: Vec<BTreeSet<u8>> = Vec::new();
        let mut begun_count = 0;
        for step in steps {
            match step {
                Step::Join(number) if model.contains(&number) => {}
                Step::Join(number) => {
                    let joined = room.join(member(number)).is_ok();
                    prop_assert_eq!(joined, model.len() < peers_max);
                    if joined { model.push(number) }
                }
                Step::Leave(number) => {
                    prop_assert_eq!(room.leave(peer(number)).is_some(), model.contains(&number));
                    model.retain(|other| *other != number);
                    begun.retain(|pair| !pair.contains(&number));
                }
                Step::Relay(from, to, kind) => {
                    let may = from != to && model.contains(&from) && model.contains(&to);
                    prop_assert_eq!(room.may_signal(peer(from), peer(to)), may);
                    if may {
                        room.count_relayed(peer(from), peer(to), kind);
                        relayed += 1;
                        let pair = BTreeSet::from([from, to]);
                        if kind == RelayKind::Offer && !begun.contains(&pair) {
                            begun.push(pair);
                            begun_count += 1;
                        }
                    }
                }
            }
            let members: Vec<PeerId> = room.members().iter().map(|member| member.peer_id).collect();
            prop_assert_eq!(members, model.iter().map(|number| peer(*number)).collect::<Vec<_>>());
            let counters = room.counters();
            prop_assert_eq!(counters.offers + counters.answers + counters.candidates + counters.sealed, relayed);
            prop_assert_eq!(counters.negotiations_begun, begun_count);
            prop_assert!(counters.negotiations_answered <= counters.negotiations_begun);
            prop_assert!(room.negotiations.len() <= peers_max * peers_max.saturating_sub(1) / 2);
        }
    }
}
