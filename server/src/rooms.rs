//! RoomService: looking into rooms and acting on them, for operators. Served on the admin door only.

mod page_token;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use patchcord_proto::{
    limits::ROOM_NAME_BYTES_MAX,
    v1::{
        CloseRoomRequest, CloseRoomResponse, GetRoomRequest, GetRoomResponse, LeaveReason, ListRoomsRequest,
        ListRoomsResponse, RemovePeerRequest, RemovePeerResponse, RevokeTokenRequest, RevokeTokenResponse,
        Room, RoomCounters, RoomPeer, WatchRoomsRequest, WatchRoomsResponse,
        revoke_token_request::What,
        room_service_server::RoomService,
        watch_rooms_response::{Activity, Closed, Event, Joined, Left, Opened, Synced, Updated},
    },
};
use prost::Message;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, async_trait};

use crate::{
    auth::{Operator, Pass},
    config::WATCHERS_MAX,
    frame::{duration, timestamp},
    name::{PRINTABLE_RULE, RoomName, is_printable},
    peer_id::PeerId,
    revoking::{Order, revoke},
    room::{Counters, Member},
    signaling::Exchange,
    store::{Change, RoomSnapshot, Store, WatchLost},
    switchboard::Dismissal,
    tokens::{RevokeError, Target, Tokens},
};

const PAGE_SIZE_DEFAULT: usize = 100;
const PAGE_SIZE_MAX: usize = 1_000;
/// A page ends early at this: clients decode 4 MiB at most by default.
const PAGE_BYTES_MAX: usize = 1024 * 1024;
const MESSAGE_BYTES_MAX: usize = 256;
/// Changes between a watch and the transport.
const WATCH_QUEUE_MAX: usize = 16;

/// The service on the admin door.
pub struct Rooms {
    store: Arc<dyn Store>,
    tokens: Option<Arc<Tokens>>,
    /// Of what goes on when whoever asked for it is gone.
    tasks: TaskTracker,
    watchers: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Rooms {
    /// The service over what sessions share; watches end when `stopping` is cancelled.
    pub fn new(exchange: &Exchange, stopping: CancellationToken) -> Self {
        let Exchange { store, tokens, tasks, .. } = exchange;
        let (store, tokens, tasks) = (Arc::clone(store), tokens.clone(), tasks.clone());
        Self { store, tokens, tasks, watchers: Arc::new(Semaphore::new(WATCHERS_MAX)), stopping }
    }
}

#[async_trait]
impl RoomService for Rooms {
    type WatchRoomsStream = ReceiverStream<Result<WatchRoomsResponse, Status>>;

    async fn list_rooms(
        &self,
        request: Request<ListRoomsRequest>,
    ) -> Result<Response<ListRoomsResponse>, Status> {
        let request = request.into_inner();
        let size = match request.page_size as usize {
            0 => PAGE_SIZE_DEFAULT,
            size @ 1..=PAGE_SIZE_MAX => size,
            _ => {
                return Err(Status::invalid_argument(format!(
                    "page_size must be 1 to {PAGE_SIZE_MAX}, or 0"
                )));
            }
        };
        let after = page_token::read(&request.page_token)?;
        let page = self.store.page(&request.name_prefix, after.as_deref(), size).await;
        let now = SystemTime::now();
        let mut response = ListRoomsResponse::default();
        let (mut bytes, mut next_after) = (0, page.next_after);
        for snapshot in page.rooms {
            if bytes >= PAGE_BYTES_MAX {
                break;
            }
            let name = snapshot.name.clone();
            let room = room(snapshot, now);
            bytes += room.encoded_len();
            response.rooms.push(room);
            if bytes >= PAGE_BYTES_MAX {
                next_after = Some(name);
            }
        }
        response.next_page_token =
            next_after.map(|name| page_token::write(name.as_str())).unwrap_or_default();
        response.total_rooms = u32::try_from(self.store.room_count().await).unwrap_or(u32::MAX);
        Ok(Response::new(response))
    }

