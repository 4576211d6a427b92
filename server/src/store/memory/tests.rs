//! The memory store with real outboxes against a reference that keeps plain lists: membership, capacity,
//! who is told what and in which order.

use std::{
    collections::{BTreeMap, HashMap},
    task::{Context, Poll, Waker},
};

use patchcord_proto::v1::{SignalResponse, signal_response::Message as Told};
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::{
    metrics::Metrics,
    outbox::Outbox,
    room::{Counters, RelayKind},
    switchboard::Line,
};

const ROOMS_MAX: usize = 3;
const PEERS_MAX: usize = 3;

fn name(text: &str) -> RoomName {
    RoomName::parse(text, 128).unwrap()
}

/// A stream that is read at once.
struct Stream {
    peer_id: PeerId,
    outbox: Arc<Outbox>,
    _line: Line,
}

struct World {
    switchboard: Arc<Switchboard>,
    store: Memory,
}

impl World {
    fn new(rooms_max: usize, peers_max: usize) -> Self {
        let switchboard = Switchboard::new(Arc::new(Metrics::default()));
        let store = Memory::new(Arc::clone(&switchboard), rooms_max, peers_max);
        Self { switchboard, store }
    }

    async fn join(&self, room: &str) -> Result<(Stream, Vec<PeerId>), JoinError> {
        let outbox = Outbox::new();
        let (peer_id, line) = self.switchboard.connect(Arc::clone(&outbox)).unwrap();
        let display_name = DisplayName::parse("somebody", 64).unwrap();
        let (user_agent, address) = ("".into(), ([127, 0, 0, 1], 1).into());
        let member = Member { peer_id, display_name, user_agent, address, joined_at: SystemTime::UNIX_EPOCH };
        outbox.hold();
        let roster = self.store.join(&name(room), Arc::new(member)).await?;
        outbox.open(Frame::pong(0));
        let stream = Stream { peer_id, outbox, _line: line };
        Ok((stream, roster.iter().map(|member| member.peer_id).collect()))
    }

    async fn relay(&self, room: &str, from: PeerId, to: PeerId, text: &str) -> Result<(), RelayError> {
        let told = patchcord_proto::v1::signal_response::Offer {
            from_peer_id: from.to_string(),
            sdp: text.to_owned(),
        };
        let frame = Frame::relayed(Told::Offer(told), tokio::time::Instant::now());
        self.store.relay(&name(room), from, Relay { to, kind: RelayKind::Offer, frame }).await
    }
}

/// What a peer was told, as the reference would write it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Note {
    Opened,
    Came(String),
    Left(String, LeaveReason),
    Offered(String, String),
    SentAway,
}

impl Stream {
    fn told(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(Ok(outgoing))) = self.outbox.poll_next(&mut context) {
            let told = SignalResponse::decode(outgoing.body).unwrap().message.unwrap();
            notes.push(match told {
                Told::Pong(_) => Note::Opened,
                Told::PeerJoined(joined) => Note::Came(joined.peer.unwrap().peer_id),
                Told::PeerLeft(left) => Note::Left(left.peer_id.clone(), left.reason()),
                Told::Offer(offer) => Note::Offered(offer.from_peer_id, offer.sdp),
                Told::GoAway(_) => Note::SentAway,
                other => panic!("{other:?}"),
            });
        }
        notes
    }
}

#[derive(Clone, Debug)]
enum Step {
    Join(usize),
    Leave(usize),
    Relay(usize, usize),
    Remove(usize),
    Close(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..5usize).prop_map(Step::Join),
        1 => any::<usize>().prop_map(Step::Leave),
        4 => (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Step::Relay(from, to)),
        1 => any::<usize>().prop_map(Step::Remove),
        1 => (0..5usize).prop_map(Step::Close),
    ]
}

const ROOM_NAMES: [&str; 5] = ["a", "ab", "b", "ba", "c"];

/// Plain lists: who is where, in order, and what each should have been told.
#[derive(Default)]
struct Reference {
    rooms: BTreeMap<&'static str, Vec<PeerId>>,
    notes: HashMap<PeerId, Vec<Note>>,
}

impl Reference {
    fn room_of(&self, peer_id: PeerId) -> Option<&'static str> {
        self.rooms.iter().find(|(_, members)| members.contains(&peer_id)).map(|(name, _)| *name)
    }

    fn take_out(&mut self, peer_id: PeerId, reason: LeaveReason) {
        let Some(room) = self.room_of(peer_id) else { return };
        let members = self.rooms.get_mut(room).unwrap();
        members.retain(|member| *member != peer_id);
        for member in members.iter() {
            self.notes.entry(*member).or_default().push(Note::Left(peer_id.to_string(), reason));
        }
        if members.is_empty() {
            self.rooms.remove(room);
        }
    }
}

async fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let world = World::new(ROOMS_MAX, PEERS_MAX);
    let mut reference = Reference::default();
    let mut streams: Vec<Stream> = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Join(room) => {
                let room = ROOM_NAMES[room];
                let expected = match reference.rooms.get(room) {
                    Some(members) if members.len() == PEERS_MAX => Err(JoinError::RoomFull),
                    Some(members) => Ok(members.clone()),
                    None if reference.rooms.len() == ROOMS_MAX => Err(JoinError::TooManyRooms),
                    None => Ok(vec![]),
                };
                let joined = world.join(room).await;
                prop_assert_eq!(
                    joined.as_ref().map(|(_, roster)| roster.clone()).map_err(|error| *error),
                    expected
                );
                if let Ok((stream, roster)) = joined {
                    for member in roster {
                        let came = Note::Came(stream.peer_id.to_string());
                        reference.notes.entry(member).or_default().push(came);
                    }
                    reference.rooms.entry(room).or_default().push(stream.peer_id);
                    reference.notes.insert(stream.peer_id, vec![Note::Opened]);
                    streams.push(stream);
                }
            }
            _ if streams.is_empty() => {}
            Step::Leave(index) => {
                let peer_id = streams[index % streams.len()].peer_id;
                let room = reference.room_of(peer_id);
                let left = world.store.leave(&name(room.unwrap_or("a")), peer_id, LeaveReason::Left).await;
                prop_assert_eq!(left, room.is_some());
                reference.take_out(peer_id, LeaveReason::Left);
            }
            Step::Relay(from, to) => {
                let (from, to) = (streams[from % streams.len()].peer_id, streams[to % streams.len()].peer_id);
                let room = reference.room_of(from);
                let text = number.to_string();
                let relayed = world.relay(room.unwrap_or("a"), from, to, &text).await;
                let may = from != to && room.is_some() && room == reference.room_of(to);
                prop_assert_eq!(relayed, if may { Ok(()) } else { Err(RelayError::NoSuchPeer) });
                if may {
                    reference.notes.entry(to).or_default().push(Note::Offered(from.to_string(), text));
                }
            }
            Step::Remove(index) => {
                let peer_id = streams[index % streams.len()].peer_id;
                let room = reference.room_of(peer_id);
                let dismissal = Dismissal { reason: LeaveReason::Removed, message: String::new() };
                let removed = world.store.remove(&name(room.unwrap_or("a")), peer_id, dismissal).await;
                prop_assert_eq!(removed, room.is_some());
                if removed {
                    reference.take_out(peer_id, LeaveReason::Removed);
                    reference.notes.entry(peer_id).or_default().push(Note::SentAway);
                }
            }
            Step::Close(room) => {
                let room = ROOM_NAMES[room];
                let dismissal = Dismissal { reason: LeaveReason::RoomClosed, message: String::new() };
                let closed = world.store.close(&name(room), dismissal).await;
                let members = reference.rooms.remove(room);
                prop_assert_eq!(closed, members.as_ref().map(Vec::len));
                for member in members.into_iter().flatten() {
                    reference.notes.entry(member).or_default().push(Note::SentAway);
                }
            }
        }
        check(&world, &mut reference, &streams).await?;
    }
    Ok(())
}

async fn check(world: &World, reference: &mut Reference, streams: &[Stream]) -> Result<(), TestCaseError> {
    for stream in streams {
        let expected = reference.notes.remove(&stream.peer_id).unwrap_or_default();
        prop_assert_eq!(stream.told(), expected);
    }
    let page = world.store.page("", None, 10).await;
    let rooms: BTreeMap<&str, Vec<PeerId>> = page
        .rooms
        .iter()
        .map(|room| (room.name.as_str(), room.members.iter().map(|member| member.peer_id).collect()))
        .collect();
    prop_assert_eq!(&rooms, &reference.rooms);
    prop_assert_eq!(world.store.room_count().await, reference.rooms.len());
    Ok(())
}

proptest! {
    #[test]
    fn everybody_is_told_exactly_what_happened_in_their_room(steps in prop::collection::vec(any_step(), 0..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(steps))?;
    }

    #[test]
    fn pages_hold_every_matching_room_once_in_order(
        names in prop::collection::btree_set("[ab]{1,4}", 0..20), prefix in "[ab]{0,2}", size in 1..7usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let listed: Vec<String> = runtime.block_on(async {
            let world = World::new(100, 2);
            let mut streams = Vec::new();
            for name in &names {
                streams.push(world.join(name).await.unwrap());
            }
            let mut listed: Vec<String> = Vec::new();
            loop {
                let page = world.store.page(&prefix, listed.last().map(String::as_str), size).await;
                listed.extend(page.rooms.iter().map(|room| room.name.as_str().to_owned()));
                if !page.more {
                    return listed;
                }
            }
        });
        let expected: Vec<String> = names.into_iter().filter(|name| name.starts_with(&prefix)).collect();
        prop_assert_eq!(listed, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_joins_and_leaves_keep_capacity_and_leave_nothing_behind() {
    let world = Arc::new(World::new(2, 4));
    let racers: Vec<_> = (0..8)
        .map(|racer| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let mut joins = 0;
                for round in 0..500 {
                    let room = ROOM_NAMES[(racer + round) % 3];
                    if let Ok((stream, roster)) = world.join(room).await {
                        assert!(roster.len() < 4 && !roster.contains(&stream.peer_id));
                        joins += 1;
                        assert!(world.store.leave(&name(room), stream.peer_id, LeaveReason::Left).await);
                    }
                }
                joins
            })
        })
        .collect();
    let mut joins = 0;
    for racer in racers {
        joins += racer.await.unwrap();
    }
    assert!(joins >= 500, "{joins}");
    assert_eq!(world.store.room_count().await, 0);
}

