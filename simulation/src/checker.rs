//! Judges a run by its history, once everything that went wrong is well again and nobody says anything more.

use std::{collections::BTreeMap, rc::Rc};

use patchcord_peer::PeerId;

use crate::{
    history::{History, SessionRecord},
    peer::Context,
};

/// Rejections that mean that a message for a peer who was there did not reach it.
const NOT_DELIVERED: [&str; 3] = ["CODE_PEER_BUSY", "CODE_NO_SUCH_PEER", "CODE_RATE_LIMITED"];

/// What must not be, if anything.
pub fn violations(history: &History, peers: &[Rc<Context>]) -> Vec<String> {
    let mut violations = history.violations.clone();
    violations.extend(everybody_is_back(history, peers));
    violations.extend(rosters_agree(history, peers));
    for (from, sender) in &history.sessions {
        violations.extend(nothing_is_lost(history, from, sender, peers.iter().any(|peer| peer.bursts)));
    }
    violations
}

fn everybody_is_back(history: &History, peers: &[Rc<Context>]) -> Vec<String> {
    let is_back = |peer: &Rc<Context>| {
        let now = peer.now.borrow();
        now.as_ref().and_then(|id| history.sessions.get(id)).is_some_and(|session| session.alive)
    };
    peers
        .iter()
        .filter(|peer| !is_back(peer))
        .map(|peer| format!("peer {} did not come back", peer.index))
        .collect()
}

fn rosters_agree(history: &History, peers: &[Rc<Context>]) -> Vec<String> {
    let mut rooms: BTreeMap<&str, BTreeMap<PeerId, (String, bool)>> = BTreeMap::new();
    for peer in peers {
        if let Some(peer_id) = peer.now.borrow().clone() {
            rooms.entry(peer.room()).or_default().insert(peer_id, (peer.last_name(), true));
        }
    }
    let mut violations = Vec::new();
    for peer in peers {
        let Some(peer_id) = peer.now.borrow().clone() else { continue };
        let mut expected = rooms.get(peer.room()).cloned().unwrap_or_default();
        expected.remove(&peer_id);
        let roster = &history.sessions[&peer_id].roster;
        if *roster != expected {
            violations.push(format!("{peer_id} has the roster {roster:?} instead of {expected:?}"));
        }
    }
    violations
}

/// Of one session's messages each came once and in order, as far as the addressee's session went, but for what
/// either of them was told of.
fn nothing_is_lost(history: &History, from: &PeerId, sender: &SessionRecord, bursts: bool) -> Vec<String> {
    let mut violations = Vec::new();
    let mut missing_untold = 0;
    for (to, addressee) in &history.sessions {
        let received = addressee.received.get(from).map(Vec::as_slice).unwrap_or_default();
        if let Some(pair) = received.windows(2).find(|pair| pair[0] >= pair[1]) {
            violations.push(format!("from {from} to {to} {} came after {}", pair[1], pair[0]));
        }
        let sent = sender.sent.get(to).copied().unwrap_or(0);
        let newest = received.last().copied().unwrap_or(0);
        if newest > sent {
            violations.push(format!("from {from} to {to} {newest} came, and {sent} were sent"));
        }
        let expected = if sender.alive && addressee.alive { sent } else { newest };
        let is_told =
            sender.lost.contains(to) || sender.affected.contains(to) || addressee.affected.contains(from);
        if !is_told {
            missing_untold += expected.saturating_sub(received.len() as u64);
        }
    }
    let rejected: u64 = NOT_DELIVERED.iter().filter_map(|code| sender.rejected.get(*code)).sum();
    // Who crashed cannot have been told all that did not fit; without bursts everything fits.
    let is_excused = bursts && !sender.alive;
    if missing_untold > rejected && !is_excused {
        violations
            .push(format!("{missing_untold} messages of {from} are lost, and it was told of {rejected}"));
    }
    if !bursts && sender.rejected.contains_key("CODE_PEER_BUSY") {
        violations.push(format!("{from} filled an outbox although nobody says much"));
    }
    violations
}
