//! Peers meet, exchange what WebRTC needs, and part: over real sockets with the generated client.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use kit::{Server, pair, raw::RawCall};
use patchcord_proto::v1::{
    LeaveReason, PeerState, SignalRequest,
    signal_request::{Answer, Candidate, Message as Ask, Ping, Resume, Sealed, UpdateProfile},
    signal_response::{self, Message as Told, rejected::Code},
};

#[tokio::test]
async fn joined_brings_everything_a_peer_needs() {
    let server = Server::start().await;
    let (first, joined) = server.join("lobby", "Zoë").await;
    assert_eq!(joined.room, "lobby");
    assert!(joined.peers.is_empty());
    assert!(first.id.len() == 16 && first.id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')));
    assert!(joined.server.starts_with("patchcord-server/"));
    let limits = joined.limits.unwrap();
    assert_eq!((limits.sdp_bytes_max, limits.candidate_bytes_max), (16 * 1024, 1024));
    assert_eq!((limits.outbox_messages_max, limits.outbox_bytes_max), (256, 256 * 1024));
    assert_eq!((limits.peers_per_room_max, limits.stall_timeout.unwrap().seconds), (64, 5));

    let (second, joined) = server.join("lobby", "Zoë").await;
    assert_ne!(first.id, second.id);
    assert_eq!(joined.peers.len(), 1);
    assert_eq!(
        (joined.peers[0].peer_id.as_str(), joined.peers[0].display_name.as_str()),
        (first.id.as_str(), "Zoë")
    );
    assert_eq!(joined.peers[0].state(), PeerState::Attached);
    assert!(joined.peers[0].joined_at.is_some());
}

#[tokio::test]
async fn offer_answer_candidate_and_sealed_arrive_as_sent_with_their_sender() {
    let server = Server::start().await;
    let (mut one, mut other) = pair(&server, "lobby").await;
    let (one_id, other_id) = (one.id.clone(), other.id.clone());

    other.offer(&one_id, "v=0 offer").await;
    let from_peer_id = other_id.clone();
    assert_eq!(
        one.told().await,
        Told::Offer(signal_response::Offer { from_peer_id, sdp: "v=0 offer".to_owned() })
    );

    one.ask(Ask::Answer(Answer { to_peer_id: other_id.clone(), sdp: "v=0 answer".to_owned() })).await;
    let from_peer_id = one_id.clone();
    assert_eq!(
        other.told().await,
        Told::Answer(signal_response::Answer { from_peer_id, sdp: "v=0 answer".to_owned() })
    );

    let candidate = Candidate {
        to_peer_id: other_id.clone(),
        candidate: "candidate:1 1 udp 1 127.0.0.1 9 typ host".to_owned(),
        sdp_mid: Some("0".to_owned()),
        sdp_m_line_index: Some(0),
        username_fragment: Some("abcd".to_owned()),
    };
    one.ask(Ask::Candidate(candidate.clone())).await;
    assert_eq!(
        other.told().await,
        Told::Candidate(signal_response::Candidate {
            from_peer_id: one_id.clone(),
            candidate: candidate.candidate,
            sdp_mid: candidate.sdp_mid,
            sdp_m_line_index: candidate.sdp_m_line_index,
            username_fragment: candidate.username_fragment,
        })
    );

    // An empty candidate is end-of-candidates; absent fields stay absent.
    one.candidate(&other_id, "").await;
    let from_peer_id = one_id.clone();
    assert_eq!(
        other.told().await,
        Told::Candidate(signal_response::Candidate { from_peer_id, ..signal_response::Candidate::default() })
    );

    one.ask(Ask::Sealed(Sealed { to_peer_id: other_id.clone(), payload: vec![0, 255, 7].into() })).await;
    let from_peer_id = one_id.clone();
    assert_eq!(
        other.told().await,
        Told::Sealed(signal_response::Sealed { from_peer_id, payload: vec![0, 255, 7].into() })
    );
}

#[tokio::test]
async fn messages_of_a_pair_keep_their_order() {
    let server = Server::start().await;
    let (mut one, mut other) = pair(&server, "lobby").await;
    let to = other.id.clone();
    let sending = tokio::spawn(async move {
        for number in 0..2_000 {
            one.candidate(&to, &number.to_string()).await;
        }
        one
    });
    for number in 0..2_000 {
        match other.told().await {
            Told::Candidate(candidate) => assert_eq!(candidate.candidate, number.to_string()),
            told => panic!("{told:?}"),
        }
    }
    let one = sending.await.unwrap();
    assert_eq!(one.seq, 2_001);
}

#[tokio::test]
async fn nobody_signals_across_rooms_nor_to_nobody_nor_to_itself() {
    let server = Server::start().await;
    let (mut one, _) = server.join("here", "one").await;
    let (mut other, _) = server.join("there", "other").await;
    let (one_id, other_id) = (one.id.clone(), other.id.clone());
    for to in [other_id.as_str(), one_id.as_str(), "", "aaaaaaaaaaaaaaaa", "nobody"] {
        one.offer(to, "v=0").await;
        let rejected = one.rejected().await;
        assert_eq!(
            (rejected.code(), rejected.request_seq, rejected.retryable),
            (Code::NoSuchPeer, one.seq, false)
        );
    }
    other.leave().await;
    let (told, end) = other.rest().await;
    assert!(told.is_empty(), "{told:?}");
    end.unwrap();
}

#[tokio::test]
async fn a_peer_that_has_left_is_no_such_peer() {
    let server = Server::start().await;
    let (mut one, mut other) = pair(&server, "lobby").await;
    let other_id = other.id.clone();
    other.leave().await;
    assert_eq!(one.peer_left().await, (other_id.clone(), LeaveReason::Left));
    one.offer(&other_id, "v=0").await;
    assert_eq!(one.rejected_code().await, Code::NoSuchPeer);
}

#[tokio::test]
async fn every_way_out_is_told_once_and_by_its_reason() {
    let server = Server::start().await;
    let (mut watcher, _) = server.join("lobby", "watcher").await;

    let (mut leaving, _) = server.join("lobby", "leaving").await;
    assert_eq!(watcher.peer_joined().await, leaving.id);
    leaving.leave().await;
    leaving.rest().await.1.unwrap();
    assert_eq!(watcher.peer_left().await, (leaving.id, LeaveReason::Left));

    let (mut closing, _) = server.join("lobby", "closing").await;
    assert_eq!(watcher.peer_joined().await, closing.id);
    closing.half_close();
    closing.rest().await.1.unwrap();
    assert_eq!(watcher.peer_left().await, (closing.id, LeaveReason::Left));

    let mut cancelling = RawCall::open(server.public).await;
    cancelling.send_request(&kit::join_request(1, "lobby", "cancelling"));
    let id = watcher.peer_joined().await;
    cancelling.reset();
    assert_eq!(watcher.peer_left().await, (id, LeaveReason::Disconnected));

    // Dropping all of it closes the connection.
    let (vanishing, _) = server.join("lobby", "vanishing").await;
    assert_eq!(watcher.peer_joined().await, vanishing.id);
    let id = vanishing.id.clone();
    drop(vanishing);
    assert_eq!(watcher.peer_left().await, (id, LeaveReason::Disconnected));

    watcher.leave().await;
    let (told, end) = watcher.rest().await;
    assert!(told.is_empty(), "{told:?}");
    end.unwrap();
}

#[tokio::test]
async fn update_profile_is_told_to_everybody() {
    let server = Server::start().await;
    let (mut one, mut other) = pair(&server, "lobby").await;
    one.ask(Ask::UpdateProfile(UpdateProfile { display_name: "new name".to_owned() })).await;
    for peer in [&mut one, &mut other] {
        match peer.told().await {
            Told::PeerUpdated(updated) => assert_eq!(updated.peer.unwrap().display_name, "new name"),
            told => panic!("{told:?}"),
        }
    }
    one.ask(Ask::UpdateProfile(UpdateProfile { display_name: "\u{202e}".to_owned() })).await;
    assert_eq!(one.rejected_code().await, Code::InvalidDisplayName);
    // Everybody has to be told of each, so not too many are taken.
    for number in 0..1_000 {
        one.ask(Ask::UpdateProfile(UpdateProfile { display_name: number.to_string() })).await;
        match one.told().await {
            Told::Rejected(rejected) => {
                assert_eq!((rejected.code(), rejected.retryable), (Code::RateLimited, true));
                assert!(rejected.retry_after.is_some());
                break;
            }
            Told::PeerUpdated(_) => assert!(number < 999, "never too many"),
            told => panic!("{told:?}"),
        }
    }
    let (_, joined) = server.join("lobby", "third").await;
    assert!(joined.peers.iter().all(|peer| peer.display_name != "one"));
}

#[tokio::test]
async fn ping_is_answered_without_a_number() {
    let server = Server::start().await;
    let (mut peer, _) = server.join("lobby", "peer").await;
    peer.ask(Ask::Ping(Ping { nonce: 77 })).await;
    let response = peer.response().await.unwrap().unwrap();
    assert_eq!(response.message, Some(Told::Pong(signal_response::Pong { nonce: 77 })));
    assert_eq!((response.seq, response.ack), (0, 2));
}

#[tokio::test]
async fn requests_are_acknowledged_without_being_answered() {
    let server = Server::start().await;
    let (mut one, mut other) = pair(&server, "lobby").await;
    let to = other.id.clone();
    one.offer(&to, "v=0").await;
    while one.last_ack < one.seq {
        let response = one.response().await.unwrap().unwrap();
        assert_eq!((response.seq, response.message), (0, None));
    }
    other.told().await;
    // A bare acknowledgement is not answered; what comes next is the answer to what was asked next.
    one.send_request(SignalRequest { seq: 0, ack: one.last_seq, message: None }).await;
    one.ask(Ask::Ping(Ping { nonce: 1 })).await;
    assert!(matches!(one.response().await.unwrap().unwrap().message, Some(Told::Pong(_))));
}

#[tokio::test]
async fn numbers_must_follow_and_none_is_fine() {
    let server = Server::start().await;
    let (mut peer, _) = server.join("lobby", "peer").await;
    let ping = |seq| SignalRequest { seq, ack: 0, message: Some(Ask::Ping(Ping { nonce: seq })) };
    for seq in [3, u64::MAX] {
        peer.send_request(ping(seq)).await;
        let rejected = peer.rejected().await;
        assert_eq!((rejected.code(), rejected.request_seq), (Code::OutOfSequence, seq));
    }
    // A repetition is not carried out again, and has no answer.
    peer.send_request(ping(1)).await;
    for seq in [2, 0, 3] {
        peer.send_request(ping(seq)).await;
        assert_eq!(peer.told().await, Told::Pong(signal_response::Pong { nonce: seq }));
    }
    assert_eq!(peer.last_ack, 3);
}

#[tokio::test]
async fn a_session_is_one_join() {
    let server = Server::start().await;
    let (mut peer, _) = server.join("lobby", "peer").await;
    peer.ask_join("other", "peer").await;
    assert_eq!(peer.rejected_code().await, Code::AlreadyJoined);
    peer.ask(Ask::Resume(Resume::default())).await;
    assert_eq!(peer.rejected_code().await, Code::AlreadyJoined);
}

#[tokio::test]
async fn a_rejected_join_may_be_tried_again() {
    let server = Server::start().await;
    let mut peer = server.stream().await;
    for resume_token in [vec![1; 32], Vec::new(), vec![1; 10_000]] {
        let resume = Ask::Resume(Resume { resume_token: resume_token.into(), last_seq: 4 });
        peer.send_request(SignalRequest { seq: 0, ack: 0, message: Some(resume) }).await;
        let response = peer.response().await.unwrap().unwrap();
        assert_eq!((response.seq, response.ack), (0, 0));
        assert!(
            matches!(response.message, Some(Told::Rejected(rejected)) if rejected.code() == Code::SessionUnknown)
        );
    }
    peer.ask_join("", "peer").await;
    assert_eq!(peer.rejected_code().await, Code::InvalidRoom);
    // Not the first request any more, so the stream goes on.
    peer.ask(Ask::Ping(Ping { nonce: 1 })).await;
    assert_eq!(peer.rejected_code().await, Code::NotJoined);
    // An acknowledgement has no answer here either.
    peer.send_request(SignalRequest { seq: 0, ack: 1, message: None }).await;
    peer.join("lobby", "peer").await;
    assert_eq!((peer.last_seq, peer.last_ack), (1, 3));
}
