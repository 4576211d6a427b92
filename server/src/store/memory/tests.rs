//! The memory store with real outboxes against a reference that keeps plain lists: membership, capacity,
//! who is told what and in which order.

use std::{
    collections::{BTreeMap, HashMap},
    task::{Context, Poll, Waker},
    time::Duration,
};

use patchcord_proto::v1::{SignalResponse, signal_response::Message as Told};
use proptest::prelude::*;
use prost::Message;

use std::time::SystemTime;

use super::*;
use crate::{metrics::Metrics, outbox::Outbox, room::RelayKind, switchboard::Line};

mod watch;

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
        let capacity = Capacity { rooms_max, peers_per_room_max: peers_max, joins_per_room: None };
        let store = Memory::new(Arc::clone(&switchboard), capacity);
        Self { switchboard, store }
    }

    async fn join(&self, room: &str) -> Result<(Stream, Vec<PeerId>), JoinError> {
        let outbox = Outbox::new();
        let (peer_id, line) = self.switchboard.connect(Arc::clone(&outbox)).unwrap();
        let display_name = DisplayName::parse("somebody", 64).unwrap();
        let (user_agent, address) = ("".into(), ([127, 0, 0, 1], 1).into());
        let member = Member {
            peer_id,
            display_name,
            user_agent,
            address,
            joined_at: SystemTime::UNIX_EPOCH,
            attached: true,
            grant: None,
        };
        outbox.hold();
        let roster = self.store.join(&name(room), Arc::new(member)).await?;
        outbox.open(Frame::pong(0), true);
        let stream = Stream { peer_id, outbox, _line: line };
        Ok((stream, roster.iter().map(|member| member.peer_id).collect()))
    }

    async fn relay(&self, room: &str, from: PeerId, to: PeerId, text: &str) -> Result<(), RelayError> {
        let told = patchcord_proto::v1::signal_response::Offer {
            from_peer_id: from.to_string(),
            sdp: text.to_owned(),
        };
        let frame = Frame::relayed(from, Told::Offer(told), tokio::time::Instant::now());
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
        while let Poll::Ready(Some(Ok(outgoing))) = self.outbox.poll_next(0, &mut context) {
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

/// The store and the reference side by side.
struct Play {
    world: World,
    reference: Reference,
    streams: Vec<Stream>,
}

impl Play {
    fn peer(&self, index: usize) -> PeerId {
        self.streams[index % self.streams.len()].peer_id
    }

    async fn step(&mut self, number: usize, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Join(room) => self.join(ROOM_NAMES[room]).await?,
            Step::Close(room) => self.close(ROOM_NAMES[room]).await?,
            _ if self.streams.is_empty() => {}
            Step::Leave(index) => self.leave(self.peer(index)).await?,
            Step::Relay(from, to) => self.relay(self.peer(from), self.peer(to), number.to_string()).await?,
            Step::Remove(index) => self.remove(self.peer(index)).await?,
        }
        check(&self.world, &mut self.reference, &self.streams).await
    }

    async fn join(&mut self, room: &'static str) -> Result<(), TestCaseError> {
        let reference = &mut self.reference;
        let expected = match reference.rooms.get(room) {
            Some(members) if members.len() == PEERS_MAX => Err(JoinError::RoomFull),
            Some(members) => Ok(members.clone()),
            None if reference.rooms.len() == ROOMS_MAX => Err(JoinError::TooManyRooms),
            None => Ok(vec![]),
        };
        let joined = self.world.join(room).await;
        prop_assert_eq!(joined.as_ref().map(|(_, roster)| roster.clone()).map_err(|error| *error), expected);
        if let Ok((stream, roster)) = joined {
            for member in roster {
                let came = Note::Came(stream.peer_id.to_string());
                reference.notes.entry(member).or_default().push(came);
            }
            reference.rooms.entry(room).or_default().push(stream.peer_id);
            reference.notes.insert(stream.peer_id, vec![Note::Opened]);
            self.streams.push(stream);
        }
        Ok(())
    }

    async fn leave(&mut self, peer_id: PeerId) -> Result<(), TestCaseError> {
        let room = self.reference.room_of(peer_id);
        let left = self.world.store.leave(&name(room.unwrap_or("a")), peer_id, LeaveReason::Left).await;
        prop_assert_eq!(left, room.is_some());
        self.reference.take_out(peer_id, LeaveReason::Left);
        Ok(())
    }

    async fn relay(&mut self, from: PeerId, to: PeerId, text: String) -> Result<(), TestCaseError> {
        let room = self.reference.room_of(from);
        let relayed = self.world.relay(room.unwrap_or("a"), from, to, &text).await;
        let may = from != to && room.is_some() && room == self.reference.room_of(to);
        prop_assert_eq!(relayed, if may { Ok(()) } else { Err(RelayError::NoSuchPeer) });
        if may {
            self.reference.notes.entry(to).or_default().push(Note::Offered(from.to_string(), text));
        }
        Ok(())
    }

    async fn remove(&mut self, peer_id: PeerId) -> Result<(), TestCaseError> {
        let room = self.reference.room_of(peer_id);
        let dismissal = Dismissal { reason: LeaveReason::Removed, message: String::new() };
        let removed = self.world.store.remove(&name(room.unwrap_or("a")), peer_id, dismissal).await;
        prop_assert_eq!(removed, room.is_some());
        if removed {
            self.reference.take_out(peer_id, LeaveReason::Removed);
            self.reference.notes.entry(peer_id).or_default().push(Note::SentAway);
        }
        Ok(())
    }

    async fn close(&mut self, room: &'static str) -> Result<(), TestCaseError> {
        let dismissal = Dismissal { reason: LeaveReason::RoomClosed, message: String::new() };
        let closed = self.world.store.close(&name(room), dismissal).await;
        let members = self.reference.rooms.remove(room);
        prop_assert_eq!(closed, members.as_ref().map(Vec::len));
        for member in members.into_iter().flatten() {
            self.reference.notes.entry(member).or_default().push(Note::SentAway);
        }
        Ok(())
    }
}

async fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let world = World::new(ROOMS_MAX, PEERS_MAX);
    let mut play = Play { world, reference: Reference::default(), streams: Vec::new() };
    for (number, step) in steps.into_iter().enumerate() {
        play.step(number, step).await?;
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
            let (mut listed, mut after) = (Vec::new(), None::<RoomName>);
            loop {
                let page = world.store.page(&prefix, after.as_ref().map(RoomName::as_str), size).await;
                assert!(page.rooms.len() <= size);
                listed.extend(page.rooms.iter().map(|room| room.name.as_str().to_owned()));
                after = page.next_after;
                if after.is_none() {
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

#[tokio::test]
async fn who_does_not_read_is_not_ended_by_those_who_come_and_go() {
    let world = World::new(1, 64);
    let (reader, _) = world.join("a").await.unwrap();
    assert_eq!(reader.told(), [Note::Opened]);
    let (stayer, _) = world.join("a").await.unwrap();
    let mut passers = Vec::new();
    for _ in 0..10_000 {
        let (passer, _) = world.join("a").await.unwrap();
        let _ = world.relay("a", passer.peer_id, reader.peer_id, "unread").await;
        passers.push(passer);
        if passers.len() == 62 {
            for passer in passers.drain(..) {
                assert!(world.store.leave(&name("a"), passer.peer_id, LeaveReason::Left).await);
            }
        }
    }
    world.relay("a", stayer.peer_id, reader.peer_id, "hello").await.unwrap();
    assert_eq!(reader.outbox.condition().ended, None);
    let notes = reader.told();
    assert!(notes.len() <= 256, "{}", notes.len());
    // Of who came and left before it looked it knows nothing; of who is here, everything.
    let came: Vec<_> = notes.iter().filter(|note| matches!(note, Note::Came(_))).collect();
    assert_eq!(came.len(), 1 + passers.len());
    assert!(!notes.iter().any(|note| matches!(note, Note::Left(..))), "{notes:?}");
    assert!(notes.contains(&Note::Offered(stayer.peer_id.to_string(), "hello".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_room_takes_joins_at_its_pace() {
    let switchboard = Switchboard::new(Arc::new(Metrics::default()));
    let config = Config { peers_per_room_max: 2, ..Config::default() };
    let store = Memory::new(Arc::clone(&switchboard), Capacity::of(&config));
    let world = World { switchboard, store };
    let _stayer = world.join("a").await.unwrap();
    for _ in 1..8 {
        let (passer, _) = world.join("a").await.unwrap();
        world.store.leave(&name("a"), passer.peer_id, LeaveReason::Left).await;
    }
    let Err(JoinError::TooFast(wait)) = world.join("a").await else { panic!("a ninth at once") };
    assert_eq!(wait, Duration::from_secs(1));
    world.join("b").await.unwrap();
    tokio::time::advance(wait).await;
    world.join("a").await.unwrap();
}
