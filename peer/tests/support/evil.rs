//! A signaling server that does with what it relays as it likes. It serves one room, to whoever comes.

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
use tokio::{net::TcpListener, sync::mpsc};
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

type Mischief = Box<dyn FnMut(Relayed) -> Vec<Relayed> + Send>;

struct Member {
    id: String,
    seq: u64,
    gone: bool,
    responses: mpsc::Sender<Result<SignalResponse, Status>>,
}

struct Room {
    members: BTreeMap<usize, Member>,
    mischief: Mischief,
}

#[derive(Clone)]
struct Evil(Arc<Mutex<Room>>);

/// Where it listens.
pub struct EvilServer {
    pub url: String,
}

impl EvilServer {
    /// `mischief` decides what becomes of each sealed payload.
    pub async fn start(mischief: impl FnMut(Relayed) -> Vec<Relayed> + Send + 'static) -> Self {
        let room = Room { members: BTreeMap::new(), mischief: Box::new(mischief) };
        let service = SignalingServiceServer::new(Evil(Arc::new(Mutex::new(room))));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { url }
    }
}

impl Room {
    fn tell(&mut self, to: usize, message: Told) {
        let Some(member) = self.members.get_mut(&to) else { return };
        member.seq += 1;
        let response = SignalResponse { seq: member.seq, ack: 0, message: Some(message) };
        // Whoever has gone hears no more.
        let _ = member.responses.try_send(Ok(response));
    }

    fn peers(&self, but: usize) -> Vec<patchcord_proto::v1::Peer> {
        let others = self.members.iter().filter(|(place, member)| **place != but && !member.gone);
        others.map(|(_, member)| peer(&member.id)).collect()
    }

    fn asked(&mut self, from: usize, message: Asked) {
        match message {
            Asked::Join(_) => {
                let joined = response::Joined {
                    peer_id: self.members[&from].id.clone(),
                    peers: self.peers(from),
                    ..response::Joined::default()
                };
                self.tell(from, Told::Joined(joined));
                let joined = response::PeerJoined { peer: Some(peer(&self.members[&from].id)) };
                let others: Vec<_> = self.members.keys().copied().filter(|place| *place != from).collect();
                for other in others {
                    self.tell(other, Told::PeerJoined(joined.clone()));
                }
            }
            Asked::Sealed(sealed) => {
                let Some((to, _)) = self.members.iter().find(|(_, member)| member.id == sealed.to_peer_id)
                else {
                    return;
                };
                let relayed = Relayed { from, to: *to, payload: sealed.payload };
                for Relayed { from, to, payload } in (self.mischief)(relayed) {
                    let from_peer_id = self.members[&from].id.clone();
                    self.tell(to, Told::Sealed(response::Sealed { from_peer_id, payload }));
                }
            }
            Asked::Ping(ping) => self.tell(from, Told::Pong(response::Pong { nonce: ping.nonce })),
            _ => {}
        }
    }
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
            let id = format!("peer{place:0>12}");
            room.members.insert(place, Member { id, seq: 0, gone: false, responses });
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
