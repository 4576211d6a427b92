//! Clients that stand still in the middle of everything (SIGSTOP): the kernel still acknowledges for them, so only
//! pings that nobody answers and a queue that nobody empties tell.

use std::{env, net::SocketAddr, process::Stdio};

use patchcord_proto::v1::{
    LeaveReason, PeerState, SignalRequest,
    signal_request::{Message as Ask, Offer},
    signal_response::Message as Told,
};
use tokio::{
    process::{Child, Command},
    time::{Duration, Instant},
};

use super::{
    kit::{Peer, connect},
    target::Target,
};

/// Where the server is, for this program as a client.
const SERVER: &str = "PATCHCORD_STOPPED_CLIENT_OF";
const ROOM: &str = "stopped";
/// Of a peer that is gone the others hear within this; how long it then has to come back is another matter.
const DETACHED_MAX: Duration = Duration::from_millis(12_500);
/// A session that nobody reads takes less before it is full, wherever it waits.
const POURED_BYTES: usize = 16 * 1024 * 1024;
const SDP_BYTES: usize = 16 * 1024;

/// Whether this process is such a client, which it then is until somebody kills it.
pub fn is_client() -> bool {
    let Some(server) = env::var(SERVER).ok() else { return false };
    let server: SocketAddr = server.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut peer = Peer::open(connect(server).await).await.unwrap();
        peer.join(ROOM, "client").await;
        while let Ok(Some(_)) = peer.response().await {}
    });
    true
}

struct Client {
    process: Child,
    id: String,
}

impl Client {
    async fn join(target: &Target, witness: &mut Peer) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.env(SERVER, target.public.to_string()).stdout(Stdio::null()).kill_on_drop(true);
        let process = command.spawn().unwrap();
        let id = witness.peer_joined().await;
        Self { process, id }
    }

    fn stop(&self) {
        use rustix::process::{Pid, Signal, kill_process};
        let pid = Pid::from_raw(self.process.id().expect("it runs").cast_signed()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
    }
}

/// One that nobody writes to, and one that is written to without end.
pub async fn stopped_clients(target: &Target) -> String {
    let mut witness = Peer::open(connect(target.public).await).await.unwrap();
    witness.join(ROOM, "witness").await;
    let quiet = Client::join(target, &mut witness).await;
    let poured_at = Client::join(target, &mut witness).await;
    let stopped = Instant::now();
    quiet.stop();
    poured_at.stop();
    let pouring = tokio::spawn(pour(witness.requests.clone().unwrap(), poured_at.id.clone()));
    let (mut detached, mut ended) = (None, None);
    while detached.is_none() || ended.is_none() {
        match witness.told().await {
            Told::PeerUpdated(updated) => {
                let peer = updated.peer.unwrap();
                assert_eq!((&peer.peer_id, peer.state()), (&quiet.id, PeerState::Detached));
                detached = Some(stopped.elapsed());
            }
            Told::PeerLeft(left) => {
                assert_eq!((&left.peer_id, left.reason()), (&poured_at.id, LeaveReason::TooSlow));
                ended = Some(stopped.elapsed());
            }
            // Its outbox is full, and then it is gone.
            Told::Rejected(_) => {}
            other => panic!("{other:?}"),
        }
    }
    pouring.abort();
    let (detached, ended) = (detached.unwrap(), ended.unwrap());
    // Beside others the processor is not there in time.
    assert!(detached <= target.scale(DETACHED_MAX * 2, DETACHED_MAX), "{detached:?}");
    format!("quiet: detached after {detached:.2?}; written to: ended as TOO_SLOW after {ended:.2?}")
}

async fn pour(requests: tokio::sync::mpsc::Sender<SignalRequest>, to_peer_id: String) {
    for _ in 0..POURED_BYTES / SDP_BYTES {
        let offer = Offer { to_peer_id: to_peer_id.clone(), sdp: "x".repeat(SDP_BYTES) };
        let request = SignalRequest { seq: 0, ack: 0, message: Some(Ask::Offer(offer)) };
        if requests.send(request).await.is_err() {
            return;
        }
    }
}
