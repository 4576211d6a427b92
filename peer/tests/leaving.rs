//! What leaving a room tells the one that leaves, whoever else ends it at the same time.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that fails by unwrap has failed as it should")]

mod support;

use patchcord_peer::{ConnectPolicy, Departure, EndReason, Event, Recipients, TextKind};
use patchcord_proto::v1::{
    RemovePeerRequest, SignalRequest, room_service_client::RoomServiceClient, signal_request as request,
    signaling_service_client::SignalingServiceClient,
};
use support::{Member, PATIENCE, Server};
use tokio_stream::wrappers::ReceiverStream;

async fn leave(room: patchcord_peer::Room) -> Departure {
    tokio::time::timeout(PATIENCE, room.leave()).await.expect("leaving ends")
}

#[tokio::test]
async fn every_handle_that_leaves_learns_what_was_not_delivered() {
    let server = Server::start().await;
    // Nobody connects, so that nothing can be delivered.
    let manual = |name| patchcord_peer::Config {
        connect_policy: ConnectPolicy::Manual,
        ..server.config("lobby", name)
    };
    let bo = Member::join(manual("bo")).await;
    let ana = Member::join(manual("ana")).await;
    let text = ana.room.send(Recipients::Everybody, TextKind::Plain, "anybody?").await.unwrap();
    let (second, third) = (ana.room.clone(), ana.room.clone());
    let truth = Departure { undelivered: vec![(text, bo.id())], reason: EndReason::Left };
    let (first, second) = tokio::join!(leave(ana.room), leave(second));
    assert_eq!(first, truth);
    assert_eq!(second, truth);
    assert_eq!(leave(third).await, truth, "also when the room is over");
}

/// Joins as a peer that never answers an offer; the stream ends with what is returned.
async fn silent_peer(server: &Server) -> impl Sized {
    let (requests, request_rx) = tokio::sync::mpsc::channel(1);
    let join =
        request::Join { room: "lobby".into(), display_name: "silent".into(), ..request::Join::default() };
    let join = SignalRequest { seq: 1, ack: 0, message: Some(request::Message::Join(join)) };
    requests.send(join).await.unwrap();
    let mut client = SignalingServiceClient::connect(server.url.clone()).await.unwrap();
    let mut responses = client.signal(ReceiverStream::new(request_rx)).await.unwrap().into_inner();
    responses.message().await.unwrap().expect("the answer to the join");
    (requests, responses)
}

#[tokio::test]
async fn one_that_is_removed_while_it_leaves_is_told_so_with_what_was_not_delivered() {
    let server = Server::start().await;
    let _silent = silent_peer(&server).await;
    let mut ana = Member::join(server.config("lobby", "ana")).await;
    let silent_id = ana.room.info().peers[0].id.clone();
    let text = ana.room.send(Recipients::Everybody, TextKind::Plain, "anybody?").await.unwrap();
    let mut admin = RoomServiceClient::connect(server.admin_url.clone()).await.unwrap();
    let request = RemovePeerRequest {
        room_name: "lobby".into(),
        peer_id: ana.id().to_string(),
        message: "enough".into(),
    };
    // Leaving waits for an answer to the offer, which never comes.
    let (departure, removed) = tokio::join!(leave(ana.room.clone()), admin.remove_peer(request));
    removed.unwrap();
    assert_eq!(departure.undelivered, [(text, silent_id)]);
    assert!(matches!(&departure.reason, EndReason::Removed { message } if message.contains("enough")));
    let ended = ana.until(|event| matches!(event, Event::Ended(_))).await;
    assert!(matches!(ended, Event::Ended(reason) if reason == departure.reason));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_the_other_side_read_is_not_reported_lost_when_both_leave_at_once() {
    let server = Server::start().await;
    for round in 0..40 {
        let (ana, mut bo) = support::connected(&server, &format!("room{round}")).await;
        let text = ana.room.send(Recipients::Everybody, TextKind::Plain, "bye now").await.unwrap();
        let (of_ana, of_bo) = tokio::join!(leave(ana.room.clone()), leave(bo.room.clone()));
        assert_eq!((of_ana.reason, of_bo.undelivered), (EndReason::Left, Vec::new()));
        bo.until(|event| matches!(event, Event::Ended(_))).await;
        let was_read = bo.seen.iter().any(|event| matches!(event, Event::Message(_)));
        let is_lost = of_ana.undelivered == [(text, bo.id())];
        assert_ne!(was_read, is_lost, "round {round}");
    }
}
