//! An outbox on its own: bounds, order, numbers, ends.

use std::{collections::VecDeque, task::Waker, time::Duration};

use patchcord_proto::v1::signal_response::{Message as Told, Pong};
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::{
    config::{OUTBOX_RELAYED_BYTES_MAX, OUTBOX_RELAYED_MESSAGES_MAX},
    frame::About,
    peer_id::PeerId,
};

fn take(outbox: &Outbox) -> Poll<Option<Result<Outgoing, Status>>> {
    outbox.poll_next(0, &mut Context::from_waker(Waker::noop()))
}

fn taken(outbox: &Outbox) -> Outgoing {
    match take(outbox) {
        Poll::Ready(Some(Ok(outgoing))) => outgoing,
        other => panic!("{other:?}"),
    }
}

fn frame(nonce: u64) -> Frame {
    Frame { numbered: true, ..Frame::pong(nonce) }
}

fn frame_of(bytes: usize) -> Frame {
    Frame { body: vec![0; bytes].into(), numbered: true, relayed_at: None, about: About::Session }
}

fn nonce(outgoing: &Outgoing) -> u64 {
    match patchcord_proto::v1::SignalResponse::decode(outgoing.body.clone()).unwrap().message {
        Some(Told::Pong(Pong { nonce })) => nonce,
        other => panic!("{other:?}"),
    }
}

fn opened() -> Arc<Outbox> {
    let outbox = Outbox::new();
    outbox.hold();
    outbox.open(frame(0), true);
    assert_eq!(taken(&outbox).seq, 1);
    outbox
}

fn ending(reason: LeaveReason) -> Ending {
    Ending { reason, status: Some(Status::aborted("")) }
}

#[test]
fn joined_is_first_whatever_came_meanwhile() {
    let outbox = Outbox::new();
    outbox.push(frame(1));
    outbox.hold();
    outbox.push(frame(3));
    outbox.push_relayed(frame(4)).unwrap();
    outbox.open(frame(2), true);
    let order: Vec<_> = (0..4).map(|_| taken(&outbox)).map(|out| (nonce(&out), out.seq)).collect();
    assert_eq!(order, [(1, 1), (2, 2), (3, 3), (4, 4)]);
}

#[test]
fn nothing_is_numbered_before_the_session() {
    let outbox = Outbox::new();
    outbox.push(frame(1));
    assert_eq!(taken(&outbox).seq, 0);
    outbox.hold();
    outbox.open(frame(2), true);
    outbox.push(Frame::pong(3));
    outbox.push(frame(4));
    let seqs: Vec<_> = (0..3).map(|_| taken(&outbox).seq).collect();
    assert_eq!(seqs, [1, 0, 2]);
}

#[test]
fn what_does_not_fit_is_not_taken_and_the_clock_starts() {
    let outbox = opened();
    let relayed = (0..).take_while(|nonce| outbox.push_relayed(frame(*nonce)).is_ok()).count();
    assert_eq!(relayed, OUTBOX_RELAYED_MESSAGES_MAX);
    assert!(!outbox.has_room() && outbox.condition().full_since.is_some());
    assert_eq!(outbox.condition().ended, None);
    taken(&outbox);
    assert!(outbox.has_room() && outbox.condition().full_since.is_none());
}

#[tokio::test]
async fn room_that_a_leave_makes_is_told_to_the_session() {
    let outbox = opened();
    let peer_id = PeerId::from_bits([1; 10]);
    outbox.push(Frame { about: About::Came(peer_id), ..frame(0) });
    while outbox.push_relayed(Frame { about: About::From(peer_id), ..frame(0) }).is_ok() {}
    outbox.changed().await;
    assert!(!outbox.has_room());
    outbox.push(Frame { about: About::Left(peer_id), ..frame(0) });
    tokio::time::timeout(Duration::from_secs(30), outbox.changed()).await.unwrap();
    assert!(outbox.has_room() && outbox.condition().full_since.is_none());
}

#[test]
fn a_few_large_messages_fill_it_too() {
    let outbox = opened();
    let relayed = (0..).take_while(|_| outbox.push_relayed(frame_of(16 * 1024)).is_ok()).count();
    assert_eq!(relayed, OUTBOX_RELAYED_BYTES_MAX / (16 * 1024 + 22));
    taken(&outbox);
    assert!(outbox.condition().full_since.is_none(), "it was read from");
    outbox.push_relayed(frame_of(16 * 1024)).unwrap();
}

