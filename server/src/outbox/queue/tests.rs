//! A queue against the room that it tells of: whatever is overtaken, a reader knows the room in the end, is
//! told of nobody twice, and hears nobody that it does not know.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use patchcord_proto::v1::{
    LeaveReason, SignalResponse,
    signal_response::{Message as Told, Offer},
};
use proptest::prelude::*;
use prost::Message;
use tokio::time::Instant;

use super::*;
use crate::{config::Config, name::DisplayName, room::Member};

/// Of the room, the reader among them.
const PEERS_MAX: usize = 6;

fn member(peer_id: PeerId, display_name: &str) -> Member {
    Member {
        peer_id,
        display_name: DisplayName::parse(display_name, 64).unwrap(),
        user_agent: "".into(),
        address: ([127, 0, 0, 1], 1).into(),
        joined_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1),
        attached: true,
        grant: None,
    }
}

fn peer(number: u32) -> PeerId {
    let mut bits = [0; 10];
    bits[..4].copy_from_slice(&number.to_be_bytes());
    PeerId::from_bits(bits)
}

fn offer(from: PeerId, sdp: &str) -> Frame {
    let told = Told::Offer(Offer { from_peer_id: from.to_string(), sdp: sdp.to_owned() });
    Frame::relayed(from, told, Instant::now())
}

fn told(frame: Frame) -> Told {
    SignalResponse::decode(frame.body).unwrap().message.unwrap()
}

/// Who reads: knows what it was told, and objects to what cannot be.
#[derive(Default)]
struct Reader {
    known: BTreeMap<String, String>,
    last_offers: BTreeMap<String, u64>,
    heard: usize,
}

impl Reader {
    fn read(&mut self, frame: Frame) {
        self.heard += 1;
        match told(frame) {
            Told::PeerJoined(joined) => {
                let peer = joined.peer.unwrap();
                assert!(self.known.insert(peer.peer_id, peer.display_name).is_none(), "came twice");
            }
            Told::PeerUpdated(updated) => {
                let peer = updated.peer.unwrap();
                assert!(self.known.insert(peer.peer_id, peer.display_name).is_some(), "changed unknown");
            }
            Told::PeerLeft(left) => assert!(self.known.remove(&left.peer_id).is_some(), "left unknown"),
            Told::Offer(offer) => {
                assert!(self.known.contains_key(&offer.from_peer_id), "heard of nobody");
                let number = offer.sdp.parse().unwrap();
                let last = self.last_offers.insert(offer.from_peer_id, number);
                assert!(last.is_none_or(|last| last < number), "out of order");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Come,
    Leave(usize),
    Change(usize, u8),
    Relay(usize),
    Take,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Come),
        2 => any::<usize>().prop_map(Step::Leave),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(index, name)| Step::Change(index, name)),
        2 => any::<usize>().prop_map(Step::Relay),
        2 => Just(Step::Take),
    ]
}

/// A room of which one peer reads from a queue.
struct Play {
    queue: Queue,
    reader: Reader,
    room: Vec<(PeerId, String)>,
    came: u32,
    relayed: u64,
}

