//! Requests within sessions, and what each must come to.

use patchcord_proto::v1::{
    SignalRequest, signal_request as asked, signal_request::Message as Asked, signal_response as response,
    signal_response::Message as Told,
};
use tokio::time::Duration;

use super::{Play, ensure, room_name};
use crate::{
    config::UPDATE_PROFILE_INTERVAL,
    peer_id::PeerId,
    refusal::Refusal,
    signaling::model::{
        check::{Checked, Invariant},
        reference::{About, Fits, Id, Note},
        view::text,
    },
};

const SEALED_BYTES: usize = 20 * 1024;
/// Of large ones, so many are more than fit anywhere.
const LARGE_COUNT_MAX: usize = 16;

fn rejected(refusal: Refusal, request_seq: u64, about: About) -> Note {
    Note::new(Told::Rejected(refusal.into_proto(request_seq)), about)
}

/// What is asked, and what its addressee is told.
fn message(kind: u8, large: bool, from: &str, to: &str, text: String) -> (Asked, Told) {
    let (to_peer_id, from_peer_id) = (to.to_owned(), from.to_owned());
    if large || kind == 3 {
        let mut payload = text.into_bytes();
        payload.resize(if large { SEALED_BYTES } else { payload.len() }, b'.');
        let payload = bytes::Bytes::from(payload);
        let asked = asked::Sealed { to_peer_id, payload: payload.clone() };
        return (Asked::Sealed(asked), Told::Sealed(response::Sealed { from_peer_id, payload }));
    }
    match kind {
        0 => (
            Asked::Offer(asked::Offer { to_peer_id, sdp: text.clone() }),
            Told::Offer(response::Offer { from_peer_id, sdp: text }),
        ),
        1 => (
            Asked::Answer(asked::Answer { to_peer_id, sdp: text.clone() }),
            Told::Answer(response::Answer { from_peer_id, sdp: text }),
        ),
        _ => (
            Asked::Candidate(asked::Candidate {
                to_peer_id,
                candidate: text.clone(),
                sdp_mid: Some("0".to_owned()),
                ..asked::Candidate::default()
            }),
            Told::Candidate(response::Candidate {
                from_peer_id,
                candidate: text,
                sdp_mid: Some("0".to_owned()),
                ..response::Candidate::default()
            }),
        ),
    }
}

impl Play {
    /// The next request of a session.
    pub(super) fn request(&self, id: Id, message: Asked) -> SignalRequest {
        SignalRequest { seq: self.reference.sessions[id].requests + 1, ack: 0, message: Some(message) }
    }

    pub(super) fn ask(&mut self, id: Id, request: &SignalRequest) {
        if let Some(wire) = &self.clients[id].wire {
            wire.ask(request);
        }
        self.reference.heard(id);
    }

    /// A session is heard while there is room for what it may be answered.
    pub(super) fn make_heard(&mut self, id: Id, answers: usize) -> Checked {
        if self.reference.sessions[id].is_heard_for(answers) { Ok(()) } else { self.read_all(id) }
    }

    pub(super) async fn rename(&mut self, who: usize, name: u8) -> Checked {
        let Some(id) = self.attached(who) else { return Ok(()) };
        self.make_heard(id, 1)?;
        self.pass();
        let display_name = format!("name {name}");
        let update = asked::UpdateProfile { display_name: display_name.clone() };
        let request = self.request(id, Asked::UpdateProfile(update));
        self.ask(id, &request);
        let now_ms = self.reference.now_ms;
        let session = &mut self.reference.sessions[id];
        session.requests += 1;
        let wait_ms = session.rename_from.saturating_sub(now_ms);
        if wait_ms == 0 {
            session.rename_from = now_ms + UPDATE_PROFILE_INTERVAL.as_millis() as u64;
            session.name = display_name;
            let everybody = self.reference.rooms[self.reference.sessions[id].room].clone();
            self.reference.tell_of_change(&everybody, id);
        } else {
            let refusal = Refusal::rate_limited("update_profile", Duration::from_millis(wait_ms));
            session.put(rejected(refusal, request.seq, About::Session), None);
        }
        self.clients[id].last_request = Some(request);
        self.settle().await;
        Ok(())
    }

    /// Messages that went through a room.
    async fn relayed(&self, room: usize) -> usize {
        let snapshot = self.world.exchange.store.room(room_name(room).as_str()).await;
        let Some(counters) = snapshot.map(|snapshot| snapshot.counters) else { return 0 };
        (counters.offers + counters.answers + counters.candidates + counters.sealed) as usize
    }

