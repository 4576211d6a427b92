//! Sessions that outlive their streams: nothing that was taken is lost, doubled or out of order, and what
//! cannot be sent again is told. Through real sockets.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use bytes::Bytes;
use kit::{Peer, Server};
use patchcord_proto::v1::{
    LeaveReason, PeerState, RemovePeerRequest, SignalRequest,
    signal_request::{Message as Ask, Offer, Ping, Resume},
    signal_response::{Joined, Message as Told, Resumed, rejected::Code},
};
use patchcord_server::Config;
use tonic::Code as Status;

/// Two in a room, and the token of the second.
async fn pair(server: &Server) -> (Peer, Peer, Bytes) {
    let (mut one, _) = server.join("room", "one").await;
    let (other, Joined { resume_token, grace_time, .. }) = server.join("room", "other").await;
    assert_eq!(resume_token.len(), 32);
    assert!(grace_time.is_some());
    assert_eq!(one.peer_joined().await, other.id);
    (one, other, resume_token)
}

/// Another stream for a session that has come as far as `peer`.
async fn ask_resume(server: &Server, peer: &Peer, resume_token: &Bytes, last_seq: u64) -> Peer {
    let mut another = server.stream().await;
    let resume = Resume { resume_token: resume_token.clone(), last_seq };
    another.send_request(SignalRequest { seq: 0, ack: 0, message: Some(Ask::Resume(resume)) }).await;
    (another.id, another.seq, another.last_seq) = (peer.id.clone(), peer.seq, last_seq);
    another
}

async fn resumed(peer: &mut Peer) -> Resumed {
    match peer.told().await {
        Told::Resumed(resumed) => resumed,
        other => panic!("not Resumed but {other:?}"),
    }
}

async fn offered(peer: &mut Peer) -> String {
    match peer.told().await {
        Told::Offer(offer) => offer.sdp,
        other => panic!("not an offer but {other:?}"),
    }
}

async fn bare_ack(peer: &mut Peer) {
    let ack = peer.last_seq;
    peer.send_request(SignalRequest { seq: 0, ack, message: None }).await;
}

/// Everything before this has been carried out.
async fn settle(peer: &mut Peer) {
    peer.pinged += 1;
    let nonce = peer.pinged;
    peer.ask(Ask::Ping(Ping { nonce })).await;
    while !matches!(peer.told().await, Told::Pong(pong) if pong.nonce == nonce) {}
}

#[tokio::test]
async fn what_came_while_the_stream_was_lost_follows_the_resumption() {
    let server = Server::start_with(Config::default()).await;
    let (mut one, mut other, token) = pair(&server).await;
    one.offer(&other.id, "before").await;
    assert_eq!(offered(&mut other).await, "before");
    let (id, seq, last_seq) = (other.id.clone(), other.seq, other.last_seq);
    drop(other);
    assert_eq!(one.peer_is(PeerState::Detached).await, id);
    for sdp in ["a", "b", "c"] {
        one.offer(&id, sdp).await;
    }
    settle(&mut one).await;
    let lost = Peer { id: id.clone(), seq, last_seq, ..server.stream().await };
    let mut other = ask_resume(&server, &lost, &token, last_seq).await;
    let answer = resumed(&mut other).await;
    assert!(answer.complete && answer.affected_peer_ids.is_empty());
    assert_eq!((answer.last_seq, answer.peers.len(), answer.peers[0].peer_id == one.id), (1, 1, true));
    // The numbers go on where they were, which the peer checks.
    for sdp in ["a", "b", "c"] {
        assert_eq!(offered(&mut other).await, sdp);
    }
    assert_eq!(one.peer_is(PeerState::Attached).await, id);
    other.offer(&one.id, "d").await;
    assert_eq!(offered(&mut one).await, "d");
}

