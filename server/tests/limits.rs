//! The limits of rooms, connections and time: each is kept and answered by name.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use std::time::Duration;

use kit::{Peer, Server};
use patchcord_proto::v1::{
    RemovePeerRequest,
    signal_request::{Message as Ask, Ping},
    signal_response::{Message as Told, rejected::Code},
};
use patchcord_server::{Config, Listeners, ServeError, serve};
use tokio::{net::TcpListener, time::timeout};
use tonic::transport::Endpoint;

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
async fn a_room_that_is_joined_too_often_says_how_long_to_wait() {
    let server = Server::start_with(Config { peers_per_room_max: 2, ..Config::default() }).await;
    let (mut stayer, _) = server.join("lobby", "stayer").await;
    let channel = server.channel().await;
    let rejected = loop {
        let mut passer = Peer::open(channel.clone()).await.unwrap();
        passer.ask_join("lobby", "passer").await;
        match passer.told().await {
            Told::Joined(joined) => assert_eq!(stayer.peer_joined().await, joined.peer_id),
            Told::Rejected(rejected) => break rejected,
            other => panic!("{other:?}"),
        }
        passer.leave().await;
        stayer.peer_left().await;
    };
    assert_eq!((rejected.code(), rejected.retryable), (Code::RateLimited, true));
    assert!(rejected.message.contains("1 a second"), "{}", rejected.message);
    let wait = rejected.retry_after.unwrap();
    assert!((0..=1).contains(&wait.seconds) && (wait.seconds, wait.nanos) != (0, 0), "{wait:?}");
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
            Told::Joined(_) => break,
            Told::Rejected(rejected) => {
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
        turn_ttl_s: 60,
        ..Config::default()
    };
    let server = Server::start_with(config).await;
    let (mut peer, joined) = server.join("lobby", "peer").await;
    let expire_at = joined.ice_servers_expire_at.unwrap();
    let turn = joined.ice_servers.iter().find(|server| !server.credential.is_empty()).unwrap();
    assert_eq!(turn.username, format!("{}:{}", expire_at.seconds, peer.id));
    // At two thirds of their time, and not before.
    pass(Duration::from_secs(30)).await;
    peer.ask(Ask::Ping(Ping { nonce: 1 })).await;
    assert!(matches!(peer.told().await, Told::Pong(_)));
    pass(Duration::from_secs(10)).await;
    match peer.told().await {
        Told::IceServersUpdated(updated) => {
            let expire_at_updated = updated.expire_at.unwrap();
            // The clock on the wall has not moved.
            assert!(expire_at_updated.seconds >= expire_at.seconds);
            assert_eq!(updated.ice_servers.len(), 2);
            let username = format!("{}:{}", expire_at_updated.seconds, peer.id);
            assert_eq!(updated.ice_servers[1].username, username);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stream_that_ended_and_is_not_read_is_let_go() {
    let config = Config { sessions_per_connection_max: 1, ..Config::default() };
    let server = Server::start_with(config).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", server.public)).unwrap();
    let channel = endpoint.initial_stream_window_size(1024).connect().await.unwrap();
    let mut stuck = Peer::open(channel.clone()).await.unwrap();
    stuck.join("lobby", "stuck").await;
    let (mut sender, _) = server.join("lobby", "sender").await;
    assert_eq!(stuck.peer_joined().await, sender.id);
    // More than the transport takes off the outbox.
    for _ in 0..8 {
        sender.offer(&stuck.id, &"x".repeat(16 * 1024)).await;
    }
    sender.ask(Ask::Ping(Ping { nonce: 1 })).await;
    assert!(matches!(sender.told().await, Told::Pong(_)));
    let (room_name, peer_id) = ("lobby".to_owned(), stuck.id.clone());
    let remove = RemovePeerRequest { room_name, peer_id, message: String::new() };
    server.rooms().await.remove_peer(remove).await.unwrap();
    assert_eq!(sender.peer_left().await.0, stuck.id);

    // Its end still counts while it may be on its way, and then no more.
    let Err(status) = Peer::open(channel.clone()).await else { panic!("a second session") };
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    pass(Duration::from_secs(5)).await;
    let deadline = tokio::time::Instant::now() + kit::DEADLINE;
    while !server.get("/metrics").await.1.contains("patchcord_streams 1\n") {
        assert!(tokio::time::Instant::now() < deadline, "the ended stream still counts");
    }
    Peer::open(channel).await.unwrap().join("lobby", "next").await;
}

/// Moves the clock of every timer in this process.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn what_the_command_line_would_refuse_is_not_served() {
    let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config { peers_per_room_max: 1, ..Config::default() };
    let serving = serve(config, Listeners { public, admin: None }, std::future::pending());
    match timeout(kit::DEADLINE, serving).await.unwrap() {
        Err(ServeError::Config(error)) => assert!(error.to_string().contains("--peers-per-room-max")),
        other => panic!("{other:?}"),
    }
}
