//! Looking into the rooms of a server through its admin door, without a gRPC type in sight.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use patchcord_proto::v1::{self, room_service_client::RoomServiceClient, watch_rooms_response};
use tokio::sync::mpsc;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use crate::{
    CaCertificate, ClientCertificate, InspectError, LeaveReason, PeerId, Untrusted,
    endpoint::{self, NoWay, may_carry_secret, why_closed},
    signaling::{describe, leave_reason},
};

const ROOMS_PER_PAGE: u32 = 100;

/// A page of full rooms.
const ROOMS_RESPONSE_BYTES_MAX: usize = 8 << 20;

/// Rooms shown at most; more are cut off.
const ROOMS_MAX: usize = 1_000_000;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Changes that wait for the watcher; then the stream is not read and the server ends it.
const CHANGES_MAX: usize = 256;

/// A connection to the admin door of a server.
#[derive(Clone, Debug)]
pub struct Inspector {
    client: RoomServiceClient<InterceptedService<Channel, Bearer>>,
    way: Arc<(String, InspectConfig)>,
}

/// Whom to trust at an admin door, and what it is shown.
#[derive(Clone, Default)]
pub struct InspectConfig {
    /// For `https`: trusted beside the platform's authorities.
    pub ca_certificate: Option<CaCertificate>,
    /// For `https`: shown to a server that asks for a certificate.
    pub client_certificate: Option<ClientCertificate>,
    /// The key of an operator. It is not sent in clear, but to this machine itself.
    pub key: Option<String>,
}

impl std::fmt::Debug for InspectConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("InspectConfig").field("has_key", &self.key.is_some()).finish_non_exhaustive()
    }
}

/// Sends the key with each request.
#[derive(Clone, Debug)]
struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    fn new(key: Option<&str>) -> Result<Self, InspectError> {
        let Some(key) = key else { return Ok(Self(None)) };
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InspectError::InvalidKey);
        }
        let mut value: MetadataValue<Ascii> =
            format!("Bearer {key}").parse().map_err(|_| InspectError::InvalidKey)?;
        // Neither logged nor kept by what compresses headers.
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// A room as an operator sees it.
#[derive(Clone, Debug)]
pub struct RoomDetails {
    /// Its name.
    pub name: Untrusted,
    /// When the first peer joined.
    pub created_at: SystemTime,
    /// How long ago that was, by the server's clock.
    pub age: Duration,
    /// In the order of joining.
    pub peers: Vec<RoomPeer>,
    /// What went through it.
    pub counters: RoomCounters,
}

/// A member of a room as an operator sees it.
#[derive(Clone, Debug)]
pub struct RoomPeer {
    /// Its id.
    pub id: PeerId,
    /// As the peer gave it.
    pub display_name: Untrusted,
    /// By the server's clock.
    pub joined_at: SystemTime,
    /// Where its stream comes from.
    pub address: Untrusted,
    /// As the peer gave it.
    pub user_agent: Untrusted,
    /// Whose token it joined with (`sub`); empty where that is nobody's.
    pub subject: Untrusted,
    /// Which token (`jti`); empty where that has no id.
    pub token_id: Untrusted,
    /// Whether its stream is open.
    pub attached: bool,
}

/// What went through a room since it appeared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomCounters {
    /// Offers relayed.
    pub offers: u64,
    /// Answers relayed.
    pub answers: u64,
    /// Candidates relayed.
    pub candidates: u64,
    /// Sealed payloads relayed.
    pub sealed: u64,
    /// Pairs of which one offered to the other.
    pub negotiations_begun: u64,
    /// Those in which an answer came back.
    pub negotiations_answered: u64,
}

/// What changed.
#[derive(Clone, Debug)]
pub enum RoomChange {
    /// A room is there.
    Opened(RoomDetails),
    /// All rooms that were there at the start have been told.
    Synced,
    /// A peer joined, or its name or state changed.
    Peer {
        /// The room.
        room: Untrusted,
        /// The peer as it is now.
        peer: RoomPeer,
    },
    /// A peer left.
    Left {
        /// The room.
        room: Untrusted,
        /// Who.
        peer_id: PeerId,
        /// Why.
        reason: LeaveReason,
    },
    /// Counters moved.
    Activity {
        /// The room.
        room: Untrusted,
        /// As they are now.
        counters: RoomCounters,
    },
    /// A room is gone.
    Closed {
        /// The room.
        room: Untrusted,
    },
}

impl Inspector {
    /// Connects to the admin door at `url`.
    ///
    /// # Errors
    /// When the url does not parse, nobody answers there, or a key would be sent in clear.
    pub async fn connect(url: &str, config: &InspectConfig) -> Result<Self, InspectError> {
        let InspectConfig { ca_certificate, client_certificate, key } = config;
        let bearer = Bearer::new(key.as_deref())?;
        if key.is_some() {
            may_carry_secret(url)?;
        }
        let connecting = endpoint::connect(url, ca_certificate.as_ref(), client_certificate.as_ref());
        let channel = connecting.await.map_err(|no_way| match no_way {
            NoWay::InvalidUrl => InspectError::InvalidServer { url: url.into() },
            NoWay::Tls(reason) => InspectError::Unreachable { url: url.into(), reason },
            NoWay::Network(reason) => {
                let reason = format!("{reason}; is the server running, and is this its admin address?");
                InspectError::Unreachable { url: url.into(), reason }
            }
        })?;
        let client = RoomServiceClient::with_interceptor(channel, bearer)
            .max_decoding_message_size(ROOMS_RESPONSE_BYTES_MAX);
        Ok(Self { client, way: Arc::new((url.to_owned(), config.clone())) })
    }