#[test]
fn a_peer_that_is_too_slow_gets_its_status_and_nothing_else() {
    let outbox = opened();
    while outbox.push_relayed(frame_of(1024)).is_ok() {}
    outbox.end_too_slow();
    assert_eq!(outbox.push_relayed(frame(1)), Err(NotTaken::Ended));
    match take(&outbox) {
        Poll::Ready(Some(Err(status))) => assert_eq!(status.code(), tonic::Code::ResourceExhausted),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_waits_leaves_before_the_end() {
    let outbox = opened();
    outbox.push(frame(1));
    outbox.end(ending(LeaveReason::Removed), Some(frame(2)));
    outbox.end(ending(LeaveReason::ServerShutdown), Some(frame(3)));
    outbox.push(frame(4));
    assert_eq!(outbox.push_relayed(frame(5)), Err(NotTaken::Ended));
    assert_eq!([nonce(&taken(&outbox)), nonce(&taken(&outbox))], [1, 2]);
    assert!(matches!(take(&outbox), Poll::Ready(Some(Err(status))) if status.code() == tonic::Code::Aborted));
    assert_eq!(outbox.condition().ended, Some(LeaveReason::Removed));
}

#[test]
fn acknowledgements_ride_and_go_alone_only_if_they_must() {
    let outbox = opened();
    outbox.push_ack();
    assert!(take(&outbox).is_pending(), "there is nothing to acknowledge");
    outbox.set_ack(5);
    assert_eq!(outbox.ack_debt(), 5);
    outbox.push(frame(1));
    outbox.push_ack();
    assert_eq!(taken(&outbox).ack, 5);
    assert!(take(&outbox).is_pending(), "the frame carried it");
    outbox.set_ack(6);
    outbox.push_ack();
    let ack = taken(&outbox);
    assert_eq!((ack.seq, ack.ack, ack.body.len()), (0, 6, 0));
    assert_eq!(outbox.ack_debt(), 0);
}

#[test]
fn a_count_that_starts_again_is_acknowledged_again() {
    let outbox = opened();
    outbox.set_ack(9);
    outbox.push(frame(1));
    assert_eq!(taken(&outbox).ack, 9);
    outbox.set_ack(1);
    assert_eq!(outbox.ack_debt(), 1);
    outbox.push_ack();
    assert_eq!(taken(&outbox).ack, 1);
}

#[tokio::test]
async fn who_waits_for_frames_or_changes_is_woken() {
    let outbox = opened();
    let reader = tokio::spawn({
        let outbox = Arc::clone(&outbox);
        async move { std::future::poll_fn(|context| outbox.poll_next(0, context)).await.unwrap().unwrap().seq }
    });
    tokio::task::yield_now().await;
    outbox.push(frame(1));
    assert_eq!(reader.await.unwrap(), 2);
    outbox.close(0);
    outbox.changed().await;
    assert!(outbox.condition().reader_gone);
}

#[test]
fn a_session_that_cannot_resume_ends_with_its_stream_and_another_waits_for_the_next() {
    for resumable in [false, true] {
        let outbox = Outbox::new();
        outbox.open(frame(0), resumable);
        taken(&outbox);
        outbox.close(0);
        assert_eq!(outbox.push_relayed(frame(1)).is_ok(), resumable);
    }
}

#[test]
fn the_next_stream_begins_with_what_was_not_acknowledged() {
    let outbox = opened();
    (1..=3).for_each(|nonce| outbox.push(frame(nonce)));
    assert_eq!([2, 3].map(|_| taken(&outbox).seq), [2, 3]);
    outbox.detach();
    outbox.push(frame(4));
    assert!(outbox.acknowledge(2) && !outbox.acknowledge(4));
    let reader = outbox.attach(Frame::pong(9), None);
    let mut context = Context::from_waker(Waker::noop());
    let mut next = || match outbox.poll_next(reader, &mut context) {
        Poll::Ready(Some(Ok(outgoing))) => Some((outgoing.seq, nonce(&outgoing))),
        Poll::Pending => None,
        other => panic!("{other:?}"),
    };
    assert_eq!([next(), next(), next(), next()], [Some((0, 9)), Some((3, 2)), Some((4, 3)), Some((5, 4))]);
    assert_eq!(next(), None);
    assert!(matches!(take(&outbox), Poll::Ready(Some(Err(status))) if status.code() == tonic::Code::Aborted));
    outbox.close(0);
    assert!(!outbox.condition().reader_gone, "the earlier reader has no say");
}

#[test]
fn who_loses_and_never_reads_does_not_collect_who_left() {
    let outbox = opened();
    for number in 0..100 {
        let peer_id = PeerId::from_bits([number; 10]);
        let about = |about| Frame { about, ..frame(u64::from(number)) };
        outbox.push(about(About::Came(peer_id)));
        outbox.hold();
        // Each resumption is read, and nothing after it.
        let reader = outbox.attach(Frame::pong(1_000), Some(&[peer_id]));
        assert!(outbox.poll_next(reader, &mut Context::from_waker(Waker::noop())).is_ready());
        outbox.push_relayed(about(About::From(peer_id))).unwrap();
        outbox.push(about(About::Left(peer_id)));
    }
    let reader = outbox.attach(Frame::pong(1_000), None);
    let mut told = Vec::new();
    while let Poll::Ready(Some(Ok(outgoing))) =
        outbox.poll_next(reader, &mut Context::from_waker(Waker::noop()))
    {
        told.push(nonce(&outgoing));
    }
    // What the last one in the roster sent, and that it left.
    assert_eq!(told, [1_000, 0, 99, 99]);
    assert!(outbox.has_room());
}

#[test]
fn a_reader_that_is_gone_before_it_is_sent_on_is_gone_for_the_next_session_too() {
    let (session, claiming) = (opened(), Outbox::new());
    session.detach();
    let reader = session.attach(Frame::pong(1), None);
    assert!(!session.condition().reader_gone);
    claiming.close(0);
    claiming.redirect(Arc::clone(&session), reader);
    assert!(session.condition().reader_gone);
}

#[test]
fn who_is_seen_to_no_more_is_told_so_and_keeps_nothing() {
    let outbox = opened();
    outbox.push(frame(1));
    outbox.abandon();
    assert!(
        matches!(take(&outbox), Poll::Ready(Some(Err(status))) if status.code() == tonic::Code::Internal)
    );
    let outbox = opened();
    outbox.push(frame(1));
    outbox.end(ending(LeaveReason::Removed), Some(frame(2)));
    outbox.abandon();
    assert!(matches!(take(&outbox), Poll::Ready(Some(Err(status))) if status.code() == tonic::Code::Aborted));
}

#[derive(Clone, Debug)]
enum Step {
    Relayed(usize),
    Answered(usize),
    Taken,
}

proptest! {
    #[test]
    fn it_is_a_bounded_queue_with_numbers_and_no_gap(
        steps in prop::collection::vec(
            prop_oneof![
                (0..40_000usize).prop_map(Step::Relayed),
                (0..2_000usize).prop_map(Step::Answered),
                Just(Step::Taken),
            ],
            0..400,
        ),
    ) {
        let outbox = opened();
        let mut model: VecDeque<usize> = VecDeque::new();
        let mut seq = 1;
        for step in steps {
            let cost: usize = model.iter().map(|bytes| bytes + 22).sum();
            match step {
                Step::Relayed(bytes) => {
                    let fits = model.len() < OUTBOX_RELAYED_MESSAGES_MAX
                        && cost + bytes + 22 <= OUTBOX_RELAYED_BYTES_MAX;
                    prop_assert_eq!(outbox.push_relayed(frame_of(bytes)).is_ok(), fits);
                    if fits { model.push_back(bytes) }
                }
                // As a session does: an answer only while there is room.
                Step::Answered(bytes) => if outbox.has_room() {
                    outbox.push(frame_of(bytes));
                    model.push_back(bytes);
                },
                Step::Taken => match (take(&outbox), model.pop_front()) {
                    (Poll::Ready(Some(Ok(outgoing))), Some(bytes)) => {
                        seq += 1;
                        prop_assert_eq!((outgoing.body.len(), outgoing.seq), (bytes, seq));
                    }
                    (Poll::Pending, None) => {}
                    other => prop_assert!(false, "{:?}", other),
                },
            }
            prop_assert!(model.len() <= OUTBOX_RELAYED_MESSAGES_MAX);
            prop_assert!(model.iter().map(|bytes| bytes + 22).sum::<usize>() < OUTBOX_RELAYED_BYTES_MAX + 2_022);
        }
    }
}
