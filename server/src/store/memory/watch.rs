//! Watching rooms: a snapshot, then changes, without a gap or a repetition between them. Each change has
//! a number, and each room remembers the number of its last, so a watcher knows which changes its
//! snapshot already holds.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast, mpsc};

use super::{Cell, Rooms, cells};
use crate::{
    name::RoomName,
    room::Room,
    store::{Change, RoomSnapshot, WatchLost},
};

/// Changes that a watcher may be behind.
const BACKLOG_MAX: usize = 8_192;
/// Rooms of the snapshot read at a time.
const SNAPSHOT_ROOMS: usize = 256;
/// Changes between the watch and the stream it feeds.
const FEED_MAX: usize = 64;
/// How often a room's counters are told.
const ACTIVITY_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Numbered {
    number: u64,
    change: Arc<Change>,
}

/// Everybody who watches.
pub struct Watchers {
    changes: broadcast::Sender<Numbered>,
    last_number: AtomicU64,
    active: Mutex<Vec<Weak<Mutex<Cell>>>>,
    became_active: Notify,
}

impl Default for Watchers {
    fn default() -> Self {
        let (changes, _) = broadcast::channel(BACKLOG_MAX);
        Self {
            changes,
            last_number: AtomicU64::new(0),
            active: Mutex::default(),
            became_active: Notify::new(),
        }
    }
}

impl Watchers {
    /// Whether anybody watches.
    pub fn any(&self) -> bool {
        self.changes.receiver_count() > 0
    }

    /// Tells a change of a room; the caller holds its lock, so for one room numbers rise in order.
    pub fn tell(&self, cell: &mut Cell, change: impl FnOnce(&Room) -> Change) {
        if self.any() {
            cell.last_change = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
            let change = Arc::new(change(&cell.room));
            // Fails only when the last watcher has just gone.
            let _ = self.changes.send(Numbered { number: cell.last_change, change });
        }
    }

    /// Has a room's counters told soon. At most one entry a room, kept by the room's own mark.
    pub fn mark_active(&self, cell: Weak<Mutex<Cell>>) {
        self.active.lock().push(cell);
        self.became_active.notify_one();
    }

    /// See `Memory::report_activity`.
    pub async fn report_activity(&self) {
        loop {
            self.became_active.notified().await;
            tokio::time::sleep(ACTIVITY_INTERVAL).await;
            let active = std::mem::take(&mut *self.active.lock());
            for cell in active.iter().filter_map(Weak::upgrade) {
                let mut cell = cell.lock();
                cell.active = false;
                if !cell.closed {
                    self.tell(&mut cell, |room| Change::Activity(room.name().clone(), room.counters()));
                }
            }
        }
    }
}

/// Starts a watch; the task that feeds it ends with its receiver.
pub fn start(
    rooms: Arc<Rooms>,
    watchers: &Watchers,
    name_prefix: String,
) -> mpsc::Receiver<Result<Change, WatchLost>> {
    let (feed, receiver) = mpsc::channel(FEED_MAX);
    // Subscribed before the snapshot is read: nothing can fall between.
    let changes = watchers.changes.subscribe();
    let watch =
        Watch { rooms, changes, name_prefix, known: HashMap::new(), page: VecDeque::new(), after: None };
    tokio::spawn(watch.run(feed));
    receiver
}

struct Watch {
    rooms: Arc<Rooms>,
    changes: broadcast::Receiver<Numbered>,
    name_prefix: String,
    /// The rooms the watcher was told of, with the number of the last change in what it was told.
    known: HashMap<RoomName, u64>,
    page: VecDeque<RoomSnapshot>,
    after: Option<RoomName>,
}

impl Watch {
    async fn run(mut self, feed: mpsc::Sender<Result<Change, WatchLost>>) {
        while self.read_page() {
            while let Some(room) = self.page.pop_front() {
                if feed.send(Ok(Change::Opened(room))).await.is_err() {
                    return;
                }
            }
        }
        if feed.send(Ok(Change::Synced)).await.is_err() {
            return;
        }
        loop {
            let next = tokio::select! {
                () = feed.closed() => return,
                next = self.changes.recv() => next,
            };
            let item = match next {
                Ok(numbered) if self.is_news(&numbered) => Ok(Change::clone(&numbered.change)),
                Ok(_) => continue,
                Err(broadcast::error::RecvError::Lagged(_)) => Err(WatchLost),
                Err(broadcast::error::RecvError::Closed) => return,
            };
            let lost = item.is_err();
            if feed.send(item).await.is_err() || lost {
                return;
            }
        }
    }

    /// Reads the next rooms of the snapshot; whether there were any.
    fn read_page(&mut self) -> bool {
        let after = self.after.as_ref().map(RoomName::as_str);
        let (cells, _) = cells(&self.rooms, &self.name_prefix, after, SNAPSHOT_ROOMS);
        for cell in &cells {
            let cell = cell.lock();
            self.after = Some(cell.room.name().clone());
            // An empty room is about to open or has closed; both are told as changes.
            if !cell.room.is_empty() {
                self.known.insert(cell.room.name().clone(), cell.last_change);
                self.page.push_back(RoomSnapshot::from(&cell.room));
            }
        }
        !cells.is_empty()
    }

    /// Whether the watcher does not know this yet, and knows the room it is about.
    fn is_news(&mut self, numbered: &Numbered) -> bool {
        let name = match &*numbered.change {
            Change::Opened(room) => &room.name,
            Change::Joined(name, _)
            | Change::Updated(name, _)
            | Change::Left(name, ..)
            | Change::Activity(name, _)
            | Change::Closed(name) => name,
            Change::Synced => return false,
        };
        if !name.as_str().starts_with(&self.name_prefix) {
            return false;
        }
        let is_news = match self.known.get(name) {
            Some(told) => numbered.number > *told,
            None => matches!(*numbered.change, Change::Opened(_)),
        };
        if is_news {
            match &*numbered.change {
                Change::Opened(_) => drop(self.known.insert(name.clone(), numbered.number)),
                Change::Closed(_) => drop(self.known.remove(name)),
                _ => {}
            }
        }
        is_news
    }
}
