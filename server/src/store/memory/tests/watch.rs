//! Watchers: no gap, no repetition, no flood.

use super::*;
use crate::room::Counters;

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
