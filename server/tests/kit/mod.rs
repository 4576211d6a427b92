//! A server on free ports and peers that talk to it over real sockets. Nothing here sleeps: every wait is
//! for an event and has a deadline.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod issuer;
pub mod process;
pub mod raw;
pub mod tls;

use std::{net::SocketAddr, time::Duration};

use patchcord_proto::v1::{
    LeaveReason, PeerState, SignalRequest, SignalResponse,
    room_service_client::RoomServiceClient,
    signal_request::{Candidate, Join, Leave, Message as Ask, Offer},
    signal_response::{self, Joined, Message as Told, Rejected, rejected::Code},
    signaling_service_client::SignalingServiceClient,
};
use patchcord_server::{Allowances, Config, Listeners, ServeError, serve};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};

/// Longer than anything that works takes, on a busy machine too.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Short, so that who is lost has left before a test gives up.
const GRACE_TIME_S: u64 = 1;

pub struct Server {
    pub public: SocketAddr,
    pub admin: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(Config { grace_time_s: GRACE_TIME_S, ..Config::default() }).await
    }

    /// For tests that ask more than one address or session may, for the sake of what comes behind that.
    pub async fn start_unlimited() -> Self {
        let allowances = Allowances::unlimited();
        Self::start_with(Config { grace_time_s: GRACE_TIME_S, allowances, ..Config::default() }).await
    }

    pub async fn start_with(config: Config) -> Self {
        let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (public_address, admin_address) = (public.local_addr().unwrap(), admin.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let listeners = Listeners { public, admin: Some(admin) };
        let task = tokio::spawn(serve(config, listeners, shutdown));
        Self { public: public_address, admin: admin_address, stop: Some(stop), task: Some(task) }
    }

    pub fn begin_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub async fn stopped(&mut self) {
        timeout(DEADLINE, self.task.take().unwrap()).await.unwrap().unwrap().unwrap();
    }

    /// Drops it as it is.
    pub async fn abort(&mut self) {
        let task = self.task.take().unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }

    pub async fn channel(&self) -> Channel {
        connect(self.public).await
    }

    pub async fn rooms(&self) -> RoomServiceClient<Channel> {
        RoomServiceClient::new(connect(self.admin).await)
    }

    pub async fn stream(&self) -> Peer {
        Peer::open(self.channel().await).await.unwrap()
    }

    pub async fn join(&self, room: &str, name: &str) -> (Peer, Joined) {
        let mut peer = self.stream().await;
        let joined = peer.join(room, name).await;
        (peer, joined)
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        http_get(self.admin, path).await
    }
}

pub async fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().tcp_nodelay(true).connect().await.unwrap()
}

/// The plainest HTTP/1.1 client there is.
pub async fn http_get(address: SocketAddr, path: &str) -> (u16, String) {
    http_get_with(address, path, "").await
}

