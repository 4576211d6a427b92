//! Plays a case: each step is done to the server and to the reference, and what they come to is compared.

mod asking;
mod reading;
mod streams;

use std::collections::BTreeMap;

use patchcord_proto::v1::{
    LeaveReason, SignalRequest,
    signal_response::{GoAway, Message as Told, go_away::Action},
};
use tokio::time::{Duration, Instant};
use tonic::Code;

use super::{
    NAMES,
    check::{Checked, Invariant, ensure},
    reference::{About, Id, Note, Reference},
    steps::Step,
    view::{View, roster},
    world::{GRACE_TIME, Wire, World},
};
use crate::{name::RoomName, peer_id::PeerId, switchboard::Dismissal};

/// A peer that joined.
struct Client {
    /// While it is attached.
    wire: Option<Wire>,
    view: View,
    /// To whom how many messages were sent.
    numbers: BTreeMap<Id, u64>,
    last_request: Option<SignalRequest>,
    /// Something did not fit since it read last: it may be found to be too slow.
    is_slow: bool,
}

struct Play {
    world: World,
    reference: Reference,
    clients: Vec<Client>,
    start: Instant,
}

/// Plays it on a paused clock.
pub async fn play(steps: Vec<Step>) -> Checked {
    let (world, start) = (World::new(), Instant::now());
    let mut play = Play { world, reference: Reference::default(), clients: Vec::new(), start };
    for step in steps {
        play.step(step).await?;
        play.check_membership().await?;
    }
    play.end().await
}

fn room_name(room: usize) -> RoomName {
    RoomName::parse(&format!("room {room}"), 128).unwrap()
}

fn go_away(reason: LeaveReason, action: Action) -> Told {
    Told::GoAway(GoAway { reason: reason.into(), action: action.into(), ..GoAway::default() })
}

impl Play {
    async fn step(&mut self, step: Step) -> Checked {
        match step {
            Step::Join { room } => self.join(room).await,
            Step::Leave { who, politely } => self.leave(who, politely).await,
            Step::Rename { who, name } => self.rename(who, name).await,
            Step::Relay { who, to, kind, large, count } => self.relay(who, to, kind, large, count).await,
            Step::RepeatRequest { who } => self.repeat_request(who).await,
            Step::SkipRequest { who } => self.skip_request(who).await,
            Step::Read { who, count } => match self.attached(who) {
                Some(id) => self.read(id, count),
                None => Ok(()),
            },
            Step::Acknowledge { who, lag } => self.acknowledge(who, lag).await,
            Step::AcknowledgeTheFuture { who } => self.acknowledge_the_future(who).await,
            Step::Detach { who, how, lost } => self.detach(who, how, lost).await,
            Step::DetachWithALoss { who, rounds } => self.detach_with_a_loss(who, rounds).await,
            Step::Resume { who, token, last } => self.resume(who, token, last).await,
            Step::Wait { ms } => self.wait(ms).await,
            Step::Remove { who } => self.remove(who).await,
            Step::Close { room } => self.close(room).await,
            Step::Drain => self.drain().await,
        }
    }

    /// One of those whose stream is open.
    fn attached(&self, who: usize) -> Option<Id> {
        let attached: Vec<Id> =
            (0..self.clients.len()).filter(|id| self.clients[*id].wire.is_some()).collect();
        (!attached.is_empty()).then(|| attached[who % attached.len()])
    }

    async fn settle(&mut self) {
        self.world.settle().await;
        self.pass();
    }

    fn pass(&mut self) {
        let now_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap();
        self.reference.pass(now_ms - self.reference.now_ms);
    }

    async fn wait(&mut self, ms: u64) -> Checked {
        for id in 0..self.clients.len() {
            if self.clients[id].is_slow || !self.reference.sessions[id].is_heard_for(0) {
                self.read_all(id)?;
            }
        }
        tokio::time::sleep(Duration::from_millis(ms)).await;
        self.settle().await;
        Ok(())
    }

    async fn remove(&mut self, who: usize) -> Checked {
        let members: Vec<Id> = self.reference.rooms.iter().flatten().copied().collect();
        if members.is_empty() {
            return Ok(());
        }
        let id = members[who % members.len()];
        let session = &self.reference.sessions[id];
        let (room, peer_id) = (room_name(session.room), PeerId::parse(&session.peer_id).unwrap());
        let dismissal = Dismissal { reason: LeaveReason::Removed, message: String::new() };
        let was_there = self.world.exchange.store.remove(&room, peer_id, dismissal).await;
        ensure(Invariant::MembershipIsAsTheReferenceSays, was_there, || format!("{id} was not there"))?;
        self.dismiss(id, LeaveReason::Removed, Action::Stop);
        self.reference.leave(id, LeaveReason::Removed);
        self.settle().await;
        self.read_to_end(id, Code::Aborted)
    }

