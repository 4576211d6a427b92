//! What no well-behaved client sends: each gets its answer, and nobody else notices.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use kit::{Peer, Server, join_request, pair, raw::RawCall};
use patchcord_proto::v1::{
    LeaveReason, SignalRequest,
    signal_request::{Join, Message as Ask, Offer, Ping},
    signal_response::{self, Message as Told, rejected::Code},
};

/// A raw call that has joined.
async fn joined(server: &Server, room: &str) -> RawCall {
    let mut call = RawCall::open(server.public).await;
    call.send_request(&join_request(1, room, "raw"));
    assert!(matches!(call.response().await.unwrap().message, Some(Told::Joined(_))));
    call
}

async fn rejection(call: &mut RawCall) -> (u64, Code) {
    loop {
        match call.response().await.unwrap().message {
            Some(Told::Rejected(rejected)) => return (rejected.request_seq, rejected.code()),
            Some(Told::PeerJoined(_)) | None => {}
            other => panic!("not Rejected but {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_the_server_does_not_know_is_unsupported_and_the_session_goes_on() {
    let server = Server::start().await;
    let mut call = joined(&server, "lobby").await;
    // seq = 2, then field 100 with two bytes: a request of a later version.
    call.send(&[0x08, 2, 0xa2, 0x06, 2, 1, 2]);
    assert_eq!(rejection(&mut call).await, (2, Code::Unsupported));
    // Numbered, and nothing in it.
    call.send(&[0x08, 3]);
    assert_eq!(rejection(&mut call).await, (3, Code::Unsupported));
    // Neither number nor acknowledgement.
    call.send(&[]);
    assert_eq!(rejection(&mut call).await, (0, Code::Unsupported));
    call.send_request(&SignalRequest { seq: 4, ack: 0, message: Some(Ask::Ping(Ping { nonce: 9 })) });
    let pong = call.response().await.unwrap();
    assert_eq!((pong.ack, pong.message), (4, Some(Told::Pong(signal_response::Pong { nonce: 9 }))));
}

#[tokio::test]
async fn bytes_that_are_no_message_end_the_stream() {
    let server = Server::start().await;
    let (mut watcher, _) = server.join("lobby", "watcher").await;
    let mut call = joined(&server, "lobby").await;
    let id = watcher.peer_joined().await;
    call.send(&[0xff; 64]);
    assert_eq!(rejection(&mut call).await, (0, Code::InvalidArgument));
    assert_eq!(call.status().await, tonic::Code::InvalidArgument);
    assert_eq!(watcher.peer_left().await, (id, LeaveReason::RulesBroken));
}

#[tokio::test]
async fn a_session_description_over_its_limit_is_too_large() {
    let server = Server::start().await;
    let (mut one, mut other) = pair(&server, "lobby").await;
    let (one_id, other_id) = (one.id.clone(), other.id.clone());
    one.offer(&other_id, &"x".repeat(16 * 1024 + 1)).await;
    assert_eq!(one.rejected_code().await, Code::TooLarge);
    one.offer(&other_id, &"x".repeat(16 * 1024)).await;
    assert!(matches!(other.told().await, Told::Offer(offer) if offer.sdp.len() == 16 * 1024));
    // A message that is not even decoded ends the stream; it can never succeed.
    one.offer(&other_id, &"x".repeat(1024 * 1024)).await;
    let (told, end) = one.rest().await;
    assert!(
        matches!(told.as_slice(), [Told::Rejected(rejected)] if rejected.code() == Code::TooLarge),
        "{told:?}"
    );
    assert_eq!(end.unwrap_err().code(), tonic::Code::InvalidArgument);
    assert_eq!(other.peer_left().await, (one_id, LeaveReason::RulesBroken));
}

#[tokio::test]
async fn names_that_break_the_rule_are_refused_by_field() {
    let server = Server::start().await;
    let mut peer = server.stream().await;
    let bad = ["", " ", "a ", "\u{1b}[31m", "a\nb", "\u{202e}abc", "a\u{200b}b", "\u{0}"];
    for name in bad.iter().copied().chain([&*"x".repeat(129)]) {
        peer.ask_join(name, "peer").await;
        assert_eq!(peer.rejected_code().await, Code::InvalidRoom, "{name:?}");
    }
    for name in bad.iter().copied().chain([&*"x".repeat(65)]) {
        peer.ask_join("lobby", name).await;
        assert_eq!(peer.rejected_code().await, Code::InvalidDisplayName, "{name:?}");
    }
    let join = |user_agent: String, access_token: String| {
        let (room, display_name) = ("lobby".to_owned(), "peer".to_owned());
        Ask::Join(Join { room, display_name, user_agent, access_token })
    };
    peer.ask(join("x".repeat(129), String::new())).await;
    assert_eq!(peer.rejected_code().await, Code::InvalidArgument);
    peer.ask(join("\u{1b}".to_owned(), String::new())).await;
    assert_eq!(peer.rejected_code().await, Code::InvalidArgument);
    peer.ask(join(String::new(), "x".repeat(8 * 1024 + 1))).await;
    assert_eq!(peer.rejected_code().await, Code::InvalidArgument);
    peer.join(&"é".repeat(64), &"é".repeat(32)).await;
}

#[tokio::test]
async fn ten_thousand_joins_on_one_stream_are_one_join_and_as_many_rejections() {
    let server = Server::start_unlimited().await;
    let (mut one, mut other) = pair(&server, "lobby").await;
    let requests = one.requests.clone().unwrap();
    let sending = tokio::spawn(async move {
        for number in 0..10_000_u64 {
            requests.send(join_request(number + 2, "elsewhere", "peer")).await.unwrap();
        }
    });
    for number in 0..10_000_u64 {
        let rejected = one.rejected().await;
        assert_eq!((rejected.code(), rejected.request_seq), (Code::AlreadyJoined, number + 2));
    }
    sending.await.unwrap();
    let rooms =
        server.rooms().await.list_rooms(patchcord_proto::v1::ListRoomsRequest::default()).await.unwrap();
    assert_eq!(rooms.into_inner().total_rooms, 1);
    one.seq = 10_001;
    one.offer(&other.id.clone(), "v=0").await;
    assert!(matches!(other.told().await, Told::Offer(_)));
}

#[tokio::test]
async fn a_peer_that_asks_and_never_reads_is_read_no_more_and_then_ended() {
    let server = Server::start().await;
    let (mut watcher, _) = server.join("lobby", "watcher").await;
    let mut call = RawCall::open_with_window(server.public, 1024).await;
    call.send_request(&join_request(1, "lobby", "raw"));
    let id = watcher.peer_joined().await;
    for seq in 2..2_000 {
        call.send_request(&join_request(seq, &"x".repeat(2048), "peer"));
    }
    assert_eq!(watcher.peer_left().await, (id, LeaveReason::TooSlow));
    assert_eq!(call.status().await, tonic::Code::ResourceExhausted);
}

#[tokio::test]
async fn a_flood_of_small_requests_without_reading_costs_its_own_connection() {
    let server = Server::start().await;
    let (mut watcher, _) = server.join("lobby", "watcher").await;
    let mut call = RawCall::open_with_window(server.public, 1024).await;
    call.send_request(&join_request(1, "lobby", "raw"));
    let id = watcher.peer_joined().await;
    for seq in 2..20_000 {
        call.send_request(&join_request(seq, "x", "peer"));
    }
    // The transport cuts it for so many unread frames, or we for what it does not read: who is first wins.
    let (left, reason) = watcher.peer_left().await;
    assert_eq!(left, id);
    assert!(matches!(reason, LeaveReason::TooSlow | LeaveReason::Disconnected), "{reason:?}");
}

#[tokio::test]
async fn a_peer_that_never_reads_delays_nobody_and_is_ended() {
    let server = Server::start_unlimited().await;
    let (mut sender, _) = server.join("lobby", "sender").await;
    let mut stuck = RawCall::open_with_window(server.public, 1024).await;
    stuck.send_request(&join_request(1, "lobby", "stuck"));
    let stuck_id = sender.peer_joined().await;
    let (mut reader, _) = server.join("lobby", "reader").await;
    assert_eq!(sender.peer_joined().await, reader.id);

    // Full after a few: the message is lost, which the sender is told at once and may repeat.
    let busy = loop {
        sender.offer(&stuck_id, &"x".repeat(16 * 1024)).await;
        sender.ask(Ask::Ping(Ping { nonce: sender.seq })).await;
        match sender.told().await {
            Told::Pong(_) => assert!(sender.seq < 2_000, "it never fills"),
            Told::Rejected(rejected) => break rejected,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((busy.code(), busy.retryable), (Code::PeerBusy, true));
    assert!(busy.retry_after.is_some());
    assert!(matches!(sender.told().await, Told::Pong(_)));

    // Meanwhile, and until the stuck one is ended, the others talk on.
    let reader_id = reader.id.clone();
    let mut relayed = 0_u64;
    loop {
        sender.candidate(&reader_id, "candidate:1").await;
        match reader.told().await {
            Told::Candidate(_) => relayed += 1,
            Told::PeerLeft(left) => {
                assert_eq!((left.peer_id.as_str(), left.reason()), (stuck_id.as_str(), LeaveReason::TooSlow));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(relayed > 100, "{relayed} messages in 5 seconds");
    assert_eq!(sender.peer_left().await, (stuck_id.clone(), LeaveReason::TooSlow));
    sender.offer(&stuck_id, "v=0").await;
    assert_eq!(sender.rejected_code().await, Code::NoSuchPeer);
    assert_eq!(stuck.status().await, tonic::Code::ResourceExhausted);

    let (_, metrics) = server.get("/metrics").await;
    let overflows =
        metrics.lines().find(|line| line.starts_with("patchcord_outbox_overflows_total")).unwrap();
    assert_ne!(overflows, "patchcord_outbox_overflows_total 0");
}

#[tokio::test]
async fn who_pauses_is_not_ended_by_those_who_come_and_go() {
    let server = Server::start().await;
    let (mut sender, _) = server.join("lobby", "sender").await;
    let mut pausing = RawCall::open_with_window(server.public, 1024).await;
    pausing.send_request(&join_request(1, "lobby", "pausing"));
    let pausing_id = sender.peer_joined().await;
    // Until nothing more fits that may be refused.
    loop {
        sender.candidate(&pausing_id, &"x".repeat(900)).await;
        sender.ask(Ask::Ping(Ping { nonce: 0 })).await;
        if let Told::Rejected(rejected) = sender.told().await {
            assert_eq!(rejected.code(), Code::PeerBusy);
            break;
        }
    }
    assert!(matches!(sender.told().await, Told::Pong(_)));
    let channel = server.channel().await;
    for _ in 0..100 {
        let mut passer = Peer::open(channel.clone()).await.unwrap();
        passer.join("lobby", "passer").await;
        assert_eq!(sender.peer_joined().await, passer.id);
        passer.leave().await;
        assert_eq!(sender.peer_left().await, (passer.id.clone(), LeaveReason::Left));
    }
    let (stayer, _) = server.join("lobby", "stayer").await;
    assert_eq!(sender.peer_joined().await, stayer.id);

    // It reads again before its time is over: no gap, nobody twice, and the one who stayed.
    let (mut seq, mut here) = (0, Vec::new());
    while !here.contains(&stayer.id) {
        let response = pausing.response().await.expect("it was ended");
        if response.seq != 0 {
            seq += 1;
            assert_eq!(response.seq, seq, "a gap");
        }
        match response.message {
            Some(Told::PeerJoined(joined)) => here.push(joined.peer.unwrap().peer_id),
            Some(Told::PeerLeft(left)) => {
                let index = here.iter().position(|id| *id == left.peer_id).expect("left without joining");
                here.remove(index);
            }
            _ => {}
        }
    }
    assert_eq!(here, [stayer.id]);
}

#[tokio::test]
async fn a_reader_who_pauses_less_than_the_limit_loses_nothing_that_was_taken() {
    let server = Server::start_unlimited().await;
    let (mut sender, _) = server.join("lobby", "sender").await;
    let mut slow = RawCall::open_with_window(server.public, 1024).await;
    slow.send_request(&join_request(1, "lobby", "slow"));
    let slow_id = sender.peer_joined().await;
    let mut taken = Vec::new();
    let mut number = 0;
    // Until the outbox is full.
    loop {
        sender.candidate(&slow_id, &format!("{number:0>900}")).await;
        sender.ask(Ask::Ping(Ping { nonce: 0 })).await;
        match sender.told().await {
            Told::Pong(_) => taken.push(number),
            Told::Rejected(_) => break,
            other => panic!("{other:?}"),
        }
        number += 1;
    }
    let mut seq = 0;
    for expected in taken {
        loop {
            let response = slow.response().await.unwrap();
            if response.seq != 0 {
                seq += 1;
                assert_eq!(response.seq, seq, "a gap");
            }
            if let Some(Told::Candidate(candidate)) = response.message {
                assert_eq!(candidate.candidate.parse::<u64>().unwrap(), expected);
                break;
            }
        }
    }
}

#[tokio::test]
async fn from_is_the_servers_word_whatever_is_sent() {
    let server = Server::start().await;
    let (mut one, mut other) = pair(&server, "lobby").await;
    let mut call = joined(&server, "lobby").await;
    let raw_id = one.peer_joined().await;
    assert_eq!(other.peer_joined().await, raw_id);
    // An offer as a response would have it: field 1 is the addressee here, and there is no field for a sender.
    let forged = Offer { to_peer_id: one.id.clone(), sdp: format!("from {}", other.id) };
    call.send_request(&SignalRequest { seq: 2, ack: 0, message: Some(Ask::Offer(forged)) });
    assert!(matches!(one.told().await, Told::Offer(offer) if offer.from_peer_id == raw_id));
    other.leave().await;
    let (told, _) = other.rest().await;
    assert!(told.is_empty(), "{told:?}");
}

#[tokio::test]
async fn the_first_request_must_be_a_join() {
    let server = Server::start().await;
    let first: [Option<Ask>; 3] =
        [Some(Ask::Ping(Ping { nonce: 1 })), Some(Ask::Offer(Offer::default())), None];
    // Whatever its number.
    for (seq, message) in [0, 1, 2, u64::MAX].into_iter().flat_map(|seq| first.clone().map(|ask| (seq, ask)))
    {
        let mut peer = Peer::open(server.channel().await).await.unwrap();
        peer.send_request(SignalRequest { seq, ack: 0, message }).await;
        let (told, end) = peer.rest().await;
        assert!(
            matches!(told.as_slice(), [Told::Rejected(rejected)] if rejected.code() == Code::NotJoined),
            "{told:?}"
        );
        assert_eq!(end.unwrap_err().code(), tonic::Code::InvalidArgument);
    }
}