/// What a watcher knows, kept as a client would keep it; panics at a gap or a repetition.
#[derive(Default)]
struct View {
    rooms: BTreeMap<String, Vec<PeerId>>,
    synced: bool,
}

impl View {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Opened(room) => {
                let members = room.members.iter().map(|member| member.peer_id).collect();
                assert!(self.rooms.insert(room.name.as_str().to_owned(), members).is_none(), "opened twice");
            }
            Change::Synced => assert!(!std::mem::replace(&mut self.synced, true), "synced twice"),
            Change::Joined(room, member) => {
                let members = self.rooms.get_mut(room.as_str()).expect("joined an unknown room");
                assert!(!members.contains(&member.peer_id), "joined twice");
                members.push(member.peer_id);
            }
            Change::Left(room, peer_id, _) => {
                let members = self.rooms.get_mut(room.as_str()).expect("left an unknown room");
                let index = members.iter().position(|member| *member == peer_id).expect("left twice");
                members.remove(index);
            }
            Change::Closed(room) => {
                let members = self.rooms.remove(room.as_str()).expect("closed an unknown room");
                assert!(members.is_empty(), "closed with members");
            }
            Change::Updated(..) | Change::Activity(..) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_starts_amid_changes_misses_and_repeats_none() {
    for _ in 0..20 {
        let world = Arc::new(World::new(1_000, 4));
        let stirring: Vec<_> = (0..3)
            .map(|stirrer| {
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    let mut kept = Vec::new();
                    for round in 0..200 {
                        let room = format!("room-{}", (stirrer * 7 + round * 3) % 40);
                        let Ok((stream, _)) = world.join(&room).await else { continue };
                        if round % 3 == 0 {
                            kept.push(stream);
                        } else {
                            world.store.leave(&name(&room), stream.peer_id, LeaveReason::Left).await;
                        }
                    }
                    kept
                })
            })
            .collect();
        let mut changes = world.store.watch("room-".to_owned()).await;
        let mut kept = Vec::new();
        for stirrer in stirring {
            kept.extend(stirrer.await.unwrap());
        }
        let mut view = View::default();
        while !view.synced {
            view.apply(changes.recv().await.unwrap().unwrap());
        }
        // The last change: once it is told as one, all before it have been.
        let (_last, _) = world.join("room-last").await.unwrap();
        while view.rooms.get("room-last").is_none_or(Vec::is_empty) {
            view.apply(changes.recv().await.unwrap().unwrap());
        }
        let page = world.store.page("room-", None, 1_000).await;
        let rooms = page.rooms.iter().map(|room| {
            let members = room.members.iter().map(|member| member.peer_id).collect();
            (room.name.as_str().to_owned(), members)
        });
        assert_eq!(view.rooms, rooms.collect());
    }
}

#[tokio::test(start_paused = true)]
async fn activity_is_told_once_a_second_and_only_when_there_was_some() {
    let world = Arc::new(World::new(10, 4));
    let reporting = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.store.report_activity().await }
    });
    let (one, _) = world.join("lobby").await.unwrap();
    let (other, _) = world.join("lobby").await.unwrap();
    let mut changes = world.store.watch(String::new()).await;
    assert!(matches!(changes.recv().await, Some(Ok(Change::Opened(_)))));
    assert!(matches!(changes.recv().await, Some(Ok(Change::Synced))));
    for second in 1..=3 {
        let start = tokio::time::Instant::now();
        for _ in 0..10 {
            world.relay("lobby", one.peer_id, other.peer_id, "v=0").await.unwrap();
        }
        match changes.recv().await.unwrap().unwrap() {
            Change::Activity(_, Counters { offers, .. }) => assert_eq!(offers, second * 10),
            change => panic!("{change:?}"),
        }
        assert!(start.elapsed().as_millis() >= 1_000);
        other.told();
    }
    // Nothing moves: nothing is told, and what comes next is the next change.
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    world.store.leave(&name("lobby"), one.peer_id, LeaveReason::Left).await;
    assert!(matches!(changes.recv().await, Some(Ok(Change::Left(..)))));
    reporting.abort();
}

#[tokio::test]
async fn a_watcher_that_does_not_keep_up_is_told_so() {
    let world = World::new(10, 4);
    let mut changes = world.store.watch(String::new()).await;
    assert!(matches!(changes.recv().await, Some(Ok(Change::Synced))));
    for _ in 0..4_000 {
        let (stream, _) = world.join("lobby").await.unwrap();
        world.store.leave(&name("lobby"), stream.peer_id, LeaveReason::Left).await;
    }
    let mut last = None;
    while let Some(change) = changes.recv().await {
        last = Some(change);
    }
    assert!(matches!(last, Some(Err(WatchLost))), "{last:?}");
}
