//! What a client knows from what it was told, and the invariants that it can see by itself.

use std::collections::BTreeMap;

use bytes::Bytes;
use patchcord_proto::v1::{Peer, PeerState, signal_response::Message as Told};

use super::check::{Checked, Invariant, ensure};

#[derive(Debug)]
pub struct View {
    pub peer_id: String,
    room: usize,
    pub handled: u64,
    /// With their place among the tokens issued.
    pub tokens: Vec<(usize, Bytes)>,
    pub roster: BTreeMap<String, (String, bool)>,
    /// The newest message of each.
    numbers: BTreeMap<String, u64>,
    /// The server has said that something is lost: the next number may leave a gap.
    gap_is_told: bool,
    /// Since then news may repeat what the roster has said.
    incomplete: bool,
}

/// What a message says of itself, whoever it came from.
pub fn text(from: &str, to: &str, room: usize, number: u64) -> String {
    format!("{from} {to} {room} {number} ")
}

impl View {
    pub fn new(peer_id: String, room: usize, peers: &[Peer], token: Bytes) -> Self {
        Self {
            peer_id,
            room,
            handled: 1,
            tokens: vec![(0, token)],
            roster: roster(peers),
            numbers: BTreeMap::new(),
            gap_is_told: false,
            incomplete: false,
        }
    }

    /// The session goes on.
    pub fn resumed(&mut self, complete: bool, peers: &[Peer], token: (usize, Bytes)) {
        self.tokens.push(token);
        if !complete {
            self.roster = roster(peers);
            self.gap_is_told = true;
            self.incomplete = true;
        }
    }

    /// A numbered response. One that was handled before is no more than that.
    pub fn handle(&mut self, seq: u64, told: &Told) -> Checked {
        if seq <= self.handled {
            return Ok(());
        }
        ensure(Invariant::NumbersHaveNoGap, seq == self.handled + 1 || self.gap_is_told, || {
            format!("{seq} came after {}", self.handled)
        })?;
        self.gap_is_told = false;
        self.handled = seq;
        match told {
            Told::Offer(offer) => self.message(&offer.from_peer_id, offer.sdp.as_bytes()),
            Told::Answer(answer) => self.message(&answer.from_peer_id, answer.sdp.as_bytes()),
            Told::Candidate(candidate) => {
                self.message(&candidate.from_peer_id, candidate.candidate.as_bytes())
            }
            Told::Sealed(sealed) => self.message(&sealed.from_peer_id, &sealed.payload),
            Told::PeerJoined(joined) => self.joined(joined.peer.as_ref().expect("it has a peer")),
            Told::PeerUpdated(updated) => {
                let peer = updated.peer.as_ref().expect("it has a peer");
                if peer.peer_id != self.peer_id {
                    self.roster.insert(peer.peer_id.clone(), entry(peer));
                }
                Ok(())
            }
            Told::PeerLeft(left) => {
                let was_there = self.roster.remove(&left.peer_id).is_some();
                ensure(Invariant::PeerLeftOncePerPeerJoined, was_there || self.incomplete, || {
                    format!("{} left and was not there", left.peer_id)
                })
            }
            _ => Ok(()),
        }
    }

    fn joined(&mut self, peer: &Peer) -> Checked {
        let was_there = self.roster.insert(peer.peer_id.clone(), entry(peer)).is_some();
        ensure(Invariant::PeerLeftOncePerPeerJoined, !was_there || self.incomplete, || {
            format!("{} joined and was there", peer.peer_id)
        })
    }

    fn message(&mut self, from: &str, text: &[u8]) -> Checked {
        let text = String::from_utf8_lossy(text);
        let mut words = text.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (sender, addressee, room, number) = (word(), word(), word(), word());
        let number: u64 = number.parse().unwrap_or(0);
        ensure(Invariant::FromIsNeverForged, sender == from && addressee == self.peer_id, || {
            format!("{sender} to {addressee} came from {from}")
        })?;
        ensure(Invariant::NothingCrossesRooms, room == self.room.to_string(), || {
            format!("from room {room} to {}", self.room)
        })?;
        let newest = self.numbers.entry(sender).or_default();
        ensure(Invariant::NothingComesTwice, number != *newest, || format!("{number} came twice"))?;
        ensure(Invariant::EachPairIsInOrder, number > *newest, || format!("{number} came after {newest}"))?;
        *newest = number;
        Ok(())
    }
}

pub fn roster(peers: &[Peer]) -> BTreeMap<String, (String, bool)> {
    peers.iter().map(|peer| (peer.peer_id.clone(), entry(peer))).collect()
}

fn entry(peer: &Peer) -> (String, bool) {
    (peer.display_name.clone(), peer.state() == PeerState::Attached)
}
