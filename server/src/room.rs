//! One room: who is in it, who may signal whom, and what went through. Pure: no clock, no socket, no
//! lock. A peer is a member at most once, and nobody signals across rooms.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::SystemTime};

use crate::{
    name::{DisplayName, RoomName},
    peer_id::PeerId,
    tokens::{Grant, Permission},
};

/// A peer as its room knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Made by the server.
    pub peer_id: PeerId,
    /// As the peer gave it.
    pub display_name: DisplayName,
    /// Program and version, as the peer gave it.
    pub user_agent: Arc<str>,
    /// Where its stream comes from.
    pub address: SocketAddr,
    /// When it joined.
    pub joined_at: SystemTime,
    /// Whether its stream is open; it may come back while it is not.
    pub attached: bool,
    /// What its token granted; `None` when none was asked for.
    pub grant: Option<Arc<Grant>>,
}

impl Member {
    /// Whether it may do this: all but administration where no token is asked for.
    pub fn may(&self, permission: Permission) -> bool {
        self.grant.as_ref().is_none_or(|grant| grant.permissions.has(permission))
    }
}

/// What one peer sends another through the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RelayKind {
    /// A session description that opens a negotiation.
    Offer,
    /// A session description that answers one.
    Answer,
    /// An ICE candidate.
    Candidate,
    /// Something the server cannot read.
    Sealed,
}

/// What went through a room since it appeared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Offers relayed.
    pub offers: u64,
    /// Answers relayed.
    pub answers: u64,
    /// Candidates relayed.
    pub candidates: u64,
    /// Sealed payloads relayed.
    pub sealed: u64,
    /// Pairs of which one offered to the other.
    pub negotiations_begun: u64,
    /// Those in which an answer came back.
    pub negotiations_answered: u64,
}

/// The room holds as many peers as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomFull;

/// How far a pair has come. The pair is keyed with the smaller id first.
#[derive(Clone, Copy, Debug, Default)]
struct Negotiation {
    smaller_offered: bool,
    larger_offered: bool,
    answered: bool,
}

/// A room with its members in the order of joining.
#[derive(Clone, Debug)]
pub struct Room {
    name: RoomName,
    created_at: SystemTime,
    peers_max: usize,
    members: Vec<Arc<Member>>,
    negotiations: HashMap<(PeerId, PeerId), Negotiation>,
    counters: Counters,
}

impl Room {
    /// An empty room; it is there for good reason only once somebody joins.
    pub fn new(name: RoomName, created_at: SystemTime, peers_max: usize) -> Self {
        let (members, negotiations) = (Vec::new(), HashMap::new());
        Self { name, created_at, peers_max, members, negotiations, counters: Counters::default() }
    }

    /// Its name.
    pub fn name(&self) -> &RoomName {
        &self.name
    }

    /// When the first peer joined.
    pub fn created_at(&self) -> SystemTime {
        self.created_at
    }

    /// What went through it.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Its members in the order of joining.
    pub fn members(&self) -> &[Arc<Member>] {
        &self.members
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether nobody else may join.
    pub fn is_full(&self) -> bool {
        self.members.len() >= self.peers_max
    }

    /// The member with this id.
    pub fn member(&self, peer_id: PeerId) -> Option<&Arc<Member>> {
        self.members.iter().find(|member| member.peer_id == peer_id)
    }

    /// Everybody but this peer.
    pub fn others(&self, peer_id: PeerId) -> impl Iterator<Item = PeerId> + '_ {
        self.members.iter().map(|member| member.peer_id).filter(move |other| *other != peer_id)
    }

    /// Takes a member in. The id must be new; ids are made with 80 random bits for one stream each.
    pub fn join(&mut self, member: Arc<Member>) -> Result<(), RoomFull> {
        if self.is_full() {
            return Err(RoomFull);
        }
        self.members.push(member);
        Ok(())
    }

    /// Lets a member go: `Some` exactly once for every join.
    pub fn leave(&mut self, peer_id: PeerId) -> Option<Arc<Member>> {
        let index = self.members.iter().position(|member| member.peer_id == peer_id)?;
        self.negotiations.retain(|(smaller, larger), _| *smaller != peer_id && *larger != peer_id);
        Some(self.members.remove(index))
    }

    /// Shows a member under another name; `None` when it is not here.
    pub fn rename(&mut self, peer_id: PeerId, display_name: DisplayName) -> Option<&Arc<Member>> {
        let member = self.members.iter_mut().find(|member| member.peer_id == peer_id)?;
        *member = Arc::new(Member { display_name, ..Member::clone(member) });
        Some(member)
    }

    /// A member's stream is lost, or there is another from this address; `None` when it is not here. Says too
    /// whether that changes what others see.
    pub fn set_stream(
        &mut self,
        peer_id: PeerId,
        address: Option<SocketAddr>,
    ) -> Option<(&Arc<Member>, bool)> {
        let member = self.members.iter_mut().find(|member| member.peer_id == peer_id)?;
        let (attached, address) = (address.is_some(), address.unwrap_or(member.address));
        let changes = attached != member.attached;
        *member = Arc::new(Member { attached, address, ..Member::clone(member) });
        Some((member, changes))
    }

    /// Whether `from` may send `to` something: both are here and they are two.
    pub fn may_signal(&self, from: PeerId, to: PeerId) -> bool {
        from != to && self.member(from).is_some() && self.member(to).is_some()
    }

    /// Counts a message that `to` was handed.
    pub fn count_relayed(&mut self, from: PeerId, to: PeerId, kind: RelayKind) {
        match kind {
            RelayKind::Offer => self.counters.offers += 1,
            RelayKind::Answer => self.counters.answers += 1,
            RelayKind::Candidate => self.counters.candidates += 1,
            RelayKind::Sealed => self.counters.sealed += 1,
        }
        match kind {
            RelayKind::Offer => self.begin_negotiation(from, to),
            RelayKind::Answer => self.answer_negotiation(from, to),
            RelayKind::Candidate | RelayKind::Sealed => {}
        }
    }

    fn begin_negotiation(&mut self, from: PeerId, to: PeerId) {
        let negotiation = self.negotiations.entry(pair(from, to)).or_insert_with(|| {
            self.counters.negotiations_begun += 1;
            Negotiation::default()
        });
        if from < to {
            negotiation.smaller_offered = true;
        } else {
            negotiation.larger_offered = true;
        }
    }

    fn answer_negotiation(&mut self, from: PeerId, to: PeerId) {
        let Some(negotiation) = self.negotiations.get_mut(&pair(from, to)) else { return };
        let was_offered = if from < to { negotiation.larger_offered } else { negotiation.smaller_offered };
        if was_offered && !negotiation.answered {
            negotiation.answered = true;
            self.counters.negotiations_answered += 1;
        }
    }
}

fn pair(one: PeerId, other: PeerId) -> (PeerId, PeerId) {
    (one.min(other), one.max(other))
}

#[cfg(test)]
mod tests;
