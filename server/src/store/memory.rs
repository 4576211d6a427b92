//! The store of a lone node. Each room has its lock, and what follows from a change is delivered under
//! it, so that all members see one order. The map of rooms is locked for look-ups only.

mod watch;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::SocketAddr,
    ops::Bound,
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard, RwLock};
use patchcord_proto::v1::LeaveReason;
use tokio::{sync::mpsc, time::Instant};
use tonic::async_trait;

use super::{Change, JoinError, Page, Relay, RelayError, RoomSnapshot, Store, WatchLost};
use crate::{
    config::{Config, ROOM_JOIN_BURST_S, room_joins_rate},
    frame::Frame,
    name::{DisplayName, RoomName},
    outbox::NotTaken,
    peer_id::PeerId,
    rate::{Bucket, Rate},
    room::{Member, Room},
    switchboard::{Dismissal, Switchboard},
    tokens::Permission,
};
use watch::Watchers;

/// A room and what the store adds to it.
struct Cell {
    room: Room,
    joins: Bucket,
    /// The last member left: the cell is out of the map or about to be, and nobody joins it any more.
    closed: bool,
    /// The number of the last change that watchers were told.
    last_change: u64,
    /// Whether counters moved since watchers were told.
    active: bool,
}

type SharedCell = Arc<Mutex<Cell>>;
type Rooms = RwLock<BTreeMap<RoomName, SharedCell>>;

/// Rooms in the memory of this process.
pub struct Memory {
    rooms: Arc<Rooms>,
    switchboard: Arc<Switchboard>,
    watchers: Watchers,
    capacity: Capacity,
}

/// How many, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Rooms at one time.
    pub rooms_max: usize,
    /// Peers in a room at one time.
    pub peers_per_room_max: usize,
    /// Joins to one room.
    pub joins_per_room: Option<Rate>,
}

impl Capacity {
    /// As configured.
    pub fn of(config: &Config) -> Self {
        let Config { rooms_max, peers_per_room_max, .. } = *config;
        let joins_per_room = Rate::per_second(room_joins_rate(peers_per_room_max), ROOM_JOIN_BURST_S);
        Self { rooms_max, peers_per_room_max, joins_per_room }
    }
}

impl Memory {
    /// An empty store that delivers through this switchboard.
    pub fn new(switchboard: Arc<Switchboard>, capacity: Capacity) -> Self {
        let (rooms, watchers) = (Arc::default(), Watchers::default());
        Self { rooms, switchboard, watchers, capacity }
    }

    /// Tells watchers, once a second at most, which counters moved. Costs nothing while none do. Ends never.
    pub async fn report_activity(&self) {
        self.watchers.report_activity().await;
    }

    fn cell(&self, name: &str) -> Option<SharedCell> {
        self.rooms.read().get(name).cloned()
    }

    fn cell_or_new(&self, name: &RoomName, by: &Member) -> Result<SharedCell, JoinError> {
        if let Some(cell) = self.cell(name.as_str()) {
            return Ok(cell);
        }
        if !by.may(Permission::Create) {
            return Err(JoinError::NoSuchRoom);
        }
        let mut rooms = self.rooms.write();
        let count = rooms.len();
        match rooms.entry(name.clone()) {
            Entry::Occupied(entry) => Ok(Arc::clone(entry.get())),
            Entry::Vacant(_) if count >= self.capacity.rooms_max => Err(JoinError::TooManyRooms),
            Entry::Vacant(entry) => {
                let room = Room::new(name.clone(), by.joined_at, self.capacity.peers_per_room_max);
                let cell =
                    Cell { room, joins: Bucket::default(), closed: false, last_change: 0, active: false };
                Ok(Arc::clone(entry.insert(Arc::new(Mutex::new(cell)))))
            }
        }
    }

    fn forget(&self, name: &RoomName, closed: &SharedCell) {
        let mut rooms = self.rooms.write();
        if rooms.get(name).is_some_and(|cell| Arc::ptr_eq(cell, closed)) {
            rooms.remove(name);
        }
    }

