//! What the server must do, written with plain lists: who is in which room, what waits for each session, what
//! was sent and not acknowledged, which tokens are good. It never looks at the server.

use std::collections::BTreeSet;

use patchcord_proto::v1::{
    Peer, PeerState, SignalResponse,
    signal_response::{Message as Told, PeerJoined, PeerLeft, PeerUpdated},
};
use prost::Message;

use super::world::{GRACE_TIME, PEERS_MAX};
use crate::{
    config::{
        OUTBOX_RELAYED_BYTES_MAX, OUTBOX_RELAYED_MESSAGES_MAX, RETAINED_BYTES_MAX, RETAINED_MESSAGES_MAX,
    },
    frame::Frame,
};
use patchcord_proto::v1::LeaveReason;

/// A session by its place in the list; never used again.
pub type Id = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Session,
    From(Id),
    Refused(Id),
    Came(Id),
    Changed(Id),
    Left(Id),
}

#[derive(Clone, Debug)]
pub struct Note {
    pub told: Told,
    pub about: About,
    pub bytes: usize,
}

impl Note {
    pub fn new(told: Told, about: About) -> Self {
        let message = SignalResponse { seq: 0, ack: 0, message: Some(told) };
        let bytes = message.encoded_len() + Frame::bare_ack().cost_bytes();
        Self { told: message.message.expect("it was put in"), about, bytes }
    }

    fn peer(&self) -> Option<Id> {
        match self.about {
            About::Session => None,
            About::From(id) | About::Refused(id) | About::Came(id) | About::Changed(id) | About::Left(id) => {
                Some(id)
            }
        }
    }

    fn takes_room(&self) -> bool {
        matches!(self.about, About::Session | About::From(_) | About::Refused(_))
    }
}

/// What comes next on a session's stream.
#[derive(Clone, Debug)]
pub enum Next {
    Resumed(Resumption),
    Replay(u64, Told),
    Fresh(u64, Told),
    Nothing,
}

#[derive(Clone, Debug)]
pub struct Resumption {
    pub complete: bool,
    pub last_seq: u64,
    pub affected: Vec<String>,
    pub peers: Vec<Peer>,
    pub token: usize,
}

#[derive(Debug)]
pub struct Session {
    pub peer_id: String,
    pub room: usize,
    pub name: String,
    pub attached: bool,
    pub over: bool,
    pub detached_at: u64,
    /// The number of the newest request that was taken.
    pub requests: u64,
    pub rename_from: u64,
    pub waiting: Vec<Note>,
    pub sent: Vec<Note>,
    pub acknowledged: u64,
    /// The number of the oldest that is kept.
    pub oldest: u64,
    resumed: Option<Resumption>,
    replay: Option<u64>,
    /// Tokens are counted as they are issued.
    pub tokens_issued: usize,
    pub good_tokens: BTreeSet<usize>,
}

/// Whether a message fits into an outbox; a bare acknowledgement may or may not wait there too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fits {
    Yes,
    No,
    Perhaps,
}

impl Session {
    pub fn new(peer_id: String, room: usize, name: String) -> Self {
        Self {
            peer_id,
            room,
            name,
            attached: true,
            over: false,
            detached_at: 0,
            requests: 1,
            rename_from: 0,
            waiting: Vec::new(),
            sent: Vec::new(),
            acknowledged: 0,
            oldest: 1,
            resumed: None,
            replay: None,
            tokens_issued: 1,
            good_tokens: BTreeSet::from([0]),
        }
    }

    pub fn peer(&self) -> Peer {
        let state = if self.attached { PeerState::Attached } else { PeerState::Detached };
        let (peer_id, display_name) = (self.peer_id.clone(), self.name.clone());
        Peer { peer_id, display_name, joined_at: None, state: state.into() }
    }

    fn waiting_room(&self) -> (usize, usize) {
        let notes = self.waiting.iter().filter(|note| note.takes_room());
        notes.fold((0, 0), |(messages, bytes), note| (messages + 1, bytes + note.bytes))
    }

