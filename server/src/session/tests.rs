//! What only a fault of our own or an unlucky moment can bring about, behind real sockets: a session that panics, a token
//! that is revoked while somebody joins with it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use patchcord_proto::v1::{
    LeaveReason, SignalResponse,
    signal_request::{Join, Offer},
    signal_response::Message as Told,
    signaling_service_client::SignalingServiceClient,
};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Code, Status, Streaming, async_trait};

use super::*;
use crate::{
    addresses::AddressThrottle,
    config::Config,
    doors,
    ice_servers::IceServers,
    listener::Incoming,
    metrics::Metrics,
    name::RoomName,
    peer_id::PeerId,
    room::Member,
    signaling::Exchange,
    store::{
        Change, JoinError, Page, Relay, RoomSnapshot, Store, WatchLost,
        memory::{Capacity, Memory},
    },
    switchboard::{Dismissal, Switchboard},
    tokens::{Algorithm, Claims, Jwk, KeySet, RoomPattern, Target, Tokens},
};

const DEADLINE: Duration = Duration::from_secs(30);

/// The memory store, but for a fault in relaying, and an operator who revokes whatever somebody joins with just then.
struct Faulty(Memory, Option<Arc<Tokens>>);

#[async_trait]
impl Store for Faulty {
    async fn join(&self, room: &RoomName, member: Arc<Member>) -> Result<Vec<Arc<Member>>, JoinError> {
        let grant = member.grant.clone();
        let joined = self.0.join(room, member).await;
        if let (Some(tokens), Some(grant)) = (&self.1, grant) {
            tokens.revoke(Target::TokenId(grant.token_id.to_string()), SystemTime::now()).unwrap();
        }
        joined
    }

    async fn leave(&self, room: &RoomName, peer_id: PeerId, reason: LeaveReason) -> bool {
        self.0.leave(room, peer_id, reason).await
    }

    async fn rename(&self, room: &RoomName, peer_id: PeerId, display_name: DisplayName) {
        self.0.rename(room, peer_id, display_name).await;
    }

    async fn set_stream(&self, room: &RoomName, peer_id: PeerId, address: Option<SocketAddr>) {
        self.0.set_stream(room, peer_id, address).await;
    }

    async fn relay(&self, _room: &RoomName, _from: PeerId, _relay: Relay) -> Result<(), RelayError> {
        panic!("the fault that this test is about");
    }

    async fn remove(&self, room: &RoomName, peer_id: PeerId, dismissal: Dismissal) -> bool {
        self.0.remove(room, peer_id, dismissal).await
    }

    async fn close(&self, room: &RoomName, dismissal: Dismissal) -> Option<usize> {
        self.0.close(room, dismissal).await
    }

    async fn room(&self, name: &str) -> Option<RoomSnapshot> {
        self.0.room(name).await
    }

    async fn page(&self, name_prefix: &str, after: Option<&str>, rooms_max: usize) -> Page {
        self.0.page(name_prefix, after, rooms_max).await
    }

    async fn room_count(&self) -> usize {
        self.0.room_count().await
    }

    async fn watch(&self, name_prefix: String) -> mpsc::Receiver<Result<Change, WatchLost>> {
        self.0.watch(name_prefix).await
    }
}

