//! When there is a look, and whom it is told of. Time is the test's own.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use patchcord_peer::{EndReason, LeaveReason, Untrusted, probe::Trouble};
use tokio::time::{advance, timeout};

use super::*;

struct World {
    room: mpsc::Sender<Event>,
    lookout: Lookout,
    looks: Arc<AtomicUsize>,
}

/// A look finds a TURN server that does not answer, and ends at once or not at all.
fn world(ends: bool) -> World {
    let (room, events) = mpsc::channel(16);
    let looks = Arc::<AtomicUsize>::default();
    let (counted, never_ended) = (looks.clone(), std::sync::Mutex::new(Vec::new()));
    let look = move || {
        counted.fetch_add(1, Relaxed);
        let (findings, found) = mpsc::channel(16);
        let outcome = Err(Trouble::NoAnswer(Duration::from_secs(4)));
        findings.try_send(Finding::Turn { url: "turn:t".into(), transport: None, outcome }).unwrap();
        if !ends {
            never_ended.lock().unwrap().push(findings);
        }
        found
    };
    World { room, lookout: Lookout::with(events, false, Box::new(look)), looks }
}

fn peer(name: &str) -> PeerId {
    PeerId::parse(name).unwrap()
}

fn state(name: &str, state: ConnectionState) -> Event {
    Event::Connection { peer_id: peer(name), state, path: None }
}

impl World {
    /// The room tells it, and it passes.
    async fn tells(&mut self, event: Event) {
        self.room.send(event).await.unwrap();
        assert!(!matches!(
            self.lookout.recv().await,
            Some(Event::Problem { code: ProblemCode::IceServer, .. })
        ));
    }

    /// Whom something is told of within that time, if it is.
    async fn told_within(&mut self, seconds: u64) -> Option<Option<PeerId>> {
        match timeout(Duration::from_secs(seconds), self.lookout.recv()).await {
            Ok(Some(Event::Problem { code: ProblemCode::IceServer, peer_id, message })) => {
                assert!(message.contains("turn:t"), "{message}");
                Some(peer_id)
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_told_why_and_only_once() {
    let mut world = world(true);
    world.tells(state("bo", ConnectionState::Connecting)).await;
    assert_eq!(world.told_within(2).await, None);
    assert_eq!(world.told_within(2).await, Some(Some(peer("bo"))));
    world.tells(state("cy", ConnectionState::Connecting)).await;
    assert_eq!(world.told_within(50).await, None, "what was told is known");
    assert_eq!(world.looks.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn several_that_wait_are_told_of_at_once() {
    let mut world = world(true);
    world.tells(state("bo", ConnectionState::Connecting)).await;
    world.tells(state("cy", ConnectionState::Connecting)).await;
    assert_eq!(world.told_within(4).await, Some(None));
}

#[tokio::test(start_paused = true)]
async fn nobody_looks_when_a_connection_comes_about_in_time() {
    let mut world = world(true);
    world.tells(state("bo", ConnectionState::Connecting)).await;
    world.tells(state("bo", ConnectionState::Connected)).await;
    world.tells(state("cy", ConnectionState::Connecting)).await;
    let reason = LeaveReason::Left;
    world.tells(Event::PeerLeft { peer_id: peer("cy"), reason }).await;
    assert_eq!(world.told_within(100).await, None);
    assert_eq!(world.looks.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_late_ends_the_look() {
    let mut world = world(false);
    world.tells(state("bo", ConnectionState::Connecting)).await;
    assert_eq!(world.told_within(5).await, None);
    assert_eq!(world.looks.load(Relaxed), 1);
    let display_name = Untrusted::new("bo");
    world.tells(Event::ChannelOpen { peer_id: peer("bo"), display_name }).await;
    assert!(world.lookout.looking.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_given_up_early_is_looked_into_at_once() {
    let mut world = world(true);
    world.tells(state("bo", ConnectionState::Connecting)).await;
    let code = ProblemCode::ConnectionFailed;
    world.tells(Event::Problem { code, peer_id: Some(peer("bo")), message: String::new() }).await;
    world.tells(state("bo", ConnectionState::Failed)).await;
    assert_eq!(world.told_within(1).await, Some(None));

    advance(REST).await;
    world.tells(Event::Problem { code, peer_id: Some(peer("bo")), message: String::new() }).await;
    assert_eq!(world.told_within(1).await, Some(None), "it is another day");
}

#[tokio::test(start_paused = true)]
async fn a_room_that_has_ended_is_not_looked_into() {
    let mut world = world(true);
    world.tells(state("bo", ConnectionState::Connecting)).await;
    world.tells(Event::Ended(EndReason::Left)).await;
    assert_eq!(world.told_within(100).await, None);
}