    async fn get_room(&self, request: Request<GetRoomRequest>) -> Result<Response<GetRoomResponse>, Status> {
        let name = request.into_inner().name;
        let snapshot = self.store.room(&name).await.ok_or_else(no_such_room)?;
        Ok(Response::new(GetRoomResponse { room: Some(room(snapshot, SystemTime::now())) }))
    }

    async fn watch_rooms(
        &self,
        request: Request<WatchRoomsRequest>,
    ) -> Result<Response<Self::WatchRoomsStream>, Status> {
        let permit = Arc::clone(&self.watchers).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "{WATCHERS_MAX} watchers are there, which is all there may be"
            ))
        })?;
        let pass = request.extensions().get::<Pass>().cloned();
        let changes = self.store.watch(request.into_inner().name_prefix).await;
        let (responses, stream) = mpsc::channel(WATCH_QUEUE_MAX);
        let stopping = self.stopping.clone();
        tokio::spawn(async move {
            // Held for as long as somebody watches.
            let _permit = permit;
            tokio::select! {
                () = feed(changes, &responses) => {}
                () = stopping.cancelled() => {
                    // A watcher that does not read is not waited for.
                    let _ = responses.try_send(Err(Status::unavailable("the server is shutting down")));
                }
                () = void(pass) => {
                    let told = "the key or token that this watch began with is no longer good";
                    let _ = responses.try_send(Err(Status::unauthenticated(told)));
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn remove_peer(
        &self,
        request: Request<RemovePeerRequest>,
    ) -> Result<Response<RemovePeerResponse>, Status> {
        let operator = operator(&request);
        let request = request.into_inner();
        let dismissal = dismissal(LeaveReason::Removed, request.message)?;
        let room = room_name(&request.room_name)?;
        let peer_id = PeerId::parse(&request.peer_id).ok_or_else(no_such_peer)?;
        if !self.store.remove(&room, peer_id, dismissal).await {
            return Err(no_such_peer());
        }
        tracing::info!(%peer_id, ?room, %operator, "removed by an operator");
        Ok(Response::new(RemovePeerResponse {}))
    }

    async fn close_room(
        &self,
        request: Request<CloseRoomRequest>,
    ) -> Result<Response<CloseRoomResponse>, Status> {
        let operator = operator(&request);
        let request = request.into_inner();
        let dismissal = dismissal(LeaveReason::RoomClosed, request.message)?;
        let room = room_name(&request.name)?;
        let removed = self.store.close(&room, dismissal).await.ok_or_else(no_such_room)?;
        tracing::info!(?room, removed, %operator, "closed by an operator");
        Ok(Response::new(CloseRoomResponse { peers_removed: u32::try_from(removed).unwrap_or(u32::MAX) }))
    }

    async fn revoke_token(
        &self,
        request: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenResponse>, Status> {
        let tokens = self.tokens.as_ref().ok_or_else(|| {
            Status::failed_precondition("this server asks for no tokens (--token-keys-file)")
        })?;
        let operator = operator(&request);
        let RevokeTokenRequest { what, message } = request.into_inner();
        let Dismissal { message, .. } = dismissal(LeaveReason::Removed, message)?;
        let target = match what {
            Some(What::TokenId(id)) => Target::TokenId(id),
            Some(What::Subject(subject)) => Target::Subject(subject),
            Some(What::KeyId(id)) => Target::KeyId(id),
            None => return Err(Status::invalid_argument("give one of token_id, subject and key_id")),
        };
        if !target.is_valid() {
            let rule = format!(
                "token_id or subject must be 1 to 128 bytes of {PRINTABLE_RULE}, key_id 1 to 128 visible ASCII characters"
            );
            return Err(Status::invalid_argument(rule));
        }
        let order = Order { target, message, operator };
        let (ended, outcome) = revoke(&self.tasks, Arc::clone(&self.store), Arc::clone(tokens), order).await;
        let revocation = outcome.map_err(|error| match error {
            RevokeError::Full => Status::resource_exhausted(error.to_string()),
            RevokeError::NotWritten(_) => Status::internal(format!("{error} ({ended} sessions ended)")),
        })?;
        let until = UNIX_EPOCH + Duration::from_secs(revocation.revoked_at) + tokens.remembered();
        Ok(Response::new(RevokeTokenResponse {
            sessions_ended: u32::try_from(ended).unwrap_or(u32::MAX),
            until: timestamp(until),
            survives_restart: revocation.survives_restart,
        }))
    }
}

/// Who asks.
fn operator<T>(request: &Request<T>) -> Operator {
    request.extensions().get::<Operator>().cloned().unwrap_or_default()
}

async fn void(pass: Option<Pass>) {
    match pass {
        Some(pass) => pass.void().await,
        None => std::future::pending().await,
    }
}

async fn feed(
    mut changes: mpsc::Receiver<Result<Change, WatchLost>>,
    responses: &mpsc::Sender<Result<WatchRoomsResponse, Status>>,
) {
    loop {
        let change = tokio::select! {
            change = changes.recv() => change,
            () = responses.closed() => return,
        };
        let Some(change) = change else { return };
        let response = change
            .map(|change| WatchRoomsResponse { event: Some(event(change)) })
            .map_err(|WatchLost| Status::data_loss("the watcher did not keep up; watch again"));
        if responses.send(response).await.is_err() {
            return;
        }
    }
}

fn event(change: Change) -> Event {
    let named = |name: RoomName| name.as_str().to_owned();
    match change {
        Change::Opened(snapshot) => Event::Opened(Opened { room: Some(room(snapshot, SystemTime::now())) }),
        Change::Synced => Event::Synced(Synced {}),
        Change::Joined(name, member) => {
            Event::Joined(Joined { room_name: named(name), peer: Some(peer(&member)) })
        }
        Change::Updated(name, member) => {
            Event::Updated(Updated { room_name: named(name), peer: Some(peer(&member)) })
        }
        Change::Left(name, peer_id, reason) => {
            Event::Left(Left { room_name: named(name), peer_id: peer_id.to_string(), reason: reason.into() })
        }
        Change::Activity(name, moved) => {
            Event::Activity(Activity { room_name: named(name), counters: Some(counters(moved)) })
        }
        Change::Closed(name) => Event::Closed(Closed { room_name: named(name) }),
    }
}

fn room(snapshot: RoomSnapshot, now: SystemTime) -> Room {
    Room {
        name: snapshot.name.as_str().to_owned(),
        created_at: timestamp(snapshot.created_at),
        age: duration(now.duration_since(snapshot.created_at).unwrap_or_default()),
        peers: snapshot.members.iter().map(|member| peer(member)).collect(),
        counters: Some(counters(snapshot.counters)),
    }
}

fn peer(member: &Member) -> RoomPeer {
    RoomPeer {
        peer_id: member.peer_id.to_string(),
        display_name: member.display_name.as_str().to_owned(),
        joined_at: timestamp(member.joined_at),
        address: member.address.to_string(),
        user_agent: member.user_agent.to_string(),
        state: crate::frame::state(member).into(),
        subject: member.grant.as_ref().map(|grant| grant.subject.to_string()).unwrap_or_default(),
        token_id: member.grant.as_ref().map(|grant| grant.token_id.to_string()).unwrap_or_default(),
    }
}

fn counters(counters: Counters) -> RoomCounters {
    let Counters { offers, answers, candidates, sealed, negotiations_begun, negotiations_answered } =
        counters;
    RoomCounters { offers, answers, candidates, sealed, negotiations_begun, negotiations_answered }
}

fn dismissal(reason: LeaveReason, message: String) -> Result<Dismissal, Status> {
    if message.len() > MESSAGE_BYTES_MAX || !is_printable(&message) {
        let rule = format!("message must be at most {MESSAGE_BYTES_MAX} bytes of {PRINTABLE_RULE}");
        return Err(Status::invalid_argument(rule));
    }
    Ok(Dismissal { reason, message })
}

/// No room can have a name that is not one.
fn room_name(name: &str) -> Result<RoomName, Status> {
    RoomName::parse(name, ROOM_NAME_BYTES_MAX).ok_or_else(no_such_room)
}

fn no_such_room() -> Status {
    Status::not_found("there is no room of this name")
}

fn no_such_peer() -> Status {
    Status::not_found("there is no such peer in a room of this name")
}
