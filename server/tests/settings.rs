//! What the server says first on every connection: each limit that HTTP/2 lets it say. What becomes of those who go on
//! regardless is in attacks.rs.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use kit::{DEADLINE, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// RFC 9113 sections 3.4 and 6.5.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SETTINGS: u8 = 4;

#[tokio::test]
async fn settings_say_every_limit() {
    let server = Server::start().await;
    for address in [server.public, server.admin] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(PREFACE).await.unwrap();
        let mut head = [0; 9];
        timeout(DEADLINE, socket.read_exact(&mut head)).await.unwrap().unwrap();
        assert_eq!((head[3], head[4]), (SETTINGS, 0));
        let mut payload = vec![0; usize::from(head[2])];
        timeout(DEADLINE, socket.read_exact(&mut payload)).await.unwrap().unwrap();
        let setting = |wanted: u16| {
            let found = payload.chunks(6).find(|setting| setting[..2] == wanted.to_be_bytes())?;
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