    pub(super) async fn relay(
        &mut self,
        who: usize,
        to: usize,
        kind: u8,
        large: bool,
        count: usize,
    ) -> Checked {
        let Some(id) = self.attached(who) else { return Ok(()) };
        let to = to % self.clients.len();
        let count = if large { count.min(LARGE_COUNT_MAX) } else { count.min(100) };
        self.make_heard(id, count)?;
        let room = self.reference.sessions[id].room;
        let before = self.relayed(room).await;
        let from_id = self.reference.sessions[id].peer_id.clone();
        let to_id = self.reference.sessions[to].peer_id.clone();
        // Sometimes a request carries what was handled.
        let ack = if count % 2 == 1 { self.clients[id].view.handled } else { 0 };
        self.reference.sessions[id].acknowledge(ack);
        let mut messages = Vec::with_capacity(count);
        for _ in 0..count {
            let number = self.clients[id].numbers.entry(to).or_default();
            *number += 1;
            let (asked, told) = message(kind, large, &from_id, &to_id, text(&from_id, &to_id, room, *number));
            let request = SignalRequest { ack, ..self.request(id, asked) };
            self.reference.sessions[id].requests += 1;
            self.ask(id, &request);
            messages.push((request.seq, told));
            self.clients[id].last_request = Some(request);
        }
        self.settle().await;
        let accepted = self.relayed(room).await - before;
        self.relay_in_reference(id, to, messages, accepted)
    }

    fn relay_in_reference(&mut self, id: Id, to: Id, messages: Vec<(u64, Told)>, accepted: usize) -> Checked {
        let may_signal = self.reference.others(id).contains(&to);
        for (index, (seq, told)) in messages.into_iter().enumerate() {
            let is_accepted = index < accepted;
            if !may_signal {
                ensure(Invariant::NothingCrossesRooms, !is_accepted, || format!("from {id} to {to}"))?;
                let note = rejected(Refusal::no_such_peer(), seq, About::Session);
                self.reference.sessions[id].put(note, None);
                continue;
            }
            let note = Note::new(told, About::From(id));
            let fits = self.reference.sessions[to].fits(&note);
            let is_right = if is_accepted { fits != Fits::No } else { fits != Fits::Yes };
            ensure(Invariant::ARelayIsLostOnlyWhenFull, is_right, || {
                format!("from {id} to {to}: taken {is_accepted}, fits {fits:?}")
            })?;
            if is_accepted {
                self.reference.sessions[to].put(note, None);
            } else {
                self.clients[to].is_slow = true;
                let peer_id = PeerId::parse(&self.reference.sessions[to].peer_id).unwrap();
                let note = rejected(Refusal::peer_busy(peer_id), seq, About::Refused(to));
                self.reference.sessions[id].put(note, None);
            }
        }
        Ok(())
    }

    /// The newest request again, as after a loss; it was carried out.
    pub(super) async fn repeat_request(&mut self, who: usize) -> Checked {
        let Some(id) = self.attached(who) else { return Ok(()) };
        let Some(request) = self.clients[id].last_request.clone() else { return Ok(()) };
        self.make_heard(id, 1)?;
        let room = self.reference.sessions[id].room;
        let before = self.relayed(room).await;
        self.ask(id, &request);
        self.settle().await;
        let after = self.relayed(room).await;
        ensure(Invariant::RequestsAreCarriedOutOnce, before == after, || format!("{request:?} of {id}"))
    }

    /// A request whose predecessor did not come.
    pub(super) async fn skip_request(&mut self, who: usize) -> Checked {
        let Some(id) = self.attached(who) else { return Ok(()) };
        self.make_heard(id, 1)?;
        let due = self.reference.sessions[id].requests + 1;
        let ping = Asked::Ping(asked::Ping { nonce: 1 });
        self.ask(id, &SignalRequest { seq: due + 1, ack: 0, message: Some(ping) });
        let note = rejected(Refusal::out_of_sequence(due + 1, due), due + 1, About::Session);
        self.reference.sessions[id].put(note, None);
        self.settle().await;
        Ok(())
    }

    pub(super) async fn acknowledge(&mut self, who: usize, lag: u64) -> Checked {
        let Some(id) = self.attached(who) else { return Ok(()) };
        self.make_heard(id, 1)?;
        let ack = self.clients[id].view.handled.saturating_sub(lag).max(1);
        self.ask(id, &SignalRequest { seq: 0, ack, message: None });
        self.reference.sessions[id].acknowledge(ack);
        self.settle().await;
        Ok(())
    }

    pub(super) async fn acknowledge_the_future(&mut self, who: usize) -> Checked {
        let Some(id) = self.attached(who) else { return Ok(()) };
        self.make_heard(id, 1)?;
        let ack = self.reference.sessions[id].sent.len() as u64 + 1;
        self.ask(id, &SignalRequest { seq: 0, ack, message: None });
        let refusal = Refusal::invalid_argument("ack is of a response that was never sent");
        self.reference.sessions[id].put(rejected(refusal, 0, About::Session), None);
        self.settle().await;
        Ok(())
    }
}
