//! Attacks by calls that are not signaling: more at once than a connection may have, and never finished, so that
//! whoever answers them waits.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use patchcord_proto::v1::signal_response::Message as Told;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Duration, Instant, timeout},
};

use super::{
    kit::{DEADLINE, Peer, connect as call, raw::SIGNAL},
    target::Target,
    wire::{END_HEADERS, HEADERS, Manners, REFUSED_STREAM, Wire, call_headers_to, frame, stream},
};

const HEALTH: &str = "/grpc.health.v1.Health/Check";
/// Of one connection at a time: eight sessions, and as many others.
const CALLS_MAX: u32 = 16;
const SESSIONS_MAX: u32 = 8;

async fn client(server: SocketAddr) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(server).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let (client, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    client
}

/// Begins a call that promises a message which never comes whole; how it ends.
async fn never_finish(
    client: SendRequest<Bytes>,
    server: SocketAddr,
    part: &'static [u8],
) -> (String, Duration) {
    let started = Instant::now();
    let request = http::Request::post(format!("http://{server}{HEALTH}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let mut client = client.ready().await.unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(part), false).unwrap();
    let response = timeout(DEADLINE, response).await.expect("an answer").unwrap();
    let status = response.headers()["grpc-status"].to_str().unwrap().to_owned();
    (status, started.elapsed())
}

/// More calls on a connection than it may have: how soon the next is refused, and on what terms the others end.
async fn one_too_many(target: &Target, attacker: u8) -> Duration {
    let mut wire = Wire::open(target.public, attacker, Manners::Polite).await.unwrap();
    let headers = call_headers_to(HEALTH);
    let open = |number| frame(HEADERS, END_HEADERS, stream(number), &headers);
    assert!(wire.send(&(0..CALLS_MAX).flat_map(open).collect::<Vec<_>>()).await);
    let started = Instant::now();
    assert!(wire.send(&open(CALLS_MAX)).await);
    let seen = wire.until(|seen| !seen.resets.is_empty() || seen.has_ended).await;
    let refused = started.elapsed();
    assert_eq!(seen.resets.get(&REFUSED_STREAM), Some(&1), "{seen:?}");
    // Each that was taken is answered; then there is room again.
    let seen = wire.until(|seen| seen.headers >= CALLS_MAX || seen.has_ended).await;
    assert_eq!((seen.headers, seen.has_ended), (CALLS_MAX, false), "{seen:?}");
    assert!(wire.send(&open(CALLS_MAX + 1)).await);
    let seen = wire.until(|seen| seen.headers > CALLS_MAX || seen.has_ended).await;
    assert_eq!((seen.resets[&REFUSED_STREAM], seen.has_ended), (1, false), "{seen:?}");
    refused
}

/// Handlers that wait for what never comes.
pub async fn unfinished_calls(target: &Target) -> String {
    let mut ended = JoinSet::new();
    let shared = client(target.public).await;
    for number in 0..CALLS_MAX {
        // Nothing, half a header of a message, and half a message.
        let part = [&b""[..], &[0, 0, 0], &[0, 0, 0, 0, 4, 10, 2]][number as usize % 3];
        ended.spawn(never_finish(shared.clone(), target.public, part));
    }
    let refused = one_too_many(target, 0).await;
    let mut longest = Duration::ZERO;
    for (status, took) in ended.join_all().await {
        assert_eq!(tonic::Code::from_bytes(status.as_bytes()), tonic::Code::DeadlineExceeded);
        longest = longest.max(took);
    }
    for attacker in 1..target.scale(1, 10) {
        one_too_many(target, attacker).await;
    }
    let session_refused = ninth_session(target).await;
    format!(
        "DEADLINE_EXCEEDED after {longest:.2?}, call {} REFUSED_STREAM after {refused:.1?}, \
         session {} RESOURCE_EXHAUSTED after {session_refused:.1?}",
        CALLS_MAX + 1,
        SESSIONS_MAX + 1
    )
}

async fn ninth_session(target: &Target) -> Duration {
    let channel = call(target.public).await;
    let mut peers = Vec::new();
    for number in 0..SESSIONS_MAX {
        let mut peer = Peer::open(channel.clone()).await.unwrap();
        peer.ask_join(&format!("room-{number}"), "peer").await;
        assert!(matches!(peer.told().await, Told::Joined(_)));
        peers.push(peer);
    }
    let started = Instant::now();
    let Err(status) = Peer::open(channel).await else { panic!("a ninth session by {SIGNAL}") };
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    started.elapsed()
}