    fn join_cell(&self, cell: &mut Cell, member: Arc<Member>) -> Result<Vec<Arc<Member>>, JoinError> {
        if cell.room.is_full() {
            return Err(JoinError::RoomFull);
        }
        // Whoever made it is about to enter it, and has not yet.
        if cell.room.is_empty() && !member.may(Permission::Create) {
            return Err(JoinError::NoSuchRoom);
        }
        if let Some(rate) = self.capacity.joins_per_room {
            cell.joins.take(rate, Instant::now()).map_err(JoinError::TooFast)?;
        }
        let before = cell.room.members().to_vec();
        cell.room.join(Arc::clone(&member)).map_err(|_| JoinError::RoomFull)?;
        self.switchboard.deliver(cell.room.others(member.peer_id), &Frame::peer_joined(&member));
        if before.is_empty() {
            self.watchers.tell(cell, |room| {
                Change::Opened(RoomSnapshot { members: Vec::new(), ..RoomSnapshot::from(room) })
            });
        }
        self.watchers.tell(cell, |room| Change::Joined(room.name().clone(), member));
        Ok(before)
    }

    /// Takes members out, one after the other, and the room away if it is empty then.
    fn take_out(
        &self,
        cell: &SharedCell,
        mut locked: MutexGuard<'_, Cell>,
        peers: &[PeerId],
        reason: LeaveReason,
    ) -> usize {
        let mut left = 0;
        for peer_id in peers {
            if locked.room.leave(*peer_id).is_none() {
                continue;
            }
            left += 1;
            self.switchboard.deliver(locked.room.others(*peer_id), &Frame::peer_left(*peer_id, reason));
            self.watchers.tell(&mut locked, |room| Change::Left(room.name().clone(), *peer_id, reason));
        }
        if left > 0 && locked.room.is_empty() {
            locked.closed = true;
            self.watchers.tell(&mut locked, |room| Change::Closed(room.name().clone()));
            let name = locked.room.name().clone();
            drop(locked);
            self.forget(&name, cell);
        }
        left
    }
}

#[async_trait]
impl Store for Memory {
    async fn join(&self, room: &RoomName, member: Arc<Member>) -> Result<Vec<Arc<Member>>, JoinError> {
        loop {
            let cell = self.cell_or_new(room, &member)?;
            let mut locked = cell.lock();
            if !locked.closed {
                return self.join_cell(&mut locked, member);
            }
            // The last member left between the look-up and the lock.
            drop(locked);
            self.forget(room, &cell);
        }
    }

    async fn leave(&self, room: &RoomName, peer_id: PeerId, reason: LeaveReason) -> bool {
        let Some(cell) = self.cell(room.as_str()) else { return false };
        let locked = cell.lock();
        self.take_out(&cell, locked, &[peer_id], reason) > 0
    }

    async fn rename(&self, room: &RoomName, peer_id: PeerId, display_name: DisplayName) {
        let Some(cell) = self.cell(room.as_str()) else { return };
        let mut locked = cell.lock();
        let Some(member) = locked.room.rename(peer_id, display_name).cloned() else { return };
        let everybody = locked.room.members().iter().map(|member| member.peer_id);
        self.switchboard.deliver(everybody, &Frame::peer_updated(&member));
        self.watchers.tell(&mut locked, |room| Change::Updated(room.name().clone(), member));
    }

    async fn set_stream(&self, room: &RoomName, peer_id: PeerId, address: Option<SocketAddr>) {
        let Some(cell) = self.cell(room.as_str()) else { return };
        let mut locked = cell.lock();
        let Some((member, changes)) = locked.room.set_stream(peer_id, address) else { return };
        let member = Arc::clone(member);
        if changes {
            self.switchboard.deliver(locked.room.others(peer_id), &Frame::peer_updated(&member));
        }
        self.watchers.tell(&mut locked, |room| Change::Updated(room.name().clone(), member));
    }

