//! What nodes share: rooms and their members. A store decides at one point, atomically, who is in a room
//! and who may signal whom, and hands what follows from it to the switchboard of each member's node in
//! one order for all. Streams and outboxes are the node's own and never in here.

pub mod memory;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use patchcord_proto::v1::LeaveReason;
use tokio::sync::mpsc;
use tonic::async_trait;

use crate::{
    frame::Frame,
    name::{DisplayName, RoomName},
    peer_id::PeerId,
    room::{Counters, Member, RelayKind},
    switchboard::Dismissal,
};

/// Why a join failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinError {
    /// The room holds as many peers as it may.
    RoomFull,
    /// There are as many rooms as there may be.
    TooManyRooms,
    /// The room is not there, and the member may not make one.
    NoSuchRoom,
    /// Peers join this room faster than they may; how long to wait.
    TooFast(Duration),
}

/// Why something was not relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayError {
    /// The addressee is not another member of the sender's room.
    NoSuchPeer,
    /// The addressee's outbox is full.
    PeerBusy,
}

/// What one peer sends another, encoded.
#[derive(Clone, Debug)]
pub struct Relay {
    /// The addressee.
    pub to: PeerId,
    /// What it is.
    pub kind: RelayKind,
    /// As the addressee will read it, with the sender's id.
    pub frame: Frame,
}

/// A room as it is at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomSnapshot {
    /// Its name.
    pub name: RoomName,
    /// When the first peer joined.
    pub created_at: SystemTime,
    /// Its members in the order of joining.
    pub members: Vec<Arc<Member>>,
    /// What went through it.
    pub counters: Counters,
}

/// Rooms in order of their names.
#[derive(Clone, Debug)]
pub struct Page {
    /// The rooms.
    pub rooms: Vec<RoomSnapshot>,
    /// If more follow: the name that they come after.
    pub next_after: Option<RoomName>,
}

/// What a watcher is told: first a room each with `Opened`, then `Synced`, then what changes.
#[derive(Clone, Debug)]
pub enum Change {
    /// A room is there.
    Opened(RoomSnapshot),
    /// All rooms that were there have been told.
    Synced,
    /// A peer joined.
    Joined(RoomName, Arc<Member>),
    /// A peer changed.
    Updated(RoomName, Arc<Member>),
    /// A peer left.
    Left(RoomName, PeerId, LeaveReason),
    /// Counters moved.
    Activity(RoomName, Counters),
    /// A room is gone.
    Closed(RoomName),
}

/// The watcher did not keep up and has missed changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchLost;

/// Rooms, wherever they are kept. For one room, deliveries are made in the order of what caused them: a
/// member is told of every join and leave after its own, and of no message before its sender's join or
/// after its leave.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Takes a member in and tells the others. Returns who was there before, in the order of joining. The
    /// member's outbox must be held until then, for it may be sent to at once.
    async fn join(&self, room: &RoomName, member: Arc<Member>) -> Result<Vec<Arc<Member>>, JoinError>;

    /// Lets a member go and tells the others; whether it was still there.
    async fn leave(&self, room: &RoomName, peer_id: PeerId, reason: LeaveReason) -> bool;

    /// Shows a member under another name and tells everybody, the member too.
    async fn rename(&self, room: &RoomName, peer_id: PeerId, display_name: DisplayName);

    /// A member's stream is lost (`None`), or there is another from this address: tells the others
    /// if it was the other way before.
    async fn set_stream(&self, room: &RoomName, peer_id: PeerId, address: Option<SocketAddr>);

    /// Hands something to another member of the room.
    async fn relay(&self, room: &RoomName, from: PeerId, relay: Relay) -> Result<(), RelayError>;

    /// Lets a member go by an operator's will; whether it was there.
    async fn remove(&self, room: &RoomName, peer_id: PeerId, dismissal: Dismissal) -> bool;

    /// Lets all members go by an operator's will; how many, or `None` when there is no such room.
    async fn close(&self, room: &RoomName, dismissal: Dismissal) -> Option<usize>;

    /// One room.
    async fn room(&self, name: &str) -> Option<RoomSnapshot>;

    /// Up to `rooms_max` rooms after a name, of those whose name begins with the prefix.
    async fn page(&self, name_prefix: &str, after: Option<&str>, rooms_max: usize) -> Page;

    /// How many rooms there are.
    async fn room_count(&self) -> usize;

    /// Watches the rooms whose name begins with the prefix. The watch ends when the receiver is dropped, or
    /// with `WatchLost`.
    async fn watch(&self, name_prefix: String) -> mpsc::Receiver<Result<Change, WatchLost>>;
}
