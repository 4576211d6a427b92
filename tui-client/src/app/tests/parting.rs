//! Leaving, being removed, and what is said about it.

use super::*;

fn removed() -> EndReason {
    EndReason::Removed { message: "be nice".into() }
}

#[test]
fn leaving_can_be_cut_short_and_says_what_was_not_delivered() {
    let mut bench = Bench::pair();
    bench.enter("on its way");
    assert_eq!(bench.enter("/quit"), [Effect::Leave]);
    assert_eq!(bench.control('q'), [Effect::Quit]);
    assert_eq!(bench.app.undelivered(), 1);
    let mut bench = Bench::pair();
    assert_eq!(bench.control('d'), [Effect::Leave]);
    let undelivered = vec![(MessageId(1), id("bbbb1111"))];
    assert_eq!(bench.departed(undelivered, EndReason::Left), [Effect::Quit]);
    assert_eq!(bench.app.undelivered(), 1);
}

#[test]
fn after_leave_the_transcript_stays_and_nothing_can_be_sent() {
    let mut bench = Bench::pair();
    assert_eq!(bench.enter("/leave"), [Effect::Leave]);
    assert_eq!(bench.departed(Vec::new(), EndReason::Left), []);
    assert_eq!(bench.enter("hello"), []);
    assert_eq!(bench.hint(), "the room has ended: write /quit");
    assert_eq!(bench.control('q'), [Effect::Quit]);
}

#[test]
fn a_removed_peer_is_told_why_and_lines_end() {
    let mut bench = Bench::pair();
    assert_eq!(bench.room(Event::Ended(removed())), []);
    assert_eq!(bench.last_text(), "you were removed from the room: be nice");
    let mut lines = Bench::on(Surface::Lines, ConnectPolicy::Newcomer, Vec::new());
    assert_eq!(lines.room(Event::Ended(removed())), [Effect::Quit]);
}

#[test]
fn a_removal_while_leaving_is_no_success() {
    for ended_first in [true, false] {
        let mut bench = Bench::pair();
        bench.enter("on its way");
        assert_eq!(bench.enter("/quit"), [Effect::Leave]);
        if ended_first {
            assert_eq!(bench.room(Event::Ended(removed())), [], "leaving tells more");
        }
        let undelivered = vec![(MessageId(1), id("bbbb1111"))];
        assert_eq!(bench.departed(undelivered, removed()), [Effect::Quit]);
        assert_eq!(bench.last_text(), "you were removed from the room: be nice\n1 not delivered");
        assert_eq!((bench.app.phase(), bench.app.undelivered()), (&Phase::Ended(removed()), 1));
    }
}

#[test]
fn leaving_does_not_say_that_all_was_delivered_when_a_text_had_failed() {
    let mut bench = Bench::pair();
    let entry = sent_entry(&bench.enter("hello"));
    bench.event(AppEvent::Sent { entry, result: Ok(MessageId(1)) });
    bench.room(Event::PeerLeft { peer_id: id("bbbb1111"), reason: LeaveReason::Disconnected });
    bench.enter("/leave");
    bench.departed(Vec::new(), EndReason::Left);
    assert_eq!(bench.last_text(), "you left the room");
}

#[test]
fn a_room_that_fails_is_told_and_can_be_quit() {
    let mut bench = Bench::pair();
    let entry = sent_entry(&bench.enter("hello"));
    bench.event(AppEvent::Sent { entry, result: Ok(MessageId(1)) });
    assert_eq!(bench.event(AppEvent::RoomLost), []);
    assert_eq!(bench.last_text(), "the room has failed: nothing can be sent or received any more");
    assert_eq!(bench.delivery(entry), DeliveryState::Failed);
    assert!(bench.app.has_room_failed());
    assert_eq!(bench.control('q'), [Effect::Quit]);
}

#[test]
fn the_silence_after_the_end_is_no_failure() {
    let mut bench = Bench::pair();
    bench.enter("/leave");
    bench.departed(Vec::new(), EndReason::Left);
    bench.room(Event::Ended(EndReason::Left));
    bench.event(AppEvent::RoomLost);
    assert_eq!(bench.last_text(), "you left the room");
    assert!(!bench.app.has_room_failed());
}
