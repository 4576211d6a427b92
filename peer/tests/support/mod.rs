//! A real server on a port of its own, and rooms joined through it over loopback.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod evil;
pub mod wire;

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use patchcord_peer::{Config, Event, Peer, PeerId, Room};
use patchcord_server::{Listeners, serve};
use tokio::{net::TcpListener, runtime::Runtime, sync::mpsc};

pub const PATIENCE: Duration = Duration::from_secs(20);

/// A server on a runtime of its own, so that it can be killed with everything it holds.
pub struct Server {
    runtime: Option<Runtime>,
    pub url: String,
    pub admin_url: String,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// Another server at the address of this one, which was killed.
    pub async fn restart(self) -> Self {
        Self::start_at(self.url.strip_prefix("http://").unwrap().parse().unwrap()).await
    }

    async fn start_at(address: SocketAddr) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listeners = runtime.spawn(async move {
            Listeners {
                public: bind(address).await,
                admin: Some(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()),
            }
        });
        let listeners = listeners.await.unwrap();
        let url = format!("http://{}", listeners.public.local_addr().unwrap());
        let admin_url = format!("http://{}", listeners.admin.as_ref().unwrap().local_addr().unwrap());
        runtime.spawn(serve(patchcord_server::Config::default(), listeners, std::future::pending()));
        Self { runtime: Some(runtime), url, admin_url }
    }

    pub fn config(&self, room: &str, name: &str) -> Config {
        Config { local_addresses: vec![Ipv4Addr::LOCALHOST.into()], ..Config::new(&self.url, room, name) }
    }

    /// Ends it as `kill -9` would: no goodbye to anybody.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A killed server's sockets close when its runtime has wound up.
async fn bind(address: SocketAddr) -> TcpListener {
    let bound = async {
        loop {
            match TcpListener::bind(address).await {
                Ok(listener) => return listener,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, bound).await.expect("the address is free")
}

/// A joined room with the events that were seen.
pub struct Member {
    pub room: Room,
    pub events: mpsc::Receiver<Event>,
    pub seen: Vec<Event>,
}

impl Member {
    pub async fn join(config: Config) -> Self {
        let (room, events) = Room::join(config).await.expect("the server admits us");
        Self { room, events, seen: Vec::new() }
    }

    pub fn id(&self) -> PeerId {
        self.room.info().peer_id.clone()
    }

    /// Reads events until one satisfies `wanted`, which is given back.
    pub async fn until(&mut self, mut wanted: impl FnMut(&Event) -> bool) -> Event {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let event = self.events.recv().await.expect("the room is not over");
                self.seen.push(event.clone());
                if wanted(&event) {
                    return event;
                }
            }
        });
        match found.await {
            Ok(event) => event,
            Err(_) => panic!("not within {PATIENCE:?}; seen: {:?}", self.seen),
        }
    }

    pub async fn until_open(&mut self, peer: &PeerId) {
        self.until(|event| matches!(event, Event::ChannelOpen { peer_id, .. } if peer_id == peer)).await;
    }

    pub async fn until_text(&mut self, text: &str) {
        self.until(|event| matches!(event, Event::Message(message) if message.text.as_raw() == text)).await;
    }

    pub async fn until_joined(&mut self) -> Peer {
        match self.until(|event| matches!(event, Event::PeerJoined(_))).await {
            Event::PeerJoined(peer) => peer,
            _ => unreachable!("only this was waited for"),
        }
    }
}

/// Two members of one room with an open channel.
pub async fn connected(server: &Server, room: &str) -> (Member, Member) {
    let mut first = Member::join(server.config(room, "ana")).await;
    let mut second = Member::join(server.config(room, "bo")).await;
    let (first_id, second_id) = (first.id(), second.id());
    first.until_open(&second_id).await;
    second.until_open(&first_id).await;
    (first, second)
}
