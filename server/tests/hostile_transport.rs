//! Clients that break the rules below gRPC: each loses its own connection and nobody else's.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use kit::{DEADLINE, Peer, Server, connect, raw::SIGNAL};
use patchcord_proto::v1::LeaveReason;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

async fn handshake(address: SocketAddr) -> (SendRequest<Bytes>, Connection<TcpStream, Bytes>) {
    h2::client::handshake(TcpStream::connect(address).await.unwrap()).await.unwrap()
}

fn signal_request(address: SocketAddr) -> http::request::Builder {
    http::Request::post(format!("http://{address}{SIGNAL}")).header("content-type", "application/grpc")
}

/// Forwards one connection until it freezes: then both sockets stay open and nothing passes.
struct Relay {
    address: SocketAddr,
    forwarding: JoinHandle<()>,
    freeze: tokio::sync::oneshot::Sender<()>,
}

impl Relay {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (freeze, frozen) = tokio::sync::oneshot::channel::<()>();
        let forwarding = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(server).await.unwrap();
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => {}
                _ = frozen => {}
            }
            std::future::pending::<()>().await;
        });
        Self { address, forwarding, freeze }
    }
}

#[tokio::test]
async fn a_peer_whose_network_falls_silent_is_noticed() {
    let server = Server::start().await;
    let (mut watcher, _) = server.join("lobby", "watcher").await;
    let relay = Relay::to(server.public).await;
    let mut silent = Peer::open(connect(relay.address).await).await.unwrap();
    silent.join("lobby", "silent").await;
    assert_eq!(watcher.peer_joined().await, silent.id);
    relay.freeze.send(()).unwrap();
    // No socket closes; only an unanswered ping can tell.
    assert_eq!(watcher.peer_left().await, (silent.id.clone(), LeaveReason::Disconnected));
    relay.forwarding.abort();
}

#[tokio::test]
async fn a_stream_that_closes_without_a_whole_request_is_ended_with_a_status() {
    let server = Server::start().await;
    let (sender, connection) = handshake(server.public).await;
    tokio::spawn(connection);
    for part in [&[][..], &[0, 0, 0, 0, 10]] {
        let mut ready = timeout(DEADLINE, sender.clone().ready()).await.unwrap().unwrap();
        let request = signal_request(server.public).body(()).unwrap();
        let (response, mut body) = ready.send_request(request, part.is_empty()).unwrap();
        if !part.is_empty() {
            body.send_data(Bytes::from_static(part), true).unwrap();
        }
        let response = timeout(DEADLINE, response).await.unwrap().unwrap();
        let told_at_once = response.headers().contains_key("grpc-status");
        let mut body = response.into_body();
        let told_at_last = async {
            while let Some(data) = body.data().await {
                drop(data.unwrap());
            }
            body.trailers().await.unwrap().is_some_and(|trailers| trailers.contains_key("grpc-status"))
        };
        assert!(timeout(DEADLINE, told_at_last).await.expect("the stream ends") || told_at_once, "{part:?}");
    }
}
