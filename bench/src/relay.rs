//! What the server adds to an offer's way from one stream to the other.

use std::{net::Ipv4Addr, time::Instant};

use anyhow::Context;
use patchcord_proto::v1::{
    SignalRequest, SignalResponse, signal_request as request, signal_response as response,
    signaling_service_client::SignalingServiceClient,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::{figures::Sample, processes::Server};

/// About what a data channel's offer with a few candidates has.
const SDP_BYTES: usize = 1000;

/// Requests in flight; one at a time is measured.
const REQUESTS_MAX: usize = 4;

struct Peer {
    id: String,
    requests: mpsc::Sender<SignalRequest>,
    responses: Streaming<SignalResponse>,
}

impl Peer {
    async fn join(server: &Server, name: &str) -> anyhow::Result<Self> {
        let (requests, request_rx) = mpsc::channel(REQUESTS_MAX);
        let join = request::Join { room: "relay".into(), display_name: name.into(), ..Default::default() };
        requests.send(SignalRequest { seq: 1, ack: 0, message: Some(request::Message::Join(join)) }).await?;
        let mut client = SignalingServiceClient::connect(server.url.clone()).await?;
        let mut responses = client.signal(ReceiverStream::new(request_rx)).await?.into_inner();
        let joined = responses.message().await?.and_then(|response| response.message);
        match joined {
            Some(response::Message::Joined(joined)) => Ok(Self { id: joined.peer_id, requests, responses }),
            other => anyhow::bail!("not joined: {other:?}"),
        }
    }

    async fn until_offer(&mut self) -> anyhow::Result<()> {
        loop {
            let response = self.responses.message().await?.context("the stream ended")?;
            if matches!(response.message, Some(response::Message::Offer(_))) {
                return Ok(());
            }
        }
    }
}

pub(crate) async fn relay(offers: usize) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let Peer { requests, responses: mut acknowledgements, .. } = Peer::join(&server, "sender").await?;
    tokio::spawn(async move { while let Ok(Some(_)) = acknowledgements.message().await {} });
    let mut receiver = Peer::join(&server, "receiver").await?;
    let sdp = "x".repeat(SDP_BYTES);
    let mut relayed = Sample::default();
    for number in 0..offers {
        let offer = request::Offer { to_peer_id: receiver.id.clone(), sdp: sdp.clone() };
        let begun = Instant::now();
        let seq = number as u64 + 2;
        let message = Some(request::Message::Offer(offer));
        requests.send(SignalRequest { seq, ack: 0, message }).await?;
        receiver.until_offer().await?;
        relayed.add(begun.elapsed());
    }
    relayed.print("offer, stream -> server -> stream");
    bare_tcp(offers).await
}

/// The same bytes through a task that copies them from one bare TCP connection to another.
async fn bare_tcp(messages: usize) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let mut sender = TcpStream::connect(address).await?;
    let (mut from, _) = listener.accept().await?;
    let mut receiver = TcpStream::connect(address).await?;
    let (mut to, _) = listener.accept().await?;
    for stream in [&sender, &receiver, &from, &to] {
        stream.set_nodelay(true)?;
    }
    tokio::spawn(async move { tokio::io::copy(&mut from, &mut to).await });
    let mut buffer = vec![0; SDP_BYTES];
    let mut copied = Sample::default();
    for _ in 0..messages {
        let begun = Instant::now();
        sender.write_all(&buffer).await?;
        receiver.read_exact(&mut buffer).await?;
        copied.add(begun.elapsed());
    }
    copied.print("the same bytes, TCP -> task -> TCP");
    Ok(())
}
