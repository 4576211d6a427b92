//! A signaling server that does with what it relays as it likes, and says of whom it likes that they are here. It serves one
//! room, to whoever comes.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    pin::Pin,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use patchcord_proto::v1::{
    SignalRequest, SignalResponse,
    signal_request::Message as Asked,
    signal_response::{self as response, Message as Told},
    signaling_service_server::{SignalingService, SignalingServiceServer},
};
use tokio::{net::TcpListener, sync::mpsc, task::AbortHandle};
use tokio_stream::{
    Stream, StreamExt,
    wrappers::{ReceiverStream, TcpListenerStream},
};
use tonic::{Request, Response, Status, Streaming};

/// Something sealed on its way, by the places in which its sender and its receiver joined.
#[derive(Clone, Debug)]
pub struct Relayed {
    pub from: usize,
    pub to: usize,
    pub payload: Bytes,
}

/// For whoever joined at the first place: the place of the one that it is told for the one at the second.
pub type Disguise = fn(usize, usize) -> usize;

type Mischief = Box<dyn FnMut(Relayed) -> Vec<Relayed> + Send>;

struct Member {
    seq: u64,
    /// Before that nothing is said to it.
    joined: bool,
    gone: bool,
    responses: mpsc::Sender<Result<SignalResponse, Status>>,
}

struct Room {
    members: BTreeMap<usize, Member>,
    mischief: Mischief,
    disguise: Disguise,
}

#[derive(Clone)]
struct Evil(Arc<Mutex<Room>>);

/// Where it listens.
pub struct EvilServer {
    pub url: String,
    serving: AbortHandle,
}

impl Drop for EvilServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl EvilServer {
    /// `mischief` decides what becomes of each sealed payload.
    pub async fn start(mischief: impl FnMut(Relayed) -> Vec<Relayed> + Send + 'static) -> Self {
        Self::start_disguised(mischief, |_, place| place).await
    }

    /// And `disguise` under whose id each is known to whom; it has to be its own inverse for each viewer.
    pub async fn start_disguised(
        mischief: impl FnMut(Relayed) -> Vec<Relayed> + Send + 'static,
        disguise: Disguise,
    ) -> Self {
        let room = Room { members: BTreeMap::new(), mischief: Box::new(mischief), disguise };
        let service = SignalingServiceServer::new(Evil(Arc::new(Mutex::new(room))));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tonic::transport::Server::builder().add_service(service);
        let serving = tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { url, serving: serving.abort_handle() }
    }
}

impl Room {
    fn tell(&mut self, to: usize, message: Told) {
        let Some(member) = self.members.get_mut(&to).filter(|member| member.joined) else { return };
        member.seq += 1;
        let response = SignalResponse { seq: member.seq, ack: 0, message: Some(message) };
        // Whoever has gone hears no more.
        let _ = member.responses.try_send(Ok(response));
    }

    fn peers(&self, but: usize) -> Vec<patchcord_proto::v1::Peer> {
        let others =
            self.members.iter().filter(|(place, member)| **place != but && member.joined && !member.gone);
        others.map(|(place, _)| peer(&self.id_for(but, *place))).collect()
    }

    /// The id under which `viewer` knows whoever is at this place.
    fn id_for(&self, viewer: usize, place: usize) -> String {
        id((self.disguise)(viewer, place))
    }

    fn asked(&mut self, from: usize, message: Asked) {
        match message {
            Asked::Join(_) => {
                self.members.get_mut(&from).unwrap().joined = true;
                let joined = response::Joined {
                    peer_id: self.id_for(from, from),
                    peers: self.peers(from),
                    ..response::Joined::default()
                };
                self.tell(from, Told::Joined(joined));
                let others: Vec<_> = self.members.keys().copied().filter(|place| *place != from).collect();
                for other in others {
                    let joined = response::PeerJoined { peer: Some(peer(&self.id_for(other, from))) };
                    self.tell(other, Told::PeerJoined(joined));
                }
            }
            Asked::Sealed(sealed) => {
                let to = self.members.keys().find(|place| self.id_for(from, **place) == sealed.to_peer_id);
                let Some(to) = to.copied() else { return };
                let relayed = Relayed { from, to, payload: sealed.payload };
                for Relayed { from, to, payload } in (self.mischief)(relayed) {
                    let from_peer_id = self.id_for(to, from);
                    self.tell(to, Told::Sealed(response::Sealed { from_peer_id, payload }));
                }
            }
            Asked::Ping(ping) => self.tell(from, Told::Pong(response::Pong { nonce: ping.nonce })),
            _ => {}
        }
    }
}

fn id(place: usize) -> String {
    format!("peer{place:0>12}")
}

fn peer(id: &str) -> patchcord_proto::v1::Peer {
    patchcord_proto::v1::Peer {
        peer_id: id.into(),
        display_name: "somebody".into(),
        ..patchcord_proto::v1::Peer::default()
    }
}

#[tonic::async_trait]
impl SignalingService for Evil {
    type SignalStream = Pin<Box<dyn Stream<Item = Result<SignalResponse, Status>> + Send>>;

    async fn signal(
        &self,
        request: Request<Streaming<SignalRequest>>,
    ) -> Result<Response<Self::SignalStream>, Status> {
        let (responses, response_rx) = mpsc::channel(1024);
        let place = {
            let mut room = self.0.lock().unwrap();
            let place = room.members.len();
            room.members.insert(place, Member { seq: 0, joined: false, gone: false, responses });
            place
        };
        let room = self.0.clone();
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            while let Some(Ok(request)) = requests.next().await {
                if let Some(message) = request.message {
                    room.lock().unwrap().asked(place, message);
                }
            }
            room.lock().unwrap().members.get_mut(&place).unwrap().gone = true;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(response_rx))))
    }
}