    /// All rooms whose name begins with `name_prefix`, in order of their names.
    ///
    /// # Errors
    /// When the server refuses or breaks off, or does not answer a page within 10 seconds.
    pub async fn rooms(&mut self, name_prefix: &str) -> Result<Vec<RoomDetails>, InspectError> {
        let mut rooms = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = v1::ListRoomsRequest {
                page_size: ROOMS_PER_PAGE,
                page_token,
                name_prefix: name_prefix.into(),
            };
            let page = tokio::time::timeout(ANSWER_TIMEOUT, self.client.list_rooms(request))
                .await
                .map_err(|_| InspectError::Refused("no answer within 10 s".into()))?;
            let page = match page {
                Ok(page) => page.into_inner(),
                Err(status) => return Err(self.why_refused(&status).await),
            };
            let before = rooms.len();
            rooms.extend(page.rooms.into_iter().filter_map(parse_room));
            // A server that sends empty pages must not hold us for ever.
            if page.next_page_token.is_empty() || rooms.len() >= ROOMS_MAX || rooms.len() == before {
                return Ok(rooms);
            }
            page_token = page.next_page_token;
        }
    }

    /// A first call that was cut off may have been so by TLS, which gRPC does not tell.
    async fn why_refused(&self, status: &Status) -> InspectError {
        let (url, InspectConfig { ca_certificate, client_certificate, .. }) = &*self.way;
        if std::error::Error::source(status).is_some()
            && let Some(reason) = why_closed(url, ca_certificate.as_ref(), client_certificate.as_ref()).await
        {
            return InspectError::Unreachable { url: url.clone(), reason };
        }
        refused(status)
    }

    /// The rooms, then what changes, until the receiver is dropped or an error ends it.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn watch(
        &mut self,
        name_prefix: &str,
    ) -> Result<mpsc::Receiver<Result<RoomChange, InspectError>>, InspectError> {
        let request = v1::WatchRoomsRequest { name_prefix: name_prefix.into() };
        let mut changes = match self.client.watch_rooms(request).await {
            Ok(changes) => changes.into_inner(),
            Err(status) => return Err(self.why_refused(&status).await),
        };
        let (change_tx, change_rx) = mpsc::channel(CHANGES_MAX);
        tokio::spawn(async move {
            loop {
                let change = match changes.message().await {
                    Ok(Some(change)) => change.event.and_then(parse_change).map(Ok),
                    Ok(None) => Some(Err(InspectError::Refused("the server ended the watch".into()))),
                    Err(status) => Some(Err(refused(&status))),
                };
                let over = matches!(change, Some(Err(_)));
                if let Some(change) = change
                    && (change_tx.send(change).await.is_err() || over)
                {
                    return;
                }
            }
        });
        Ok(change_rx)
    }
}

fn refused(status: &Status) -> InspectError {
    match status.code() {
        Code::Unauthenticated => InspectError::NotPermitted { message: describe(status) },
        _ => InspectError::Refused(describe(status)),
    }
}

fn parse_change(event: watch_rooms_response::Event) -> Option<RoomChange> {
    use watch_rooms_response::Event;
    Some(match event {
        Event::Opened(opened) => RoomChange::Opened(parse_room(opened.room?)?),
        Event::Synced(_) => RoomChange::Synced,
        Event::Joined(joined) => {
            RoomChange::Peer { room: Untrusted::new(joined.room_name), peer: parse_peer(joined.peer?)? }
        }
        Event::Updated(updated) => {
            RoomChange::Peer { room: Untrusted::new(updated.room_name), peer: parse_peer(updated.peer?)? }
        }
        Event::Left(left) => RoomChange::Left {
            reason: leave_reason(left.reason()),
            peer_id: PeerId::parse(&left.peer_id)?,
            room: Untrusted::new(left.room_name),
        },
        Event::Activity(activity) => RoomChange::Activity {
            room: Untrusted::new(activity.room_name),
            counters: parse_counters(activity.counters.unwrap_or_default()),
        },
        Event::Closed(closed) => RoomChange::Closed { room: Untrusted::new(closed.room_name) },
    })
}

fn parse_room(room: v1::Room) -> Option<RoomDetails> {
    Some(RoomDetails {
        name: Untrusted::new(room.name),
        created_at: parse_time(room.created_at)?,
        age: room.age.and_then(|age| Duration::try_from(age).ok()).unwrap_or_default(),
        peers: room.peers.into_iter().filter_map(parse_peer).collect(),
        counters: parse_counters(room.counters.unwrap_or_default()),
    })
}

fn parse_peer(peer: v1::RoomPeer) -> Option<RoomPeer> {
    Some(RoomPeer {
        id: PeerId::parse(&peer.peer_id)?,
        attached: peer.state() != v1::PeerState::Detached,
        display_name: Untrusted::new(peer.display_name),
        joined_at: parse_time(peer.joined_at)?,
        address: Untrusted::new(peer.address),
        user_agent: Untrusted::new(peer.user_agent),
        subject: Untrusted::new(peer.subject),
        token_id: Untrusted::new(peer.token_id),
    })
}

fn parse_counters(counters: v1::RoomCounters) -> RoomCounters {
    RoomCounters {
        offers: counters.offers,
        answers: counters.answers,
        candidates: counters.candidates,
        sealed: counters.sealed,
        negotiations_begun: counters.negotiations_begun,
        negotiations_answered: counters.negotiations_answered,
    }
}

fn parse_time(time: Option<prost_types::Timestamp>) -> Option<SystemTime> {
    time.and_then(|time| SystemTime::try_from(time).ok())
}
