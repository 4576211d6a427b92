//! Frames that no HTTP/2 library sends, written by hand: the server says what it allows, and whoever
//! goes on regardless loses its own connection alone.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use std::net::SocketAddr;

use kit::{DEADLINE, Peer, Server, raw::SIGNAL};
use patchcord_proto::v1::{
    signal_request::{Message as Ask, Ping},
    signal_response::Message as Told,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// RFC 9113 section 6.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
/// RFC 9113 section 7.
const ENHANCE_YOUR_CALM: u32 = 11;

struct Frame {
    kind: u8,
    flags: u8,
    payload: Vec<u8>,
}

/// Both ends of a connection, frame by frame.
struct Raw(TcpStream);

impl Raw {
    async fn open(address: SocketAddr) -> Self {
        let mut raw = Self(TcpStream::connect(address).await.unwrap());
        raw.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        assert!(raw.send(SETTINGS, 0, 0, &[]).await);
        raw
    }

    /// Whether the other end still took it.
    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        timeout(DEADLINE, self.0.write_all(&frame)).await.unwrap().is_ok()
    }

    /// `None` at the end of the connection.
    async fn receive(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        timeout(DEADLINE, self.0.read_exact(&mut head)).await.expect("nothing comes").ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        timeout(DEADLINE, self.0.read_exact(&mut payload)).await.expect("half a frame").ok()?;
        Some(Frame { kind: head[3], flags: head[4], payload })
    }
}

/// A request's header block (RFC 7541): static names, literal values.
fn header_block(address: SocketAddr) -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    let values = [(&[0x04][..], SIGNAL.to_owned()), (&[0x01], address.to_string())];
    for (name, value) in values.into_iter().chain([(&[0x0f, 0x10][..], "application/grpc".to_owned())]) {
        block.extend(name);
        block.push(u8::try_from(value.len()).unwrap());
        block.extend(value.bytes());
    }
    block
}

/// A peer that was there before goes on as if nothing had happened.
async fn is_served(peer: &mut Peer) {
    peer.ask(Ask::Ping(Ping { nonce: 7 })).await;
    assert!(matches!(peer.told().await, Told::Pong(_)));
}

#[tokio::test]
async fn settings_say_every_limit() {
    let server = Server::start().await;
    for address in [server.public, server.admin] {
        let mut raw = Raw::open(address).await;
        let frame = raw.receive().await.unwrap();
        assert_eq!((frame.kind, frame.flags), (SETTINGS, 0));
        let setting = |wanted: u16| {
            let mut settings = frame.payload.chunks(6);
            let found = settings.find(|setting| setting[..2] == wanted.to_be_bytes())?;
            Some(u32::from_be_bytes(found[2..].try_into().unwrap()))
        };
        // RFC 9113 section 6.5.2; what is absent is that document's own default.
        let (streams, window, frame_size, header_list) = (setting(3), setting(4), setting(5), setting(6));
        assert_eq!(streams, Some(16));
        assert_eq!(window.unwrap_or(65_535), 65_535);
        assert_eq!(frame_size.unwrap_or(16_384), 16_384);
        assert_eq!(header_list, Some(8 * 1024));
    }
}

#[tokio::test]
async fn streams_that_make_the_server_reset_them_cost_their_connection() {
    let server = Server::start().await;
    let (mut peer, _) = server.join("lobby", "peer").await;
    let mut raw = Raw::open(server.public).await;
    let block = header_block(server.public);
    // CVE-2025-8671: each stream is reset by the server, for a window that overflows.
    for number in 0..1_000 {
        let stream = number * 2 + 1;
        let sent = raw.send(HEADERS, END_HEADERS, stream, &block).await
            && raw.send(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes()).await;
        if !sent {
            break;
        }
    }
    let mut resets = 0;
    let code = loop {
        match raw.receive().await.expect("a GOAWAY before the end") {
            Frame { kind: RST_STREAM, .. } => resets += 1,
            Frame { kind: GOAWAY, payload, .. } => {
                break u32::from_be_bytes(payload[4..8].try_into().unwrap());
            }
            _ => {}
        }
    };
    assert_eq!(code, ENHANCE_YOUR_CALM);
    assert!(resets <= 64, "{resets}");
    is_served(&mut peer).await;
}

#[tokio::test]
async fn headers_that_never_end_cost_their_connection() {
    let server = Server::start().await;
    let (mut peer, _) = server.join("lobby", "peer").await;
    let mut raw = Raw::open(server.public).await;
    assert!(raw.send(HEADERS, 0, 1, &header_block(server.public)).await);
    // Literal headers of 15 KiB a frame.
    let mut more = vec![0x00, 1, b'x', 0x7f, 0x81, 0x76];
    more.resize(more.len() + 15_232, b'y');
    let mut frames = 0;
    while frames < 10_000 && raw.send(CONTINUATION, 0, 1, &more).await {
        frames += 1;
    }
    assert!(frames < 10_000, "nothing stops it");
    is_served(&mut peer).await;
}

#[tokio::test]
async fn a_flood_of_pings_and_settings_keeps_nobody_waiting() {
    let server = Server::start().await;
    let (mut peer, _) = server.join("lobby", "peer").await;
    let raw = Raw::open(server.public).await;
    let (mut reading, mut writing) = raw.0.into_split();
    // Read, so that only the flood itself is tried.
    let reading = tokio::spawn(async move { tokio::io::copy(&mut reading, &mut tokio::io::sink()).await });
    let flooding = tokio::spawn(async move {
        let mut frames = Vec::new();
        for _ in 0..100 {
            frames.extend([0, 0, 8, PING, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
            frames.extend([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]);
            frames.extend([0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0]);
        }
        while writing.write_all(&frames).await.is_ok() {}
    });
    for _ in 0..1_000 {
        is_served(&mut peer).await;
    }
    flooding.abort();
    reading.abort();
}