impl Play {
    fn step(&mut self, step: Step) {
        let index = |index: usize| index % self.room.len();
        match step {
            Step::Take => {
                if let Some(frame) = self.queue.take() {
                    self.reader.read(frame);
                }
            }
            Step::Come if self.room.len() == PEERS_MAX - 1 => {}
            Step::Come => {
                self.came += 1;
                self.room.push((peer(self.came), "new".to_owned()));
                self.queue.put(Frame::peer_joined(&member(peer(self.came), "new")));
            }
            _ if self.room.is_empty() => {}
            Step::Leave(at) => {
                let (peer_id, _) = self.room.remove(index(at));
                self.queue.put(Frame::peer_left(peer_id, LeaveReason::Left));
            }
            Step::Change(at, name) => {
                let at = index(at);
                self.room[at].1 = name.to_string();
                self.queue.put(Frame::peer_updated(&member(self.room[at].0, &name.to_string())));
            }
            Step::Relay(at) => {
                self.relayed += 1;
                let frame = offer(self.room[index(at)].0, &self.relayed.to_string());
                if self.queue.fits(&frame) {
                    self.queue.put(frame);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_overtaken_the_reader_knows_the_room(steps in prop::collection::vec(any_step(), 0..600)) {
        let (queue, reader) = (Queue::default(), Reader::default());
        let mut play = Play { queue, reader, room: Vec::new(), came: 0, relayed: 0 };
        for step in steps {
            play.step(step);
            let news = play.queue.waiting.iter().filter(|frame| !frame.about.takes_room()).count();
            prop_assert!(news <= 2 * (PEERS_MAX - 1), "{news} wait");
            let relayed: Vec<_> = play.queue.waiting.iter().filter(|frame| frame.about.takes_room()).collect();
            prop_assert_eq!(relayed.len(), play.queue.messages);
            prop_assert_eq!(relayed.iter().map(|frame| frame.cost_bytes()).sum::<usize>(), play.queue.bytes);
        }
        while let Some(frame) = play.queue.take() {
            play.reader.read(frame);
        }
        let room: BTreeMap<_, _> =
            play.room.iter().map(|(peer_id, name)| (peer_id.to_string(), name.clone())).collect();
        prop_assert_eq!(play.reader.known, room);
        prop_assert_eq!((play.queue.messages, play.queue.bytes), (0, 0));
    }
}

/// The most that can wait: a room of the largest names has been told of, everybody else has left and as many
/// have come, and there is all that may be relayed.
#[test]
fn the_most_that_can_wait_is_what_peers_are_told() {
    for peers_per_room_max in [2, 64, 1_000] {
        let config = Config { peers_per_room_max, ..Config::default() };
        let others = u32::try_from(peers_per_room_max).unwrap() - 1;
        let name = "x".repeat(64);
        let mut queue = Queue::default();
        for number in 0..others {
            queue.put(Frame::peer_joined(&member(peer(number), &name)));
        }
        while queue.take().is_some() {}
        for number in 0..others {
            queue.put(Frame::peer_left(peer(number), LeaveReason::ServerShutdown));
            queue.put(Frame::peer_joined(&member(peer(others + number), &name)));
        }
        let waiting = queue.waiting.len();
        assert_eq!(waiting, 2 * others as usize);
        // Churn and changes add nothing.
        for number in 0..1_000 {
            let other = peer(others + number % others);
            queue.put(Frame::peer_updated(&member(other, &name)));
            let passing = peer(1_000_000 + number);
            queue.put(Frame::peer_joined(&member(passing, &name)));
            queue.put(offer(passing, &name));
            queue.put(Frame::peer_left(passing, LeaveReason::Left));
        }
        assert_eq!(queue.waiting.len(), waiting);
        for sdp_bytes in [1, 16 * 1024] {
            let relayed = offer(peer(others), &"x".repeat(sdp_bytes));
            while queue.fits(&relayed) {
                queue.put(relayed.clone());
            }
        }
        let bytes: usize = queue.waiting.iter().map(Frame::cost_bytes).sum();
        let (messages_max, bytes_max) = (config.outbox_messages_max(), config.outbox_bytes_max());
        assert!(queue.waiting.len() + 8 <= messages_max, "{} of {messages_max}", queue.waiting.len());
        assert!(bytes + 16 * 1024 <= bytes_max, "{bytes} of {bytes_max}");
    }
}

#[test]
fn new_ice_servers_overtake_earlier_ones() {
    let mut queue = Queue::default();
    for _ in 0..1_000 {
        queue.put(Frame::ice_servers_updated(Default::default()));
    }
    assert_eq!((queue.waiting.len(), queue.messages), (1, 1));
}

#[test]
fn what_is_taken_is_overtaken_no_more() {
    let mut queue = Queue::default();
    queue.put(Frame::peer_joined(&member(peer(1), "a")));
    assert!(matches!(queue.take().map(told), Some(Told::PeerJoined(_))));
    queue.put(Frame::peer_updated(&member(peer(1), "b")));
    queue.put(offer(peer(1), "1"));
    queue.put(Frame::peer_updated(&member(peer(1), "c")));
    // The change does not matter any more; what it sent does.
    queue.put(Frame::peer_left(peer(1), LeaveReason::Left));
    assert!(matches!(queue.take().map(told), Some(Told::Offer(_))));
    assert!(matches!(queue.take().map(told), Some(Told::PeerLeft(_))));
    assert!(queue.take().is_none());
}

#[test]
fn a_join_that_fails_leaves_nothing_counted() {
    let mut queue = Queue::default();
    queue.hold();
    queue.put(offer(peer(1), "1"));
    queue.release();
    assert_eq!((queue.messages, queue.bytes), (0, 0));
    assert!(queue.take().is_none());
}

#[test]
fn who_a_roster_has_told_of_leaves_although_nobody_read_that_it_came() {
    let come = |number| Frame::peer_joined(&member(peer(number), "somebody"));
    let leave = |number| Frame::peer_left(peer(number), LeaveReason::Left);
    let mut queue = Queue::default();
    queue.put(come(1));
    queue.put(come(2));
    queue.hold();
    queue.put(come(3));
    queue.put(leave(3));
    queue.put(come(4));
    queue.put(leave(4));
    queue.put(leave(2));
    queue.put(come(5));
    // Peer 4 had left before the roster was made; peer 5 came after.
    queue.go_on(Some(&[peer(1), peer(2), peer(3)]), &BTreeSet::new());
    queue.put(leave(1));
    queue.put(leave(5));
    let told: Vec<_> = std::iter::from_fn(|| queue.take()).map(|frame| frame.about).collect();
    assert_eq!(told, [About::Left(peer(2)), About::Left(peer(3)), About::Left(peer(1))]);
}

#[test]
fn of_whom_nobody_read_that_it_came_and_whom_no_roster_has_nothing_is_told() {
    let mut queue = Queue::default();
    queue.put(Frame::peer_joined(&member(peer(1), "somebody")));
    queue.put(offer(peer(1), "sdp"));
    queue.hold();
    queue.put(Frame::peer_left(peer(1), LeaveReason::Left));
    queue.go_on(Some(&[]), &BTreeSet::new());
    assert!(queue.take().is_none());
    assert_eq!((queue.messages, queue.bytes), (0, 0));
}

#[test]
fn who_is_brought_back_by_what_is_sent_again_leaves_again() {
    let leave = |number| Frame::peer_left(peer(number), LeaveReason::Left);
    let mut queue = Queue::default();
    queue.put(leave(1));
    queue.put(leave(2));
    queue.hold();
    queue.go_on(Some(&[]), &BTreeSet::from([peer(2)]));
    let told: Vec<_> = std::iter::from_fn(|| queue.take()).map(|frame| frame.about).collect();
    assert_eq!(told, [About::Left(peer(2))]);
}
