//! Attacks by not reading: what waits for a reader is bounded, and the reader is ended.

use patchcord_proto::v1::{
    SignalRequest,
    signal_request::{Message as Ask, Offer},
};
use prost::Message;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Duration, Instant},
};

use super::{
    kit::{Peer, connect as call, join_request, raw::RawCall},
    target::Target,
    wire::{DATA, END_HEADERS, HEADERS, PREFACE, SETTINGS, WINDOW_UPDATE, call_headers, connect, frame},
};

/// With the sender, a full room.
const READERS_PER_ROOM: usize = 63;
const SDP_BYTES: usize = 16 * 1024;

/// Who sends to the readers of a room.
struct Sender {
    peer: Peer,
    readers: Vec<String>,
}

impl Sender {
    async fn join(target: &Target, number: usize) -> Self {
        let mut peer = Peer::open(call(target.public).await).await.unwrap();
        peer.join(&room(number), "sender").await;
        Self { peer, readers: Vec::new() }
    }

    /// Sends each reader so much, whatever becomes of it.
    async fn send(&mut self, bytes_each: usize) {
        let requests = self.peer.requests.clone().unwrap();
        for _ in 0..bytes_each / SDP_BYTES {
            for to_peer_id in &self.readers {
                let offer = Offer { to_peer_id: to_peer_id.clone(), sdp: "x".repeat(SDP_BYTES) };
                let request = SignalRequest { seq: 0, ack: 0, message: Some(Ask::Offer(offer)) };
                tokio::select! {
                    sent = requests.send(request) => sent.unwrap(),
                    // The news of the room and the refusals are read meanwhile.
                    () = async { loop { self.peer.response().await.unwrap().unwrap(); } } => {}
                }
            }
        }
    }
}

fn room(number: usize) -> String {
    format!("room-{number}")
}

async fn rooms_of_readers(target: &Target, count: usize) -> Vec<Sender> {
    let mut senders = Vec::new();
    for number in 0..count.div_ceil(READERS_PER_ROOM) {
        senders.push(Sender::join(target, number).await);
    }
    senders
}

/// Readers whose window stays shut, though they answer every ping.
pub async fn slow_readers(target: &Target) -> String {
    let count = target.scale(63, 1_000);
    let mut senders = rooms_of_readers(target, count).await;
    let mut calls = Vec::new();
    for number in 0..count {
        let mut reader = RawCall::open_with_window(target.public, 1024).await;
        reader.send_request(&join_request(1, &room(number / READERS_PER_ROOM), "reader"));
        calls.push(reader);
        let sender = &mut senders[number / READERS_PER_ROOM];
        let id = sender.peer.peer_joined().await;
        sender.readers.push(id);
    }
    let started = Instant::now();
    for sender in &mut senders {
        sender.send(256 * 1024).await;
    }
    // The senders read on: only those who do not are ended.
    let reading: Vec<_> = senders
        .into_iter()
        .map(|mut sender| {
            tokio::spawn(async move { while let Ok(Some(_)) = sender.peer.response().await {} })
        })
        .collect();
    let ended = "patchcord_leaves_total{reason=\"LEAVE_REASON_TOO_SLOW\"}";
    target.until_metric(ended, count as u64).await;
    let seconds = started.elapsed().as_secs_f64();
    let each_kib = target.peak_kib() / count as u64;
    assert!(each_kib <= 640, "{each_kib} KiB");
    reading.iter().for_each(tokio::task::JoinHandle::abort);
    format!("{count} of {count} ended as TOO_SLOW after {seconds:.1} s, {each_kib} KiB each")
}

/// Readers that grant every window and then never read their socket: the server cannot even say goodbye.
pub async fn readers_of_nothing(target: &Target) -> String {
    let count = target.scale(20, 252);
    let mut senders = rooms_of_readers(target, count).await;
    let mut sockets = Vec::new();
    for number in 0..count {
        let name = room(number / READERS_PER_ROOM);
        sockets.push(join_without_reading(target, &name).await);
        let sender = &mut senders[number / READERS_PER_ROOM];
        let id = sender.peer.peer_joined().await;
        sender.readers.push(id);
    }
    let started = Instant::now();
    let pouring: Vec<_> = senders
        .into_iter()
        .map(|mut sender| {
            tokio::spawn(async move {
                sender.send(2 * 1024 * 1024).await;
                while let Ok(Some(_)) = sender.peer.response().await {}
            })
        })
        .collect();
    // The honest pair and the senders.
    target.until_connections(pouring.len() as u64).await;
    let seconds = started.elapsed().as_secs_f64();
    let each_kib = target.peak_kib() / count as u64;
    // What waits, what was sent and not acknowledged, and what the transport holds of a stream.
    assert!(each_kib <= 640, "{each_kib} KiB");
    pouring.iter().for_each(tokio::task::JoinHandle::abort);
    format!("{count} of {count} connections gone after {seconds:.1} s, {each_kib} KiB each")
}

async fn join_without_reading(target: &Target, room: &str) -> TcpStream {
    let mut socket = connect(target.public, 0).await.unwrap();
    let join = join_request(1, room, "reader").encode_to_vec();
    let mut message = vec![0];
    message.extend(u32::try_from(join.len()).unwrap().to_be_bytes());
    message.extend(join);
    let mut bytes = PREFACE.to_vec();
    // SETTINGS_INITIAL_WINDOW_SIZE, and the connection's window, as large as they can be.
    bytes.extend(frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]));
    bytes.extend(frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes()));
    bytes.extend(frame(HEADERS, END_HEADERS, 1, &call_headers()));
    bytes.extend(frame(DATA, 0, 1, &message));
    tokio::time::timeout(Duration::from_secs(5), socket.write_all(&bytes)).await.unwrap().unwrap();
    socket
}