    async fn close(&mut self, room: usize) -> Checked {
        let dismissal = Dismissal { reason: LeaveReason::RoomClosed, message: String::new() };
        let left = self.world.exchange.store.close(&room_name(room), dismissal).await;
        let members = self.reference.rooms[room].clone();
        ensure(Invariant::MembershipIsAsTheReferenceSays, left.unwrap_or(0) == members.len(), || {
            format!("{left:?} of {} were let go", members.len())
        })?;
        self.let_all_go(&members, LeaveReason::RoomClosed, Action::Stop, Code::Aborted).await
    }

    async fn drain(&mut self) -> Checked {
        self.world.exchange.switchboard.drain();
        self.reference.draining = true;
        let members: Vec<Id> = self.reference.rooms.iter().flatten().copied().collect();
        self.let_all_go(&members, LeaveReason::ServerShutdown, Action::Rejoin, Code::Unavailable).await
    }

    async fn let_all_go(
        &mut self,
        members: &[Id],
        reason: LeaveReason,
        action: Action,
        code: Code,
    ) -> Checked {
        for id in members {
            self.dismiss(*id, reason, action);
            self.reference.sessions[*id].over = true;
        }
        for id in members {
            self.reference.leave(*id, reason);
        }
        self.settle().await;
        for id in members {
            self.read_to_end(*id, code)?;
        }
        Ok(())
    }

    /// The last that it is told, if it has not ended.
    fn dismiss(&mut self, id: Id, reason: LeaveReason, action: Action) {
        let note = Note::new(go_away(reason, action), About::Session);
        self.reference.sessions[id].put(note, None);
    }

    async fn check_membership(&self) -> Checked {
        for room in 0..NAMES {
            let snapshot = self.world.exchange.store.room(room_name(room).as_str()).await;
            let members = snapshot.map(|snapshot| snapshot.members).unwrap_or_default();
            let actual: Vec<_> = members
                .iter()
                .map(|member| (member.peer_id.as_str(), member.display_name.as_str(), member.attached))
                .collect();
            let sessions = self.reference.rooms[room].iter().map(|id| &self.reference.sessions[*id]);
            let expected: Vec<_> = sessions
                .map(|session| (session.peer_id.as_str(), session.name.as_str(), session.attached))
                .collect();
            ensure(Invariant::MembershipIsAsTheReferenceSays, actual == expected, || {
                format!("{actual:?} instead of {expected:?}")
            })?;
        }
        Ok(())
    }

    /// Everybody reads all and knows who is there; then everybody goes, and nothing is left.
    async fn end(mut self) -> Checked {
        for id in 0..self.clients.len() {
            if self.clients[id].wire.is_none() {
                continue;
            }
            self.read_all(id)?;
            let others = self.reference.others(id);
            let peers: Vec<_> = others.iter().map(|other| self.reference.sessions[*other].peer()).collect();
            let (actual, expected) = (&self.clients[id].view.roster, roster(&peers));
            ensure(Invariant::RostersEqualMembership, *actual == expected, || {
                format!("{actual:?} instead of {expected:?}")
            })?;
        }
        for who in 0..self.clients.len() {
            self.leave(0, who % 2 == 0).await?;
        }
        self.clients.clear();
        // Also for those who were away, and for what was never read.
        tokio::time::sleep(GRACE_TIME + Duration::from_secs(1)).await;
        let exchange = &self.world.exchange;
        let metrics = exchange.metrics.encode();
        let gauges = ["patchcord_sessions 0", "patchcord_streams 0", "patchcord_detached_sessions 0"];
        let open: Vec<_> = gauges.iter().filter(|gauge| !metrics.contains(**gauge)).collect();
        let (rooms, tasks) = (exchange.store.room_count().await, exchange.tasks.len());
        let is_clean = rooms == 0 && tasks == 0 && open.is_empty();
        ensure(Invariant::NothingIsLeftBehind, is_clean, || format!("{rooms} rooms, {tasks} tasks, {open:?}"))
    }
}