    pub fn fits(&self, note: &Note) -> Fits {
        let (messages, bytes) = self.waiting_room();
        let fits = |more_messages, more_bytes| {
            messages + more_messages < OUTBOX_RELAYED_MESSAGES_MAX
                && bytes + more_bytes + note.bytes <= OUTBOX_RELAYED_BYTES_MAX
        };
        match (fits(1, Frame::bare_ack().cost_bytes()), fits(0, 0)) {
            (true, _) => Fits::Yes,
            (_, true) => Fits::Perhaps,
            _ => Fits::No,
        }
    }

    /// So far from full that it is heard, whatever this many answers are.
    pub fn is_heard_for(&self, answers: usize) -> bool {
        let (messages, bytes) = self.waiting_room();
        messages + answers + 2 < OUTBOX_RELAYED_MESSAGES_MAX
            && bytes + answers * 512 + 64 < OUTBOX_RELAYED_BYTES_MAX
    }

    /// The rule of news that nobody has read: later news of a peer take the place of earlier ones.
    pub fn put(&mut self, note: Note, came: Option<Told>) {
        if self.over {
            return;
        }
        match note.about {
            About::Left(id) if self.waiting.iter().any(|waiting| waiting.about == About::Came(id)) => {
                self.waiting.retain(|waiting| waiting.peer() != Some(id));
                return;
            }
            About::Left(id) => self.waiting.retain(|waiting| waiting.about != About::Changed(id)),
            About::Changed(id) => {
                let is_news = |about| about == About::Came(id) || about == About::Changed(id);
                if let Some(waiting) = self.waiting.iter_mut().find(|waiting| is_news(waiting.about)) {
                    *waiting = match came {
                        Some(came) if waiting.about == About::Came(id) => Note::new(came, About::Came(id)),
                        _ => note,
                    };
                    return;
                }
            }
            _ => {}
        }
        self.waiting.push(note);
    }

    /// What is read next; it is read then.
    pub fn next(&mut self) -> Next {
        if let Some(resumed) = self.resumed.take() {
            return Next::Resumed(resumed);
        }
        if let Some(from) = self.replay.take() {
            let seq = from.max(self.oldest);
            if let Some(note) = self.sent.get(seq as usize - 1) {
                self.replay = Some(seq + 1);
                return Next::Replay(seq, note.told.clone());
            }
        }
        if self.waiting.is_empty() {
            return Next::Nothing;
        }
        let note = self.waiting.remove(0);
        self.sent.push(note.clone());
        self.keep_to_the_limit();
        Next::Fresh(self.sent.len() as u64, note.told)
    }

    fn keep_to_the_limit(&mut self) {
        let kept = |session: &Self| {
            let notes = &session.sent[session.oldest as usize - 1..];
            (notes.len(), notes.iter().map(|note| note.bytes).sum::<usize>())
        };
        while {
            let (messages, bytes) = kept(self);
            messages > RETAINED_MESSAGES_MAX || bytes > RETAINED_BYTES_MAX
        } {
            self.oldest += 1;
        }
    }

    /// Whether that many were sent.
    pub fn acknowledge(&mut self, through: u64) -> bool {
        let is_possible = through <= self.sent.len() as u64;
        if is_possible {
            self.acknowledged = self.acknowledged.max(through);
            self.oldest = self.oldest.max(through + 1);
        }
        is_possible
    }

    /// Numbers that are neither acknowledged nor kept.
    pub fn missing(&self) -> &[Note] {
        &self.sent[self.acknowledged as usize..self.oldest as usize - 1]
    }
}

#[derive(Debug, Default)]
pub struct Reference {
    pub sessions: Vec<Session>,
    /// Ids in the order of joining, by room.
    pub rooms: [Vec<Id>; super::NAMES],
    pub now_ms: u64,
    pub draining: bool,
}

impl Reference {
    pub fn is_full(&self, room: usize) -> bool {
        self.rooms[room].len() >= PEERS_MAX
    }

    pub fn others(&self, id: Id) -> Vec<Id> {
        let room = &self.rooms[self.sessions[id].room];
        room.iter().copied().filter(|other| *other != id).collect()
    }

    pub fn join(&mut self, session: Session) -> Id {
        let (id, room) = (self.sessions.len(), session.room);
        let joined = Told::PeerJoined(PeerJoined { peer: Some(session.peer()) });
        self.sessions.push(session);
        self.rooms[room].push(id);
        self.tell(&self.others(id), Note::new(joined, About::Came(id)), None);
        id
    }

