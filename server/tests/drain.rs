//! The end of a server: everybody is told, and it comes in time whatever clients do.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use std::time::Duration;

use kit::{DEADLINE, Peer, Server, connect, join_request, pair, raw::RawCall};
use patchcord_proto::v1::{
    LeaveReason, WatchRoomsRequest,
    signal_response::{Message as Told, go_away::Action},
};
use tokio::{io::AsyncWriteExt, net::TcpListener, time::timeout};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

/// What the server promises, with the time a busy machine may add.
const STOP_MAX: Duration = Duration::from_secs(5);

#[tokio::test]
async fn every_peer_is_told_to_come_back_and_the_port_is_free() {
    let mut server = Server::start().await;
    let (mut one, mut other) = pair(&server, "lobby").await;
    let mut lobby = server.stream().await;
    let mut health = HealthClient::new(server.channel().await);
    let request = HealthCheckRequest { service: "patchcord.v1.SignalingService".to_owned() };
    let mut health = health.watch(request).await.unwrap().into_inner();
    assert_eq!(health.message().await.unwrap().unwrap().status, 1);
    let watch = WatchRoomsRequest { name_prefix: "none".to_owned() };
    let mut watch = server.rooms().await.watch_rooms(watch).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());

    server.begin_stop();
    for peer in [&mut one, &mut other, &mut lobby] {
        let (told, end) = peer.rest().await;
        match told.as_slice() {
            [Told::GoAway(away)] => {
                assert_eq!((away.reason(), away.action()), (LeaveReason::ServerShutdown, Action::Rejoin));
                assert!(away.reconnect_after.as_ref().is_none_or(|after| after.seconds <= 1));
            }
            told => panic!("{told:?}"),
        }
        assert_eq!(end.unwrap_err().code(), tonic::Code::Unavailable);
    }
    assert_eq!(
        timeout(DEADLINE, watch.message()).await.unwrap().unwrap_err().code(),
        tonic::Code::Unavailable
    );
    // NOT_SERVING, to whoever watches.
    assert_eq!(timeout(DEADLINE, health.message()).await.unwrap().unwrap().unwrap().status, 2);
    server.stopped().await;
    TcpListener::bind(server.public).await.unwrap();
    TcpListener::bind(server.admin).await.unwrap();
}

#[tokio::test]
async fn clients_that_neither_speak_nor_read_nor_close_do_not_delay_the_end() {
    let mut server = Server::start().await;
    let (mut sender, _) = server.join("lobby", "sender").await;
    let silent = tokio::net::TcpStream::connect(server.public).await.unwrap();
    let mut half_preface = tokio::net::TcpStream::connect(server.public).await.unwrap();
    half_preface.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let half_request = tokio::net::TcpStream::connect(server.admin).await.unwrap();
    let mut half_request_writer = half_request;
    half_request_writer.write_all(b"GET /metr").await.unwrap();
    let mut stuck = RawCall::open_with_window(server.public, 0).await;
    stuck.send_request(&join_request(1, "lobby", "stuck"));
    let stuck_id = sender.peer_joined().await;
    for _ in 0..4 {
        sender.offer(&stuck_id, &"x".repeat(16 * 1024)).await;
    }
    server.begin_stop();
    let started = std::time::Instant::now();
    server.stopped().await;
    assert!(started.elapsed() < STOP_MAX, "{:?}", started.elapsed());
    drop((silent, half_preface, half_request_writer));
}

#[tokio::test]
async fn a_server_that_stops_takes_nobody_in() {
    let mut server = Server::start().await;
    let channel = server.channel().await;
    // Keeps the connection, so that a late stream could be opened on it.
    let mut open = RawCall::open_with_window(server.public, 0).await;
    open.send_request(&join_request(1, "lobby", "open"));
    let (mut one, _) = server.join("elsewhere", "one").await;
    server.begin_stop();
    one.rest().await.1.unwrap_err();
    let Err(status) = Peer::open(channel).await else { panic!("a stream was opened while stopping") };
    assert_eq!(status.code(), tonic::Code::Unavailable);
    server.stopped().await;
}

#[tokio::test]
async fn the_admin_door_says_that_the_server_is_not_ready_while_it_drains() {
    let mut server = Server::start().await;
    let (mut peer, _) = server.join("lobby", "peer").await;
    // It will not read its end, so that draining lasts.
    let mut stuck = RawCall::open_with_window(server.public, 0).await;
    stuck.send_request(&join_request(1, "lobby", "stuck"));
    peer.peer_joined().await;
    assert_eq!(server.get("/readyz").await.0, 200);
    server.begin_stop();
    peer.rest().await.1.unwrap_err();
    assert_eq!(server.get("/readyz").await.0, 503);
    assert_eq!(server.get("/livez").await.0, 200);
    let mut health = HealthClient::new(connect(server.admin).await);
    let request = HealthCheckRequest { service: "patchcord.v1.SignalingService".to_owned() };
    assert_eq!(health.check(request).await.unwrap().into_inner().status, 2);
    server.stopped().await;
}

#[tokio::test]
async fn a_server_that_is_dropped_leaves_nothing_running() {
    let mut server = Server::start().await;
    let (mut peer, _) = server.join("lobby", "peer").await;
    server.abort().await;
    let (told, end) = peer.rest().await;
    assert!(told.is_empty(), "{told:?}");
    end.unwrap_err();
    TcpListener::bind(server.public).await.unwrap();
}