    async fn relay(&self, room: &RoomName, from: PeerId, relay: Relay) -> Result<(), RelayError> {
        let cell = self.cell(room.as_str()).ok_or(RelayError::NoSuchPeer)?;
        let mut locked = cell.lock();
        if !locked.room.may_signal(from, relay.to) {
            return Err(RelayError::NoSuchPeer);
        }
        self.switchboard.deliver_relayed(relay.to, relay.frame).map_err(|reason| match reason {
            NotTaken::Full => RelayError::PeerBusy,
            // Its stream has ended; that it left is about to be told.
            NotTaken::Ended => RelayError::NoSuchPeer,
        })?;
        locked.room.count_relayed(from, relay.to, relay.kind);
        if !locked.active && self.watchers.any() {
            locked.active = true;
            self.watchers.mark_active(Arc::downgrade(&cell));
        }
        Ok(())
    }

    async fn remove(&self, room: &RoomName, peer_id: PeerId, dismissal: Dismissal) -> bool {
        let Some(cell) = self.cell(room.as_str()) else { return false };
        let removed = self.take_out(&cell, cell.lock(), &[peer_id], dismissal.reason) > 0;
        if removed {
            self.switchboard.dismiss(peer_id, &dismissal);
        }
        removed
    }

    async fn close(&self, room: &RoomName, dismissal: Dismissal) -> Option<usize> {
        let cell = self.cell(room.as_str())?;
        let locked = cell.lock();
        let peers: Vec<PeerId> = locked.room.members().iter().map(|member| member.peer_id).collect();
        // Each is dismissed before any is told that another left.
        for peer_id in &peers {
            self.switchboard.dismiss(*peer_id, &dismissal);
        }
        let left = self.take_out(&cell, locked, &peers, dismissal.reason);
        (left > 0).then_some(left)
    }

    async fn room(&self, name: &str) -> Option<RoomSnapshot> {
        let cell = self.cell(name)?;
        let locked = cell.lock();
        (!locked.room.is_empty()).then(|| RoomSnapshot::from(&locked.room))
    }

    async fn page(&self, name_prefix: &str, after: Option<&str>, rooms_max: usize) -> Page {
        let (cells, more) = cells(&self.rooms, name_prefix, after, rooms_max);
        let mut rooms: Vec<_> = cells.iter().map(|cell| RoomSnapshot::from(&cell.lock().room)).collect();
        let next_after = rooms.last().filter(|_| more).map(|room| room.name.clone());
        // Between its look-up and its lock a room may have emptied.
        rooms.retain(|room| !room.members.is_empty());
        Page { rooms, next_after }
    }

    async fn room_count(&self) -> usize {
        self.rooms.read().len()
    }

    async fn watch(&self, name_prefix: String) -> mpsc::Receiver<Result<Change, WatchLost>> {
        watch::start(Arc::clone(&self.rooms), &self.watchers, name_prefix)
    }
}

/// Up to `cells_max` rooms after a name, and whether more follow.
fn cells(rooms: &Rooms, name_prefix: &str, after: Option<&str>, cells_max: usize) -> (Vec<SharedCell>, bool) {
    let start = match after {
        Some(after) if after >= name_prefix => Bound::Excluded(after),
        _ => Bound::Included(name_prefix),
    };
    let rooms = rooms.read();
    let mut matching = rooms
        .range::<str, _>((start, Bound::Unbounded))
        .take_while(|(name, _)| name.as_str().starts_with(name_prefix))
        .map(|(_, cell)| Arc::clone(cell));
    let cells = matching.by_ref().take(cells_max).collect();
    (cells, matching.next().is_some())
}

impl From<&Room> for RoomSnapshot {
    fn from(room: &Room) -> Self {
        Self {
            name: room.name().clone(),
            created_at: room.created_at(),
            members: room.members().to_vec(),
            counters: room.counters(),
        }
    }
}

#[cfg(test)]
mod tests;
