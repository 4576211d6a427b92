//! A session whose server falls silent.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use patchcord_proto::v1::{
    SignalRequest, SignalResponse,
    signaling_service_server::{SignalingService, SignalingServiceServer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// What a server has seen that admits one peer and lets it resume.
#[derive(Clone, Default)]
struct Seen {
    pings: Arc<AtomicUsize>,
    resumed: Arc<AtomicUsize>,
    last_seq: Arc<AtomicUsize>,
}

struct Script(Seen);

type Responses = Pin<Box<dyn Stream<Item = Result<SignalResponse, Status>> + Send>>;

impl Seen {
    /// What is answered to a request.
    fn answer(&self, SignalRequest { seq, message, .. }: SignalRequest) -> Option<SignalResponse> {
        if seq > 0 {
            let last = self.last_seq.swap(seq as usize, SeqCst);
            assert_eq!(seq as usize, last + 1, "each request comes once and in order");
        }
        let answer = |seq, message| SignalResponse { seq, ack: 0, message: Some(message) };
        Some(match message? {
            request::Message::Join(_) => {
                let peer_id = "a".repeat(16);
                let joined =
                    response::Joined { peer_id, resume_token: vec![1; 32].into(), ..Default::default() };
                answer(1, response::Message::Joined(joined))
            }
            request::Message::Resume(_) => {
                self.resumed.fetch_add(1, SeqCst);
                let last_seq = self.last_seq.load(SeqCst) as u64;
                let resume_token = vec![2; 32].into();
                let resumed =
                    response::Resumed { complete: true, last_seq, resume_token, ..Default::default() };
                answer(0, response::Message::Resumed(resumed))
            }
            request::Message::Ping(request::Ping { nonce }) => {
                self.pings.fetch_add(1, SeqCst);
                answer(0, response::Message::Pong(response::Pong { nonce }))
            }
            _ => return None,
        })
    }
}

#[tonic::async_trait]
impl SignalingService for Script {
    type SignalStream = Responses;

    async fn signal(
        &self,
        request: Request<Streaming<SignalRequest>>,
    ) -> Result<Response<Self::SignalStream>, Status> {
        let (mut requests, seen) = (request.into_inner(), self.0.clone());
        let (responses, response_rx) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                if let Some(answer) = seen.answer(request)
                    && responses.send(Ok(answer)).await.is_err()
                {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(response_rx))))
    }
}

async fn serve() -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Seen::default());
    let service = SignalingServiceServer::new(Script(seen.clone()));
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming);
    tokio::spawn(server);
    (address, seen)
}

/// A way to the server on which what is laid can fall silent without being closed.
struct BlackHole {
    address: SocketAddr,
    silent: Arc<std::sync::Mutex<Arc<AtomicBool>>>,
}

impl BlackHole {
    async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let silent: Arc<std::sync::Mutex<Arc<AtomicBool>>> = Arc::default();
        let of_connections = silent.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let is_silent = of_connections.lock().unwrap().clone();
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = TcpStream::connect(server).await.unwrap().into_split();
                tokio::spawn(carry(near_read, far_write, is_silent.clone()));
                tokio::spawn(carry(far_read, near_write, is_silent));
            }
        });
        Self { address, silent }
    }

    /// What is laid swallows everything from now on.
    fn swallow(&self) {
        std::mem::take(&mut *self.silent.lock().unwrap()).store(true, SeqCst);
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_silent: Arc<AtomicBool>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if !is_silent.load(SeqCst) && to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Over a transport that notices nothing by itself.
fn without_keepalive() -> Connect {
    let never = Duration::from_secs(24 * 3600);
    Arc::new(move |endpoint| {
        Box::pin(async move { endpoint.http2_keep_alive_interval(never).connect().await })
    })
}

async fn join(server: SocketAddr) -> (Signaling, mpsc::Receiver<SignalingEvent>) {
    let config = Config::new(format!("http://{server}"), "lobby", "ana");
    let joined = Signaling::join_with(&config, Unobserved, without_keepalive()).await;
    let (signaling, _, events) = joined.expect("the script admits us");
    (signaling, events)
}

async fn next(events: &mut mpsc::Receiver<SignalingEvent>) -> SignalingEvent {
    tokio::time::timeout(PATIENCE, events.recv()).await.expect("an event comes").expect("it goes on")
}

async fn until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, met).await.expect("the condition is met");
}

fn candidate() -> request::Message {
    request::Message::Candidate(request::Candidate { to_peer_id: "b".repeat(16), ..Default::default() })
}

#[tokio::test]
async fn a_doubted_stream_that_carries_nothing_is_left_for_another_and_nothing_is_lost() {
    let (server, seen) = serve().await;
    let hole = BlackHole::before(server).await;
    let (signaling, mut events) = join(hole.address).await;
    hole.swallow();
    assert!(signaling.try_send(candidate()));
    signaling.doubt();
    let away = next(&mut events).await;
    assert!(
        matches!(&away, SignalingEvent::Away { reason } if reason.contains("did not answer")),
        "{away:?}"
    );
    assert!(matches!(next(&mut events).await, SignalingEvent::Resuming));
    assert!(matches!(next(&mut events).await, SignalingEvent::Resumed { complete: true, .. }));
    until(|| seen.last_seq.load(SeqCst) == 2).await;
    assert_eq!((seen.resumed.load(SeqCst), seen.pings.load(SeqCst)), (1, 0));
}

#[tokio::test]
async fn a_doubted_stream_that_answers_is_kept() {
    let (server, seen) = serve().await;
    let (signaling, mut events) = join(server).await;
    (0..100).for_each(|_| signaling.doubt());
    until(|| seen.pings.load(SeqCst) == 1).await;
    // Whatever would be done about it is done by then.
    let told = tokio::time::timeout(suspicion::ANSWER_TIMEOUT + Duration::from_secs(1), events.recv()).await;
    assert!(told.is_err(), "{told:?}");
    assert_eq!(seen.resumed.load(SeqCst), 0);
}