/// Serves the public door over a faulty store.
async fn serve(config: Config) -> (Arc<Exchange>, SocketAddr) {
    let tokens = Tokens::new(&config).unwrap();
    let metrics = Arc::new(Metrics::default());
    let switchboard = Switchboard::new(Arc::clone(&metrics));
    let memory = Memory::new(Arc::clone(&switchboard), Capacity::of(&config));
    let exchange = Arc::new(Exchange {
        grace_time: Duration::ZERO,
        claims: Arc::default(),
        store: Arc::new(Faulty(memory, tokens.clone())),
        switchboard,
        ice_servers: IceServers::new(&config).unwrap(),
        metrics: Arc::clone(&metrics),
        tokens,
        limits: config.limits(),
        rooms_max: config.rooms_max,
        peers_per_room_max: config.peers_per_room_max,
        join_throttle: AddressThrottle::joins(&config.allowances),
        resume_throttle: AddressThrottle::joins(&config.allowances),
        requests_per_session_rate: config.allowances.requests_per_session_rate,
        tasks: TaskTracker::new(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (routes, _) = doors::public_routes(&exchange).unwrap();
    let incoming = Incoming::public(listener, &config, None, &metrics, &CancellationToken::new());
    tokio::spawn(doors::transport(&config).add_routes(routes).serve_with_incoming(incoming));
    (exchange, address)
}

struct Peer {
    requests: mpsc::Sender<SignalRequest>,
    responses: Streaming<SignalResponse>,
}

impl Peer {
    async fn open(address: SocketAddr) -> Self {
        let mut client = SignalingServiceClient::connect(format!("http://{address}")).await.unwrap();
        let (requests, stream) = mpsc::channel(4);
        let responses = client.signal(ReceiverStream::new(stream)).await.unwrap().into_inner();
        Self { requests, responses }
    }

    /// Joins the one room, and returns its id too.
    async fn join(address: SocketAddr) -> (Self, String) {
        let mut peer = Self::open(address).await;
        let (room, display_name) = ("lobby".to_owned(), "peer".to_owned());
        peer.ask(Message::Join(Join { room, display_name, ..Join::default() })).await;
        match peer.told().await {
            Ok(Some(Told::Joined(joined))) => (peer, joined.peer_id),
            other => panic!("{other:?}"),
        }
    }

    async fn ask(&self, message: Message) {
        self.requests.send(SignalRequest { seq: 0, ack: 0, message: Some(message) }).await.unwrap();
    }

    async fn told(&mut self) -> Result<Option<Told>, Status> {
        let response = timeout(DEADLINE, self.responses.message()).await.expect("nothing is told")?;
        Ok(response.and_then(|response| response.message))
    }
}

#[tokio::test]
async fn a_session_that_panics_ends_its_stream_and_is_told_to_have_left_once() {
    let (exchange, address) = serve(Config::default()).await;
    let (mut watcher, watcher_id) = Peer::join(address).await;
    let (mut failing, failing_id) = Peer::join(address).await;
    assert!(matches!(watcher.told().await, Ok(Some(Told::PeerJoined(_)))));

    failing.ask(Message::Offer(Offer { to_peer_id: watcher_id, sdp: "v=0".to_owned() })).await;
    assert_eq!(failing.told().await.unwrap_err().code(), Code::Internal);
    match watcher.told().await.unwrap() {
        Some(Told::PeerLeft(left)) => {
            assert_eq!((left.peer_id.as_str(), left.reason()), (&*failing_id, LeaveReason::Disconnected));
        }
        other => panic!("{other:?}"),
    }
    watcher.ask(Message::Ping(Ping { nonce: 1 })).await;
    assert!(matches!(watcher.told().await, Ok(Some(Told::Pong(_)))), "it left once");
    let metrics = exchange.metrics.encode();
    assert!(metrics.contains("patchcord_sessions 1") && metrics.contains("patchcord_streams 1"), "{metrics}");
    // Nothing of it runs on.
    watcher.ask(Message::Leave(Default::default())).await;
    assert_eq!(watcher.told().await.unwrap(), None);
    exchange.tasks.close();
    timeout(DEADLINE, exchange.tasks.wait()).await.expect("a task is left");
}

#[tokio::test]
async fn a_token_that_is_revoked_while_its_bearer_joins_is_refused_once_by_the_number_of_the_join() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let key = Jwk::random("hs", Algorithm::Hs256).unwrap();
    std::fs::write(&path, KeySet::of(key.clone()).reveal()).unwrap();
    let (exchange, address) = serve(Config { token_keys_file: Some(path), ..Config::default() }).await;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let claims = Claims {
        audience: "patchcord".to_owned(),
        subject: String::new(),
        token_id: "7".to_owned(),
        issued_at: now,
        expires_at: now + 600,
        room: RoomPattern::Name("lobby".to_owned()),
        permissions: [Permission::Join, Permission::Create].into_iter().collect(),
    };
    let join = Join {
        room: "lobby".to_owned(),
        display_name: "peer".to_owned(),
        access_token: claims.sign(&key).unwrap(),
        ..Join::default()
    };
    let mut peer = Peer::open(address).await;
    peer.requests.send(SignalRequest { seq: 1, ack: 0, message: Some(Message::Join(join)) }).await.unwrap();
    match peer.told().await.unwrap() {
        Some(Told::Rejected(rejected)) => {
            assert_eq!((rejected.request_seq, rejected.reason.as_str()), (1, "revoked"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(peer.told().await.unwrap_err().code(), Code::PermissionDenied);
    let metrics = exchange.metrics.encode();
    for line in [
        "patchcord_rejections_total{code=\"CODE_NOT_PERMITTED\"} 1",
        "patchcord_tokens_refused_total{reason=\"revoked\"} 1",
        "patchcord_sessions 0",
    ] {
        assert!(metrics.lines().any(|have| have == line), "{line} is not in\n{metrics}");
    }
}