#[tokio::test]
async fn what_was_sent_and_not_handled_is_sent_again_and_no_more() {
    let server = Server::start().await;
    let (mut one, mut other, token) = pair(&server).await;
    for sdp in ["1", "2", "3", "4"] {
        one.offer(&other.id, sdp).await;
        assert_eq!(offered(&mut other).await, sdp);
    }
    // As if only the first two had arrived.
    let last_seq = other.last_seq - 2;
    let mut again = ask_resume(&server, &other, &token, last_seq).await;
    assert!(resumed(&mut again).await.complete);
    assert_eq!([offered(&mut again).await, offered(&mut again).await], ["3", "4"]);
    one.offer(&other.id, "5").await;
    assert_eq!(offered(&mut again).await, "5");
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_carried_out_once() {
    let server = Server::start().await;
    let (mut one, mut other, token) = pair(&server).await;
    let offer = |seq: u64| {
        let message = Ask::Offer(Offer { to_peer_id: one.id.clone(), sdp: seq.to_string() });
        SignalRequest { seq, ack: 0, message: Some(message) }
    };
    let requests: Vec<_> = (2..=6).map(offer).collect();
    for request in &requests[..2] {
        other.send_request(request.clone()).await;
    }
    assert_eq!([offered(&mut one).await, offered(&mut one).await], ["2", "3"]);
    let mut again = ask_resume(&server, &other, &token, other.last_seq).await;
    assert_eq!(resumed(&mut again).await.last_seq, 3);
    // From the beginning, although the server has said from where.
    for request in requests {
        again.send_request(request).await;
    }
    for sdp in ["4", "5", "6"] {
        assert_eq!(offered(&mut one).await, sdp);
    }
}

#[tokio::test]
async fn a_second_stream_takes_over_and_the_first_ends_clearly() {
    let server = Server::start().await;
    let (mut one, mut other, token) = pair(&server).await;
    let mut second = ask_resume(&server, &other, &token, other.last_seq).await;
    assert!(resumed(&mut second).await.complete);
    let (told, ended) = other.rest().await;
    assert!(told.is_empty(), "{told:?}");
    let status = ended.unwrap_err();
    assert_eq!(status.code(), Status::Aborted);
    assert!(status.message().contains("another stream"), "{status:?}");
    one.offer(&second.id, "to the second").await;
    assert_eq!(offered(&mut second).await, "to the second");
    second.leave().await;
    assert_eq!(one.peer_left().await, (second.id.clone(), LeaveReason::Left));
}

#[tokio::test]
async fn a_token_is_good_until_the_peer_shows_that_it_has_the_next() {
    let server = Server::start().await;
    let (_one, other, token) = pair(&server).await;
    // Twice the answer does not arrive.
    let mut peer = other;
    for _ in 0..2 {
        let mut again = ask_resume(&server, &peer, &token, peer.last_seq).await;
        resumed(&mut again).await;
        peer = again;
    }
    let mut last = ask_resume(&server, &peer, &token, peer.last_seq).await;
    let next = resumed(&mut last).await.resume_token;
    assert_ne!(next, token);
    bare_ack(&mut last).await;
    settle(&mut last).await;
    let mut thief = ask_resume(&server, &last, &token, last.last_seq).await;
    assert_eq!(thief.rejected_code().await, Code::SessionUnknown);
    thief.seq = 0;
    thief.last_seq = 0;
    assert_ne!(thief.join("room", "thief").await.peer_id, last.id);
    let mut again = ask_resume(&server, &last, &next, last.last_seq).await;
    assert!(resumed(&mut again).await.complete);
}

#[tokio::test]
async fn of_many_streams_with_one_token_one_has_the_session_in_the_end() {
    let server = Server::start_unlimited().await;
    let (mut one, other, token) = pair(&server).await;
    let streams: Vec<_> = (0..16).map(|_| ask_resume(&server, &other, &token, other.last_seq)).collect();
    let mut ended = 0;
    let mut alive = Vec::new();
    for stream in streams {
        let mut stream = stream.await;
        match stream.told().await {
            Told::Resumed(_) => alive.push(stream),
            Told::Rejected(rejected) => {
                assert!(rejected.retryable, "{rejected:?}");
                ended += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    let mut last = alive.pop().unwrap();
    for mut earlier in alive {
        assert_eq!(earlier.rest().await.1.unwrap_err().code(), Status::Aborted);
        ended += 1;
    }
    assert_eq!(ended, 15);
    one.offer(&last.id, "still here").await;
    assert_eq!(offered(&mut last).await, "still here");
}

#[tokio::test]
async fn who_does_not_come_back_in_time_has_left_once() {
    let server = Server::start().await;
    let (mut one, other, token) = pair(&server).await;
    let lost = Peer { id: other.id.clone(), seq: 1, last_seq: other.last_seq, ..server.stream().await };
    drop(other);
    assert_eq!(one.peer_is(PeerState::Detached).await, lost.id);
    assert_eq!(one.peer_left().await, (lost.id.clone(), LeaveReason::Disconnected));
    let mut late = ask_resume(&server, &lost, &token, lost.last_seq).await;
    assert_eq!(late.rejected_code().await, Code::SessionUnknown);
    one.offer(&lost.id, "gone").await;
    assert_eq!(one.rejected_code().await, Code::NoSuchPeer);
}

#[tokio::test]
async fn who_acknowledges_nothing_is_told_what_is_missing_and_with_whom() {
    let server = Server::start_unlimited().await;
    let (mut one, mut other, token) = pair(&server).await;
    let (mut third, _) = server.join("room", "third").await;
    assert_eq!(one.peer_joined().await, third.id);
    assert_eq!(other.peer_joined().await, third.id);
    for number in 0..300 {
        one.offer(&other.id, &number.to_string()).await;
        offered(&mut other).await;
    }
    third.offer(&other.id, "recent").await;
    assert_eq!(offered(&mut other).await, "recent");
    let mut again = ask_resume(&server, &other, &token, 2).await;
    let answer = resumed(&mut again).await;
    assert!(!answer.complete);
    assert_eq!(answer.affected_peer_ids, [one.id.clone()]);
    assert_eq!(answer.peers.len(), 2);
    // The numbers go on after the gap.
    again.last_seq = 303 - 256;
    assert_eq!(offered(&mut again).await, "45");
}

#[tokio::test]
async fn a_number_that_was_never_sent_is_refused_and_costs_nothing() {
    let server = Server::start().await;
    let (mut one, other, token) = pair(&server).await;
    let mut liar = ask_resume(&server, &other, &token, u64::MAX).await;
    assert_eq!(liar.rejected_code().await, Code::InvalidArgument);
    let mut again = ask_resume(&server, &other, &token, other.last_seq).await;
    assert!(resumed(&mut again).await.complete);
    again.send_request(SignalRequest { seq: 0, ack: 1_000, message: None }).await;
    assert_eq!(again.rejected_code().await, Code::InvalidArgument);
    again.offer(&one.id, "on").await;
    assert_eq!(offered(&mut one).await, "on");
}

#[tokio::test]
async fn a_refused_resumption_buys_no_time() {
    let server = Server::start_unlimited().await;
    let (mut one, other, token) = pair(&server).await;
    let id = other.id.clone();
    let lost = Peer { id: id.clone(), seq: 1, last_seq: other.last_seq, ..server.stream().await };
    drop(other);
    assert_eq!(one.peer_is(PeerState::Detached).await, id);
    // Again and again, for as long as there is a session to refuse it.
    let refusing = async {
        let mut refused = 0;
        loop {
            let mut liar = ask_resume(&server, &lost, &token, u64::MAX).await;
            match liar.response().await {
                Ok(Some(response)) => match response.message {
                    Some(Told::Rejected(rejected)) if rejected.code() == Code::SessionUnknown => {
                        return refused;
                    }
                    Some(Told::Rejected(_)) => refused += 1,
                    other => panic!("{other:?}"),
                },
                // It ended with the claim unheard.
                other => assert_eq!(other.unwrap_err().code(), Status::Unavailable),
            }
        }
    };
    let (refused, left) = tokio::join!(refusing, one.peer_left());
    assert_eq!(left, (id, LeaveReason::Disconnected));
    assert!(refused > 0);
}

#[tokio::test]
async fn a_session_that_is_resumed_too_often_is_told_when_to_come_back() {
    let server = Server::start_with(Config::default()).await;
    let (_one, mut peer, mut token) = pair(&server).await;
    let (mut resumptions, mut refused) = (0, None);
    while refused.is_none() {
        let mut again = ask_resume(&server, &peer, &token, peer.last_seq).await;
        match again.told().await {
            Told::Resumed(resumed) => {
                token = resumed.resume_token;
                peer = again;
                resumptions += 1;
            }
            Told::Rejected(rejected) => refused = Some(rejected),
            other => panic!("{other:?}"),
        }
        assert!(resumptions < 1_000, "nothing stops it");
    }
    let rejected = refused.unwrap();
    assert!(resumptions >= 20, "{resumptions}");
    assert_eq!((rejected.code(), rejected.retryable), (Code::RateLimited, true));
    // The session is where it was, and whoever waits as told has it again.
    settle(&mut peer).await;
    tokio::time::sleep(rejected.retry_after.unwrap().try_into().unwrap()).await;
    let mut again = ask_resume(&server, &peer, &token, peer.last_seq).await;
    assert!(resumed(&mut again).await.complete);
}

#[tokio::test]
async fn an_operator_can_remove_who_is_detached() {
    let server = Server::start_with(Config::default()).await;
    let (mut one, other, token) = pair(&server).await;
    let lost = Peer { id: other.id.clone(), seq: 1, last_seq: other.last_seq, ..server.stream().await };
    drop(other);
    assert_eq!(one.peer_is(PeerState::Detached).await, lost.id);
    let request = RemovePeerRequest {
        room_name: "room".into(),
        peer_id: lost.id.clone(),
        ..RemovePeerRequest::default()
    };
    server.rooms().await.remove_peer(request).await.unwrap();
    assert_eq!(one.peer_left().await, (lost.id.clone(), LeaveReason::Removed));
    let mut late = ask_resume(&server, &lost, &token, lost.last_seq).await;
    // The session may just be ending.
    assert!(late.rest().await.0.iter().all(|told| !matches!(told, Told::Resumed(_))));
}

#[tokio::test]
async fn a_server_that_stops_waits_for_nobody_who_is_detached() {
    let mut server = Server::start_with(Config { grace_time_s: 600, ..Config::default() }).await;
    let (mut one, other, _) = pair(&server).await;
    drop(other);
    one.peer_is(PeerState::Detached).await;
    server.begin_stop();
    assert_eq!(one.rest().await.1.unwrap_err().code(), Status::Unavailable);
    server.stopped().await;
}

#[tokio::test]
async fn without_a_grace_time_a_lost_stream_is_a_leave() {
    let server = Server::start_with(Config { grace_time_s: 0, ..Config::default() }).await;
    let (mut one, _) = server.join("room", "one").await;
    let (other, joined) = server.join("room", "other").await;
    assert!(joined.resume_token.is_empty() && joined.grace_time.is_none());
    one.peer_joined().await;
    let id = other.id.clone();
    drop(other);
    match one.told().await {
        Told::PeerLeft(left) => {
            assert_eq!((left.peer_id.clone(), left.reason()), (id, LeaveReason::Disconnected))
        }
        other => panic!("{other:?}"),
    }
}
