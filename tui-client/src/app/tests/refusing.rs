//! Peers that the user does not want: left alone until they are taken back by name.

use super::*;
use crate::identity::{Decision, Outcome};

fn pair_and_one_refused() -> Bench {
    let mut bench = Bench::with(vec![peer("bbbb1111", "bo"), peer("cccc1111", "cy")]);
    for (peer_id, name) in [("bbbb1111", "bo"), ("cccc1111", "cy")] {
        bench.room(Event::ChannelOpen { peer_id: id(peer_id), display_name: Untrusted::new(name) });
    }
    let decision = Decision::Refuse;
    assert_eq!(bench.enter("/refuse bo"), [Effect::Decide { peer_id: id("bbbb1111"), decision }]);
    bench.event(refused("bbbb1111"));
    bench.room(Event::ChannelClosed { peer_id: id("bbbb1111") });
    bench
}

fn refused(peer_id: &str) -> AppEvent {
    AppEvent::Decided { peer_id: id(peer_id), decision: Decision::Refuse, result: Ok(Outcome::Refused) }
}

fn refused_in_views(bench: &mut Bench) -> [bool; 3] {
    bench.enter("/who");
    let who = bench.last_text().contains("refused: /connect takes it back");
    [OverlayKind::Roster, OverlayKind::Verify]
        .map(|kind| bench.rows(kind).contains("refused: /connect"))
        .into_iter()
        .chain([who])
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

#[test]
fn who_is_refused_is_shown_so_and_taken_back_by_name_only() {
    let mut bench = pair_and_one_refused();
    assert_eq!(bench.last_text(), "bo is refused and disconnected: /connect bo takes it back");
    bench.room(Event::ShortString { peer_id: id("bbbb1111"), string: string(), changed: false });
    assert_eq!(refused_in_views(&mut bench), [true; 3]);
    assert_eq!(bench.enter("/connect"), []);
    assert!(bench.hint().contains("connected or refused"), "{}", bench.hint());
    bench.control('c');
    bench.room(Event::PeerJoined(peer("dddd1111", "dee")));
    assert_eq!(bench.enter("/connect"), [Effect::Connect { peer_id: id("dddd1111") }]);
    assert_eq!(bench.enter("/connect bo"), [Effect::Connect { peer_id: id("bbbb1111") }]);
    bench.event(AppEvent::Connecting { peer_id: id("bbbb1111"), result: Ok(()) });
    assert_eq!(refused_in_views(&mut bench), [false; 3]);
    assert_eq!(bench.enter("/refuse nobody"), []);
}

#[test]
fn a_text_to_everybody_is_delivered_once_all_have_it_who_are_not_refused() {
    let mut bench = pair_and_one_refused();
    let entry = sent_entry(&bench.enter("hello"));
    bench.event(AppEvent::Sent { entry, result: Ok(MessageId(1)) });
    bench.receipt(1, "cccc1111", DeliveryState::Delivered);
    assert_eq!(bench.delivery(entry), DeliveryState::Delivered);
    bench.event(refused("cccc1111"));
    assert_eq!(bench.enter("hello"), []);
    assert!(bench.hint().contains("everybody here is refused"), "{}", bench.hint());
}

#[test]
fn a_text_that_is_written_before_the_refusal_is_carried_out_does_not_wait_for_the_refused_one() {
    let mut bench = Bench::with(vec![peer("bbbb1111", "bo"), peer("cccc1111", "cy")]);
    bench.enter("/refuse bo");
    let entry = sent_entry(&bench.enter("hello"));
    bench.event(refused("bbbb1111"));
    bench.event(AppEvent::Sent { entry, result: Ok(MessageId(1)) });
    bench.receipt(1, "cccc1111", DeliveryState::Delivered);
    assert_eq!(bench.delivery(entry), DeliveryState::Failed, "bo does not have it");
}

#[test]
fn a_decision_that_was_not_taken_says_so_and_changes_nothing() {
    let mut bench = Bench::pair();
    let (decision, result) = (Decision::Refuse, Err(RequestError::Busy));
    bench.event(AppEvent::Decided { peer_id: id("bbbb1111"), decision, result });
    assert_eq!(bench.last_text(), "bo: too many requests wait: try again in a moment");
    assert!(!bench.app.roster().members()[0].refused);
}
