//! Streams that open, are lost and follow one another.

use std::collections::BTreeMap;

use bytes::Bytes;
use patchcord_proto::v1::{
    LeaveReason, SignalRequest,
    signal_request::{Join, Leave, Message as Asked, Resume},
    signal_response::{Joined, Message as Told, rejected::Code as Refused},
};
use tonic::Code;

use super::{
    Client, Play, ensure,
    reading::{Taken, take},
};
use crate::signaling::model::{
    check::{Checked, Invariant},
    reference::{About, Id, Next, Note, Session},
    steps::{Last, Token},
    view::View,
    world::{ROOMS_MAX, Wire},
};
use proptest::test_runner::TestCaseError;

/// Whether a stream without a session was told so.
fn is_refused_with(taken: &Taken, code: Refused) -> bool {
    let Taken::Told(outgoing, told) = taken else { return false };
    matches!(&**told, Told::Rejected(rejected) if rejected.code() == code && outgoing.seq == 0)
}

impl Play {
    pub(super) async fn join(&mut self, room: usize) -> Checked {
        let opened = self.world.open();
        let is_draining = self.reference.draining;
        ensure(Invariant::EndsSayWhy, opened.is_err() == is_draining, || "a stream at a drain".to_owned())?;
        let Ok(mut wire) = opened else { return Ok(()) };
        let name = format!("peer {}", self.clients.len());
        let join = Join { room: format!("room {room}"), display_name: name.clone(), ..Join::default() };
        wire.ask(&SignalRequest { seq: 1, ack: 0, message: Some(Asked::Join(join)) });
        self.settle().await;
        let (seq, told) = match take(&mut wire) {
            Taken::Told(outgoing, told) => (outgoing.seq, *told),
            Taken::Nothing | Taken::End(_) => return Err(TestCaseError::fail("a join was not answered")),
        };
        let rooms = self.reference.rooms.iter().filter(|room| !room.is_empty()).count();
        let members = &self.reference.rooms[room];
        let refused = match () {
            () if self.reference.is_full(room) => Some(Refused::RoomFull),
            () if members.is_empty() && rooms >= ROOMS_MAX => Some(Refused::TooManyRooms),
            () => None,
        };
        if members.iter().any(|id| !self.reference.sessions[*id].attached) {
            let is_taken_in = matches!(told, Told::Joined(_));
            ensure(Invariant::DetachedKeepTheirPlace, is_taken_in == refused.is_none(), || {
                format!("{told:?}")
            })?;
        }
        match (told, refused) {
            (Told::Joined(joined), None) => self.joined(wire, seq, joined, room, name),
            (Told::Rejected(rejected), Some(code)) if rejected.code() == code && seq == 0 => {
                self.lose(wire).await;
                Ok(())
            }
            (told, refused) => {
                let what = format!("{told:?} instead of {refused:?}");
                ensure(Invariant::MembershipIsAsTheReferenceSays, false, || what)
            }
        }
    }

    fn joined(&mut self, wire: Wire, seq: u64, joined: Joined, room: usize, name: String) -> Checked {
        ensure(Invariant::JoinedComesFirst, seq == 1, || format!("Joined has the number {seq}"))?;
        let members = &self.reference.rooms[room];
        let expected: Vec<_> = members.iter().map(|id| self.reference.sessions[*id].peer()).collect();
        ensure(Invariant::RostersEqualMembership, joined.peers == expected, || {
            format!("{:?} instead of {expected:?}", joined.peers)
        })?;
        let view = View::new(joined.peer_id.clone(), room, &joined.peers, joined.resume_token.clone());
        let mut session = Session::new(joined.peer_id.clone(), room, name);
        session.rename_from = self.reference.now_ms;
        session.waiting.push(Note::new(Told::Joined(joined), About::Session));
        let is_first = matches!(session.next(), Next::Fresh(1, _));
        ensure(Invariant::JoinedComesFirst, is_first, || "something is before Joined".to_owned())?;
        self.reference.join(session);
        let (wire, numbers) = (Some(wire), BTreeMap::new());
        self.clients.push(Client { wire, view, numbers, last_request: None, is_slow: false });
        Ok(())
    }

    pub(super) async fn leave(&mut self, who: usize, politely: bool) -> Checked {
        let Some(id) = self.attached(who) else { return Ok(()) };
        self.make_heard(id, 1)?;
        if politely {
            let request = self.request(id, Asked::Leave(Leave {}));
            self.ask(id, &request);
            self.reference.sessions[id].requests += 1;
        } else if let Some(wire) = &self.clients[id].wire {
            wire.half_close();
        }
        self.reference.leave(id, LeaveReason::Left);
        self.settle().await;
        self.read_to_end(id, Code::Ok)
    }