    pub fn tell(&mut self, to: &[Id], note: Note, came: Option<&Told>) {
        for id in to {
            self.sessions[*id].put(note.clone(), came.cloned());
        }
    }

    /// Tells these of a change of a member.
    pub fn tell_of_change(&mut self, to: &[Id], id: Id) {
        let peer = Some(self.sessions[id].peer());
        let updated = Told::PeerUpdated(PeerUpdated { peer: peer.clone() });
        let came = Told::PeerJoined(PeerJoined { peer });
        self.tell(to, Note::new(updated, About::Changed(id)), Some(&came));
    }

    pub fn set_attached(&mut self, id: Id, attached: bool) {
        let session = &mut self.sessions[id];
        if session.attached != attached {
            session.attached = attached;
            session.detached_at = self.now_ms;
            self.tell_of_change(&self.others(id), id);
        }
    }

    /// The session is over, and the others are told.
    pub fn leave(&mut self, id: Id, reason: LeaveReason) {
        let room = self.sessions[id].room;
        self.rooms[room].retain(|member| *member != id);
        let peer_id = self.sessions[id].peer_id.clone();
        let left = Told::PeerLeft(PeerLeft { peer_id, reason: reason.into() });
        let session = &mut self.sessions[id];
        session.over = true;
        session.good_tokens.clear();
        self.tell(&self.rooms[room].clone(), Note::new(left, About::Left(id)), None);
    }

    /// Time has passed: whoever was away for too long has left, in the order of going away.
    pub fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        let mut gone: Vec<_> = (0..self.sessions.len())
            .filter(|id| !self.sessions[*id].over && !self.sessions[*id].attached)
            .map(|id| (self.sessions[id].detached_at + GRACE_TIME.as_millis() as u64, id))
            .filter(|(until, _)| *until <= self.now_ms)
            .collect();
        gone.sort_unstable();
        for (_, id) in gone {
            self.leave(id, LeaveReason::Disconnected);
        }
    }

    /// A stream presented a good token: what it is told first.
    pub fn resume(&mut self, id: Id, token: usize) {
        let missing = self.sessions[id].missing();
        let complete = missing.is_empty();
        let concerned: BTreeSet<Id> = missing
            .iter()
            .filter_map(|note| match note.about {
                About::From(id) | About::Refused(id) => Some(id),
                _ => None,
            })
            .collect();
        let others = self.others(id);
        let peers = others.iter().map(|other| self.sessions[*other].peer()).collect();
        let affected = others.iter().filter(|other| concerned.contains(other));
        let affected = affected.map(|other| self.sessions[*other].peer_id.clone()).collect();
        let session = &mut self.sessions[id];
        let issued = session.tokens_issued;
        session.tokens_issued += 1;
        session.good_tokens = BTreeSet::from([token, issued]);
        let last_seq = session.requests;
        session.resumed = Some(Resumption { complete, last_seq, affected, peers, token: issued });
        session.replay = Some(session.oldest);
        if !complete {
            // The roster has said who is there, and so who has left; but what is sent again may bring somebody back.
            let kept = &session.sent[session.oldest as usize - 1..];
            let again: BTreeSet<Id> = kept
                .iter()
                .filter_map(|note| match note.about {
                    About::Came(id) | About::Changed(id) => Some(id),
                    _ => None,
                })
                .collect();
            let has_left = |id| move |note: &Note| note.about == About::Left(id);
            let waiting = std::mem::take(&mut session.waiting);
            let is_told = |note: &Note| match note.about {
                About::Came(_) => false,
                About::Left(id) => again.contains(&id),
                About::From(id) | About::Changed(id) => !waiting.iter().any(has_left(id)),
                About::Session | About::Refused(_) => true,
            };
            session.waiting = waiting.iter().filter(|note| is_told(note)).cloned().collect();
        }
        self.set_attached(id, true);
    }

    /// The session has heard a request: the peer has its newest token.
    pub fn heard(&mut self, id: Id) {
        let session = &mut self.sessions[id];
        session.good_tokens = BTreeSet::from([session.tokens_issued - 1]);
    }
}