/// With lines of the head, each with its end.
pub async fn http_get_with(address: SocketAddr, path: &str, lines: &str) -> (u16, String) {
    http(address, &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{lines}connection: close\r\n\r\n"))
        .await
}

/// A request as it is on the wire, which asks for the connection's end.
pub async fn http(address: SocketAddr, request: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    timeout(DEADLINE, socket.read_to_string(&mut response)).await.unwrap().unwrap();
    let status = response.split(' ').nth(1).unwrap().parse().unwrap();
    let body = response.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}

pub struct Peer {
    pub id: String,
    pub requests: Option<mpsc::Sender<SignalRequest>>,
    pub responses: Streaming<SignalResponse>,
    pub seq: u64,
    pub last_seq: u64,
    pub last_ack: u64,
    /// The number of the last Ping, for tests that wait for an answer to all before it.
    pub pinged: u64,
}

impl Peer {
    pub async fn open(channel: Channel) -> Result<Self, Status> {
        let (requests, stream) = mpsc::channel(4);
        let mut client = SignalingServiceClient::new(channel);
        let responses =
            timeout(DEADLINE, client.signal(ReceiverStream::new(stream))).await.unwrap()?.into_inner();
        Ok(Self {
            id: String::new(),
            requests: Some(requests),
            responses,
            seq: 0,
            last_seq: 0,
            last_ack: 0,
            pinged: 0,
        })
    }

    pub async fn send_request(&mut self, request: SignalRequest) {
        timeout(DEADLINE, self.requests.as_ref().unwrap().send(request)).await.unwrap().unwrap();
    }

    /// Sends with the next number.
    pub async fn ask(&mut self, message: Ask) {
        self.seq += 1;
        let request = SignalRequest { seq: self.seq, ack: self.last_seq, message: Some(message) };
        self.send_request(request).await;
    }

    pub async fn ask_join(&mut self, room: &str, name: &str) {
        let (room, display_name) = (room.to_owned(), name.to_owned());
        self.ask(Ask::Join(Join {
            room,
            display_name,
            user_agent: "test/1".to_owned(),
            access_token: String::new(),
        }))
        .await;
    }

    pub async fn join(&mut self, room: &str, name: &str) -> Joined {
        self.ask_join(room, name).await;
        match self.told().await {
            Told::Joined(joined) => {
                self.id = joined.peer_id.clone();
                joined
            }
            other => panic!("not Joined but {other:?}"),
        }
    }

    pub async fn offer(&mut self, to: &str, sdp: &str) {
        self.ask(Ask::Offer(Offer { to_peer_id: to.to_owned(), sdp: sdp.to_owned() })).await;
    }

    pub async fn candidate(&mut self, to: &str, candidate: &str) {
        let (to_peer_id, candidate) = (to.to_owned(), candidate.to_owned());
        self.ask(Ask::Candidate(Candidate { to_peer_id, candidate, ..Candidate::default() })).await;
    }

    pub async fn leave(&mut self) {
        self.ask(Ask::Leave(Leave {})).await;
    }

    pub fn half_close(&mut self) {
        self.requests = None;
    }

    /// The next response, a bare acknowledgement too; checks that numbers have no gap.
    pub async fn response(&mut self) -> Result<Option<SignalResponse>, Status> {
        let response = timeout(DEADLINE, self.responses.message()).await.expect("no response in time")?;
        if let Some(response) = &response {
            assert!(response.ack >= self.last_ack, "ack went back");
            self.last_ack = response.ack;
            if response.seq != 0 {
                assert_eq!(response.seq, self.last_seq + 1, "a response is missing");
                self.last_seq = response.seq;
            }
        }
        Ok(response)
    }

    /// The next thing that is said.
    pub async fn told(&mut self) -> Told {
        loop {
            if let Some(told) = self.response().await.unwrap().expect("the stream has ended").message {
                return told;
            }
        }
    }

    pub async fn rejected(&mut self) -> Rejected {
        match self.told().await {
            Told::Rejected(rejected) => rejected,
            other => panic!("not Rejected but {other:?}"),
        }
    }

    pub async fn rejected_code(&mut self) -> Code {
        self.rejected().await.code()
    }

    pub async fn peer_joined(&mut self) -> String {
        match self.told().await {
            Told::PeerJoined(joined) => joined.peer.unwrap().peer_id,
            other => panic!("not PeerJoined but {other:?}"),
        }
    }

    /// That a peer has left, perhaps after having been detached.
    pub async fn peer_left(&mut self) -> (String, LeaveReason) {
        loop {
            match self.told().await {
                Told::PeerLeft(left) => return (left.peer_id.clone(), left.reason()),
                Told::PeerUpdated(updated)
                    if updated.peer.as_ref().is_some_and(|peer| peer.state() == PeerState::Detached) => {}
                other => panic!("not PeerLeft but {other:?}"),
            }
        }
    }

    pub async fn peer_is(&mut self, state: PeerState) -> String {
        match self.told().await {
            Told::PeerUpdated(signal_response::PeerUpdated { peer: Some(peer) }) if peer.state() == state => {
                peer.peer_id
            }
            other => panic!("nobody is {state:?} but {other:?}"),
        }
    }

    /// Everything up to the end of the stream, and how it ended.
    pub async fn rest(&mut self) -> (Vec<Told>, Result<(), Status>) {
        let mut told = Vec::new();
        loop {
            match self.response().await {
                Ok(Some(response)) => told.extend(response.message),
                Ok(None) => return (told, Ok(())),
                Err(status) => return (told, Err(status)),
            }
        }
    }
}

pub fn join_request(seq: u64, room: &str, name: &str) -> SignalRequest {
    let (room, display_name, user_agent) = (room.to_owned(), name.to_owned(), "test/1".to_owned());
    let join = Join { room, display_name, user_agent, access_token: String::new() };
    SignalRequest { seq, ack: 0, message: Some(Ask::Join(join)) }
}

/// Two peers in a room who know of each other.
pub async fn pair(server: &Server, room: &str) -> (Peer, Peer) {
    let (mut one, _) = server.join(room, "one").await;
    let (other, joined) = server.join(room, "other").await;
    assert_eq!(joined.peers.len(), 1);
    assert_eq!(one.peer_joined().await, other.id);
    (one, other)
}