    pub(super) async fn detach(&mut self, who: usize, how: u8, lost: usize) -> Checked {
        let Some(id) = self.attached(who) else { return Ok(()) };
        self.lose_responses(id, lost)?;
        self.lose_stream(id, how).await
    }

    /// What one peer says leaves the server for another and does not arrive.
    pub(super) async fn detach_with_a_loss(&mut self, who: usize, rounds: usize) -> Checked {
        let Some(id) = self.attached(who) else { return Ok(()) };
        let others = self.reference.others(id).into_iter();
        let Some(to) = others.into_iter().find(|other| self.clients[*other].wire.is_some()) else {
            return Ok(());
        };
        for _ in 0..rounds {
            self.lose_responses(to, usize::MAX)?;
            self.relay(who, to, 3, true, 9).await?;
        }
        self.lose_responses(to, usize::MAX)?;
        self.lose_stream(to, 1).await
    }

    async fn lose_stream(&mut self, id: Id, how: u8) -> Checked {
        let Some(mut wire) = self.clients[id].wire.take() else { return Ok(()) };
        self.clients[id].is_slow = false;
        match how {
            0 => wire.drop_responses(),
            1 => {
                wire.drop_responses();
                wire.break_requests();
            }
            _ => wire.break_requests(),
        }
        self.reference.set_attached(id, false);
        self.settle().await;
        self.lose(wire).await;
        Ok(())
    }

    /// Nobody has this stream any more.
    async fn lose(&mut self, mut wire: Wire) {
        wire.break_requests();
        wire.drop_responses();
        self.settle().await;
    }

    pub(super) async fn resume(&mut self, who: usize, token: Token, last: Last) -> Checked {
        if self.clients.is_empty() || self.reference.draining {
            return Ok(());
        }
        let id = who % self.clients.len();
        let tokens = &self.clients[id].view.tokens;
        let foreign = (usize::MAX, Bytes::from_static(&[7; 32]));
        let (place, resume_token) = match token {
            Token::Newest => tokens[tokens.len() - 1].clone(),
            Token::Previous => tokens[tokens.len().saturating_sub(2)].clone(),
            Token::Oldest => tokens[0].clone(),
            Token::Foreign => foreign,
        };
        let session = &self.reference.sessions[id];
        let (handled, sent) = (self.clients[id].view.handled, session.sent.len() as u64);
        let last_seq = match last {
            Last::Handled => handled,
            Last::Older(by) => handled.saturating_sub(by),
            Last::Future => sent + 1,
        };
        let is_good = !session.over && session.good_tokens.contains(&place);
        let Ok(mut wire) = self.world.open() else { return Err(TestCaseError::fail("no stream opens")) };
        let resume = Asked::Resume(Resume { resume_token, last_seq });
        wire.ask(&SignalRequest { seq: 0, ack: 0, message: Some(resume) });
        if !is_good {
            self.settle().await;
            let taken = take(&mut wire);
            let is_refused = is_refused_with(&taken, Refused::SessionUnknown);
            ensure(Invariant::VoidTokensResumeNothing, is_refused, || format!("{id} with token {place}"))?;
            self.lose(wire).await;
            return Ok(());
        }
        if last_seq > sent {
            self.settle().await;
            let taken = take(&mut wire);
            let is_refused = is_refused_with(&taken, Refused::InvalidArgument);
            ensure(Invariant::EndsSayWhy, is_refused, || format!("{id} handled what was never sent"))?;
            self.lose(wire).await;
            return Ok(());
        }
        self.go_on(id, place, last_seq, wire).await
    }

    async fn go_on(&mut self, id: Id, place: usize, last_seq: u64, wire: Wire) -> Checked {
        self.reference.sessions[id].acknowledge(last_seq);
        self.reference.resume(id, place);
        self.settle().await;
        self.clients[id].is_slow = false;
        let before = self.clients[id].wire.replace(wire);
        let store = &self.world.exchange.store;
        let room = store.room(super::room_name(self.reference.sessions[id].room).as_str()).await;
        let members = room.map(|room| room.members).unwrap_or_default();
        let peer_id = &self.reference.sessions[id].peer_id;
        let is_back = members.iter().any(|member| member.peer_id.as_str() == peer_id && member.attached);
        ensure(Invariant::GoodTokensResume, is_back, || format!("{id} with token {place}"))?;
        let Some(mut before) = before else { return Ok(()) };
        let end = take(&mut before);
        let is_told = matches!(&end, Taken::End(Some(status)) if status.code() == Code::Aborted);
        ensure(Invariant::EndsSayWhy, is_told, || format!("the stream of {id} before goes on"))?;
        self.lose(before).await;
        Ok(())
    }
}
