//! The limits of rooms, connections and time: each is kept and answered by name.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use kit::{Peer, Server};
use patchcord_proto::v1::signal_response::rejected::Code;
use patchcord_server::Config;

#[tokio::test]
async fn a_room_takes_as_many_peers_as_it_may() {
    let server = Server::start().await;
    let mut peers = Vec::new();
    let mut channel = server.channel().await;
    for number in 0..64 {
        if number % 8 == 0 {
            channel = server.channel().await;
        }
        let mut peer = Peer::open(channel.clone()).await.unwrap();
        let joined = peer.join("lobby", "peer").await;
        assert_eq!(joined.peers.len(), number);
        peers.push(peer);
    }
    let mut late = server.stream().await;
    late.ask_join("lobby", "late").await;
    let rejected = late.rejected().await;
    assert_eq!((rejected.code(), rejected.retryable), (Code::RoomFull, true));
    // Another room has room, and so has this one once somebody leaves.
    let mut leaver = peers.pop().unwrap();
    leaver.leave().await;
    leaver.rest().await.1.unwrap();
    let left = leaver.id;
    while peers[0].peer_joined().await != left {}
    assert_eq!(peers[0].peer_left().await.0, left);
    assert_eq!(late.join("lobby", "late").await.peers.len(), 63);
}

#[tokio::test]
async fn a_server_takes_as_many_rooms_as_it_may() {
    let server = Server::start_with(Config { rooms_max: 2, ..Config::default() }).await;
    let (mut one, _) = server.join("a", "one").await;
    let (mut other, _) = server.join("b", "other").await;
    let mut late = server.stream().await;
    late.ask_join("c", "late").await;
    let rejected = late.rejected().await;
    assert_eq!((rejected.code(), rejected.retryable), (Code::TooManyRooms, true));
    server.join("b", "second").await;
    assert!(!other.peer_joined().await.is_empty());
    one.leave().await;
    one.rest().await.1.unwrap();
    // The room vanishes right after its last peer's stream ends.
    loop {
        late.ask_join("c", "late").await;
        match late.told().await {
            patchcord_proto::v1::signal_response::Message::Joined(_) => break,
            patchcord_proto::v1::signal_response::Message::Rejected(rejected) => {
                assert_eq!(rejected.code(), Code::TooManyRooms);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_connection_takes_eight_sessions() {
    let server = Server::start().await;
    let channel = server.channel().await;
    let mut peers = Vec::new();
    for _ in 0..8 {
        let mut peer = Peer::open(channel.clone()).await.unwrap();
        peer.join("lobby", "peer").await;
        peers.push(peer);
    }
    let Err(status) = Peer::open(channel.clone()).await else { panic!("a ninth session") };
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    // Another connection is another matter, and a session that ends makes room.
    server.join("lobby", "peer").await;
    let mut leaver = peers.pop().unwrap();
    leaver.leave().await;
    leaver.rest().await.1.unwrap();
    let deadline = tokio::time::Instant::now() + kit::DEADLINE;
    let mut ninth = loop {
        match Peer::open(channel.clone()).await {
            Ok(peer) => break peer,
            Err(status) => assert_eq!(status.code(), tonic::Code::ResourceExhausted),
        }
        assert!(tokio::time::Instant::now() < deadline, "the ended session still counts");
    };
    ninth.join("lobby", "ninth").await;
}

#[tokio::test]
async fn a_stream_that_does_not_join_in_time_is_ended() {
    let server = Server::start().await;
    let mut silent = server.stream().await;
    let mut failing = server.stream().await;
    failing.ask_join("", "peer").await;
    assert_eq!(failing.rejected_code().await, Code::InvalidRoom);
    for mut peer in [silent.rest().await, failing.rest().await] {
        assert!(peer.0.pop().is_none());
        assert_eq!(peer.1.unwrap_err().code(), tonic::Code::DeadlineExceeded);
    }
}

#[tokio::test]
async fn turn_credentials_are_given_and_renewed_before_they_end() {
    let config = Config {
        stun_urls: vec!["stun:stun.example.org".to_owned()],
        turn_urls: vec!["turn:turn.example.org".to_owned()],
        turn_secret: Some("north".to_owned().into()),
        // Below what the command line takes, so that the test need not wait long.
        turn_ttl_s: 3,
        ..Config::default()
    };
    let server = Server::start_with(config).await;
    let (mut peer, joined) = server.join("lobby", "peer").await;
    let expire_at = joined.ice_servers_expire_at.unwrap();
    let turn = joined.ice_servers.iter().find(|server| !server.credential.is_empty()).unwrap();
    assert_eq!(turn.username, format!("{}:{}", expire_at.seconds, peer.id));
    match peer.told().await {
        patchcord_proto::v1::signal_response::Message::IceServersUpdated(updated) => {
            assert!(updated.expire_at.unwrap().seconds > expire_at.seconds);
            assert_eq!(updated.ice_servers.len(), 2);
            assert_ne!(updated.ice_servers[1].credential, turn.credential);
        }
        other => panic!("{other:?}"),
    }
}
