//! A server of this process with an honest peer in it, which must go on to be served whatever else comes, and
//! the splitting of an input into steps.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use patchcord_proto::v1::{
    SignalRequest, SignalResponse,
    signal_request::{Join, Message as Ask, Ping},
    signal_response::Message as Told,
    signaling_service_client::SignalingServiceClient,
};
use patchcord_server::{Allowances, Config, Listeners, serve};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Runtime,
    sync::mpsc,
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// The room that the honest peer is in.
pub const ROOM: &str = "room";

/// Honest requests are answered within this time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Stands in an input for the id of the honest peer.
pub const PEER: &[u8; 16] = b"HONESTHONESTPEER";

/// A server that runs while it is asked something, on this thread.
pub struct Server {
    pub runtime: Runtime,
    pub address: SocketAddr,
    honest: Honest,
    admitted: u64,
}

struct Honest {
    peer_id: String,
    requests: mpsc::Sender<SignalRequest>,
    responses: Streaming<SignalResponse>,
    nonce: u64,
}

impl Server {
    /// Starts it, and the honest peer joins.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (address, honest) = runtime.block_on(async {
            let public = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
            let address = public.local_addr().expect("bound");
            let allowances = Allowances::unlimited();
            let config = Config { no_admin: true, grace_time_s: 1, allowances, ..Config::default() };
            tokio::spawn(async move {
                let ended = serve(config, Listeners { public, admin: None }, std::future::pending()).await;
                panic!("the server ended: {ended:?}");
            });
            (address, Honest::join(address, ROOM).await)
        });
        Self { runtime, address, honest, admitted: 0 }
    }

    /// The honest peer asks something and must be answered.
    pub fn serves(&mut self) {
        let Self { runtime, honest, .. } = self;
        runtime.block_on(honest.ping());
    }

    /// Somebody new joins, over a connection of its own, and leaves. A room each, as joins to one are paced.
    pub fn admits(&mut self) {
        self.admitted += 1;
        let room = format!("room {}", self.admitted);
        self.runtime.block_on(Honest::join(self.address, &room));
    }

    /// The honest peer's id.
    pub fn peer_id(&self) -> &str {
        &self.honest.peer_id
    }
}

impl Honest {
    async fn join(address: SocketAddr, room: &str) -> Self {
        let client = SignalingServiceClient::connect(format!("http://{address}")).await;
        let (requests, stream) = mpsc::channel(1);
        let join = Join { room: room.into(), display_name: "honest".into(), ..Join::default() };
        requests.send(SignalRequest { seq: 1, ack: 0, message: Some(Ask::Join(join)) }).await.expect("open");
        let call = client.expect("a connection").signal(ReceiverStream::new(stream)).await;
        let mut responses = call.expect("a stream").into_inner();
        let answer = timeout(PATIENCE, responses.message()).await.expect("in time");
        match answer.expect("an answer").and_then(|response| response.message) {
            Some(Told::Joined(joined)) => Self { peer_id: joined.peer_id, requests, responses, nonce: 0 },
            other => panic!("an honest peer is not admitted: {other:?}"),
        }
    }

    async fn ping(&mut self) {
        self.nonce += 1;
        let ping = Ask::Ping(Ping { nonce: self.nonce });
        let mut ack = 0;
        self.requests.send(SignalRequest { seq: 0, ack, message: Some(ping) }).await.expect("open");
        loop {
            let answer = timeout(PATIENCE, self.responses.message()).await.expect("in time");
            let response = answer.expect("no error").expect("an answer");
            ack = ack.max(response.seq);
            if response.message
                == Some(Told::Pong(patchcord_proto::v1::signal_response::Pong { nonce: self.nonce }))
            {
                break;
            }
        }
        if ack > 0 {
            self.requests.send(SignalRequest { seq: 0, ack, message: None }).await.expect("open");
        }
    }
}

/// Connects so that nothing is left of the connection when it is dropped, however many there are.
pub async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_zero_linger().expect("an option");
    let stream = socket.connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("an option");
    stream
}

/// Splits an input into steps: a byte that says what, a byte for the length of what follows, and that.
pub fn steps(mut input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&what, rest) = input.split_first()?;
        let (&length, rest) = rest.split_first().unwrap_or((&0, rest));
        let (step, rest) = rest.split_at(usize::from(length).min(rest.len()));
        input = rest;
        Some((what, step))
    })
}
