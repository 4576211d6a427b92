//! One line for each change, for those that watch without a terminal.

use jiff::Zoned;
use patchcord_peer::{PeerId, RoomChange, RoomCounters, Untrusted};

use super::listing::Listing;
use crate::safe_text::SafeText;

/// What `change` does to the rooms known so far, with the time of day; nothing for the end of the beginning.
pub(super) fn describe(change: &RoomChange, before: &Listing) -> Option<Vec<u8>> {
    let text = text(change, before)?;
    Some(format!("{} {text}\n", Zoned::now().strftime("%H:%M:%S")).into_bytes())
}

fn text(change: &RoomChange, before: &Listing) -> Option<String> {
    let named = |room: &Untrusted, text: &str| format!("{}: {text}", SafeText::name(room));
    Some(match change {
        RoomChange::Opened(details) => {
            let peers: Vec<String> =
                details.peers.iter().map(|peer| who(&peer.display_name, &peer.id)).collect();
            let peers = if peers.is_empty() { "nobody".into() } else { peers.join(", ") };
            named(&details.name, &format!("open with {peers}"))
        }
        RoomChange::Synced => return None,
        RoomChange::Peer { room, peer } => {
            let who = who(&peer.display_name, &peer.id);
            let what = match before.peer(room, &peer.id) {
                None => format!("{who} joined from {}", SafeText::name(&peer.address)),
                Some(old) if old.attached && !peer.attached => format!("{who} lost its signaling"),
                Some(old) if !old.attached && peer.attached => format!("{who} has its signaling back"),
                Some(old) => format!("{} is now {who}", SafeText::name(&old.display_name)),
            };
            named(room, &what)
        }
        RoomChange::Left { room, peer_id, reason } => {
            let name = before.peer(room, peer_id).map(|peer| peer.display_name.clone()).unwrap_or_default();
            let reason = crate::json::leave_reason(*reason).replace('_', " ");
            named(room, &format!("{} is gone ({reason})", who(&name, peer_id)))
        }
        RoomChange::Activity { room, counters } => {
            let RoomCounters {
                offers,
                answers,
                candidates,
                sealed,
                negotiations_begun,
                negotiations_answered,
            } = counters;
            named(
                room,
                &format!(
                    "{offers} offers, {answers} answers, {candidates} candidates, {sealed} sealed, \
                     {negotiations_answered} of {negotiations_begun} negotiated"
                ),
            )
        }
        RoomChange::Closed { room } => named(room, "closed"),
    })
}

fn who(name: &Untrusted, id: &PeerId) -> String {
    format!("{} ({id})", SafeText::name(name))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use patchcord_peer::{LeaveReason, RoomDetails, RoomPeer};

    use super::*;

    #[test]
    fn each_change_is_one_line_that_cannot_break_out() {
        let now = Instant::now();
        let lobby = || Untrusted::new("lobby");
        let bo = RoomPeer {
            id: PeerId::parse("bo").unwrap(),
            display_name: Untrusted::new("b\no\u{1b}c"),
            joined_at: SystemTime::UNIX_EPOCH,
            address: Untrusted::new("127.0.0.1:4000"),
            user_agent: Untrusted::default(),
            subject: Untrusted::default(),
            token_id: Untrusted::default(),
            attached: true,
        };
        let opened = RoomDetails {
            name: lobby(),
            created_at: SystemTime::UNIX_EPOCH,
            age: Duration::ZERO,
            peers: Vec::new(),
            counters: RoomCounters::default(),
        };
        let detached = RoomPeer { attached: false, ..bo.clone() };
        let mut listing = Listing::default();
        let mut told = Vec::new();
        for change in [
            RoomChange::Opened(opened),
            RoomChange::Synced,
            RoomChange::Peer { room: lobby(), peer: bo.clone() },
            RoomChange::Peer { room: lobby(), peer: detached },
            RoomChange::Left { room: lobby(), peer_id: bo.id, reason: LeaveReason::TooSlow },
            RoomChange::Closed { room: lobby() },
        ] {
            told.extend(text(&change, &listing));
            listing.apply(change, now);
        }
        assert_eq!(
            told,
            [
                "lobby: open with nobody",
                "lobby: b␊o␛c (bo) joined from 127.0.0.1:4000",
                "lobby: b␊o␛c (bo) lost its signaling",
                "lobby: b␊o␛c (bo) is gone (too slow)",
                "lobby: closed",
            ]
        );
    }
}
