//! One way to one STUN or TURN server, for one exchange after another. Over UDP a request is sent again until
//! it is answered; over a stream messages stand one after another (RFC 8489 section 6.2.2).

use std::{io, net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use rtc_stun::message::Message;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::{Instant, timeout},
};

use super::{Trouble, ice_url::IceUrl, ice_url::Transport, stun};
use crate::{
    CaCertificate,
    endpoint::{NoWay, printable, what_failed},
    stun_tls::{StunTls, Usage},
};

/// Until a request over UDP is sent again; doubled each time (RFC 8489 section 6.2.1 begins with 500 ms).
const RETRANSMIT_AFTER: Duration = Duration::from_millis(400);

const DATAGRAM_BYTES_MAX: usize = 2048;

/// A message longer than this is none of a STUN server.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

const HEADER_BYTES: usize = 20;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open way. Has no limit of its own: whoever asks sets one.
pub(super) struct Line(Kind);

enum Kind {
    Datagrams(UdpSocket),
    Stream { stream: Box<dyn Stream>, received: BytesMut },
}

impl Line {
    pub(super) async fn open(
        url: &IceUrl,
        server: SocketAddr,
        local: SocketAddr,
        ca_certificate: Option<&CaCertificate>,
    ) -> Result<Self, Trouble> {
        if url.transport == Transport::Udp {
            let socket = UdpSocket::bind(local).await.map_err(network)?;
            socket.connect(server).await.map_err(network)?;
            return Ok(Self(Kind::Datagrams(socket)));
        }
        let stream: Box<dyn Stream> = if url.transport == Transport::Tls {
            let usage = if url.is_turn { Usage::Turn } else { Usage::NatDiscovery };
            let tls = StunTls::new(ca_certificate, usage).map_err(network)?;
            ServerName::try_from(url.host.as_str())
                .map_err(|_| Trouble::InvalidUrl("no certificate can name its host"))?;
            Box::new(tls.connect(&url.host, server).await.map_err(network)?)
        } else {
            Box::new(TcpStream::connect(server).await.map_err(network)?)
        };
        Ok(Self(Kind::Stream { stream, received: BytesMut::new() }))
    }

    /// The response to `request`, a success or an error, and how soon it came.
    pub(super) async fn exchange(&mut self, request: &Message) -> Result<(Message, Duration), Trouble> {
        let asked = Instant::now();
        let mut retransmit_after = RETRANSMIT_AFTER;
        self.send(request).await?;
        loop {
            let received = match &self.0 {
                Kind::Datagrams(_) => match timeout(retransmit_after, self.receive()).await {
                    Ok(received) => received?,
                    Err(_) => {
                        retransmit_after *= 2;
                        self.send(request).await?;
                        continue;
                    }
                },
                Kind::Stream { .. } => self.receive().await?,
            };
            let response = stun::decode(&received);
            if let Some(response) = response.filter(|it| it.transaction_id == request.transaction_id) {
                return Ok((response, asked.elapsed()));
            }
        }
    }

    async fn send(&mut self, request: &Message) -> Result<(), Trouble> {
        match &mut self.0 {
            Kind::Datagrams(socket) => socket.send(&request.raw).await.map(drop),
            Kind::Stream { stream, .. } => match stream.write_all(&request.raw).await {
                Ok(()) => stream.flush().await,
                failed => failed,
            },
        }
        .map_err(network)
    }

    /// Cancel safe.
    async fn receive(&mut self) -> Result<Bytes, Trouble> {
        match &mut self.0 {
            Kind::Datagrams(socket) => {
                let mut datagram = BytesMut::zeroed(DATAGRAM_BYTES_MAX);
                let length = socket.recv(&mut datagram).await.map_err(network)?;
                datagram.truncate(length);
                Ok(datagram.freeze())
            }
            Kind::Stream { stream, received } => loop {
                if let Some(message) = next_message(received)? {
                    return Ok(message);
                }
                if stream.read_buf(received).await.map_err(network)? == 0 {
                    return Err(no_stun("it ended the stream"));
                }
            },
        }
    }
}

/// The next whole message of a stream.
fn next_message(received: &mut BytesMut) -> Result<Option<Bytes>, Trouble> {
    let Some([kind, _, high, low]) = received.first_chunk().copied() else { return Ok(None) };
    let length = HEADER_BYTES + usize::from(u16::from_be_bytes([high, low]));
    // The two highest bits of a STUN message are zero, and its length is in whole words (RFC 8489 section 5).
    if kind >> 6 != 0 || !length.is_multiple_of(4) || length > MESSAGE_BYTES_MAX {
        return Err(no_stun("what it sends is no STUN message"));
    }
    Ok((received.len() >= length).then(|| received.split_to(length).freeze()))
}

fn no_stun(said: &str) -> Trouble {
    Trouble::OtherProtocol { expected: "a STUN or TURN server", said: said.into() }
}

fn network(error: io::Error) -> Trouble {
    match what_failed(&error) {
        NoWay::Tls(reason) => Trouble::Tls(reason),
        NoWay::Network(reason) => Trouble::Network(reason),
        NoWay::InvalidUrl => Trouble::Network(printable(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_come_whole_however_a_stream_cuts_them(
            words in prop::collection::vec(0_u16..20, 1..6),
            cut in 1_usize..50,
        ) {
            let message = |words: &u16| {
                let mut message = vec![1; HEADER_BYTES + 4 * usize::from(*words)];
                message[2..4].copy_from_slice(&(4 * words).to_be_bytes());
                message
            };
            let messages: Vec<Vec<u8>> = words.iter().map(message).collect();
            let mut received = BytesMut::new();
            let mut whole = Vec::new();
            for part in messages.concat().chunks(cut) {
                received.extend_from_slice(part);
                while let Some(message) = next_message(&mut received).unwrap() {
                    whole.push(message.to_vec());
                }
            }
            prop_assert_eq!(whole, messages);
        }
    }

    #[test]
    fn a_server_of_another_protocol_is_told_at_once() {
        for other in ["HTTP/1.1 400 Bad Request\r\n", "SSH-2.0-OpenSSH"] {
            let mut received = BytesMut::from(other);
            assert!(matches!(next_message(&mut received), Err(Trouble::OtherProtocol { .. })), "{other}");
        }
    }
}
