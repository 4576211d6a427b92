//! Pure: the rooms as told so far, and how they look as a table. Every text goes through the gate.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use patchcord_peer::{RoomChange, RoomCounters, RoomDetails, RoomPeer, Untrusted};

use crate::{safe_text::SafeText, wrap::width};

const HEADINGS: [&str; 8] =
    ["ROOM", "AGE", "PEERS", "OFFERS", "ANSWERS", "CANDIDATES", "SEALED", "NEGOTIATED"];

/// The rooms, by name.
#[derive(Debug, Default)]
pub(super) struct Listing {
    rooms: BTreeMap<String, Known>,
    synced: bool,
}

#[derive(Debug)]
struct Known {
    details: RoomDetails,
    /// When `details.age` was true.
    told_at: Instant,
}

impl Listing {
    /// Takes a change in. A change to a room that is not known is of no interest: a closing room overtook it.
    pub(super) fn apply(&mut self, change: RoomChange, now: Instant) {
        match change {
            RoomChange::Opened(details) => {
                self.rooms.insert(details.name.as_raw().to_owned(), Known { details, told_at: now });
            }
            RoomChange::Synced => self.synced = true,
            RoomChange::Peer { room, peer } => {
                if let Some(details) = self.details_mut(&room) {
                    match details.peers.iter_mut().find(|known| known.id == peer.id) {
                        Some(known) => *known = peer,
                        None => details.peers.push(peer),
                    }
                }
            }
            RoomChange::Left { room, peer_id, .. } => {
                if let Some(details) = self.details_mut(&room) {
                    details.peers.retain(|peer| peer.id != peer_id);
                }
            }
            RoomChange::Activity { room, counters } => {
                if let Some(details) = self.details_mut(&room) {
                    details.counters = counters;
                }
            }
            RoomChange::Closed { room } => {
                self.rooms.remove(room.as_raw());
            }
        }
    }

    /// Whether all rooms that were there at the start have been told.
    pub(super) fn is_synced(&self) -> bool {
        self.synced
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// The peer of that id in that room, if it is known.
    pub(super) fn peer(&self, room: &Untrusted, peer_id: &patchcord_peer::PeerId) -> Option<&RoomPeer> {
        self.rooms.get(room.as_raw())?.details.peers.iter().find(|peer| peer.id == *peer_id)
    }

    /// A line for each room, and one for each of its peers below it.
    pub(super) fn table(&self, now: Instant) -> Vec<String> {
        if self.rooms.is_empty() {
            return vec!["No rooms.".into()];
        }
        let rows: Vec<[String; 8]> = self.rooms.values().map(|known| known.row(now)).collect();
        let peers: Vec<Vec<[String; 7]>> = self
            .rooms
            .values()
            .map(|known| known.details.peers.iter().map(|peer| known.peer_row(peer, now)).collect())
            .collect();
        let room_widths = widths(rows.iter().chain([&HEADINGS.map(String::from)]));
        let peer_widths = widths(peers.iter().flatten());
        let mut table = vec![aligned(&HEADINGS.map(String::from), &room_widths)];
        for (row, peers) in rows.iter().zip(&peers) {
            table.push(aligned(row, &room_widths));
            table.extend(peers.iter().map(|peer| format!("  {}", aligned(peer, &peer_widths))));
        }
        let peers_count = peers.iter().flatten().count();
        table.push(format!("{}, {}", counted(rows.len(), "room"), counted(peers_count, "peer")));
        table
    }

    fn details_mut(&mut self, room: &Untrusted) -> Option<&mut RoomDetails> {
        self.rooms.get_mut(room.as_raw()).map(|known| &mut known.details)
    }
}

impl Known {
    fn row(&self, now: Instant) -> [String; 8] {
        let RoomCounters { offers, answers, candidates, sealed, negotiations_begun, negotiations_answered } =
            self.details.counters;
        [
            SafeText::name(&self.details.name).to_string(),
            age(self.age(now)),
            self.details.peers.len().to_string(),
            offers.to_string(),
            answers.to_string(),
            candidates.to_string(),
            sealed.to_string(),
            format!("{negotiations_answered} of {negotiations_begun}"),
        ]
    }

    fn peer_row(&self, peer: &RoomPeer, now: Instant) -> [String; 7] {
        // Both times are the server's, so that our own clock does not matter.
        let joined_after = peer.joined_at.duration_since(self.details.created_at).unwrap_or_default();
        [
            SafeText::name(&peer.display_name).to_string(),
            peer.id.to_string(),
            if peer.attached { "attached" } else { "detached" }.into(),
            age(self.age(now).saturating_sub(joined_after)),
            SafeText::name(&peer.address).to_string(),
            SafeText::name(&peer.user_agent).to_string(),
            token(peer),
        ]
    }

    fn age(&self, now: Instant) -> Duration {
        self.details.age + now.saturating_duration_since(self.told_at)
    }
}

/// Whose token it joined with, and which; nothing where none is asked for.
fn token(peer: &RoomPeer) -> String {
    let (subject, token_id) = (SafeText::name(&peer.subject), SafeText::name(&peer.token_id));
    match (subject.as_str(), token_id.as_str()) {
        ("", "") => String::new(),
        ("", token_id) => format!("token {token_id}"),
        (subject, "") => format!("token of {subject}"),
        (subject, token_id) => format!("token {token_id} of {subject}"),
    }
}

fn widths<'a, const N: usize>(rows: impl Iterator<Item = &'a [String; N]>) -> [usize; N] {
    rows.fold([0; N], |widest, row| std::array::from_fn(|column| widest[column].max(width(&row[column]))))
}

fn aligned<const N: usize>(row: &[String; N], widths: &[usize; N]) -> String {
    let cells =
        row.iter().zip(widths).map(|(cell, wide)| format!("{cell}{}", " ".repeat(wide - width(cell))));
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The two largest units: people compare ages, they do not measure with them.
fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, s) => format!("{m}m {s}s"),
        (0, h, m, _) => format!("{h}h {m}m"),
        (d, h, _, _) => format!("{d}d {h}h"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use patchcord_peer::{LeaveReason, PeerId};

    use super::*;

    fn peer(name: &str, joined_after: u64) -> RoomPeer {
        RoomPeer {
            id: PeerId::parse(&format!("{name:x<16}")).unwrap(),
            display_name: Untrusted::new(name),
            joined_at: SystemTime::UNIX_EPOCH + Duration::from_secs(joined_after),
            address: Untrusted::new("127.0.0.1:4000"),
            user_agent: Untrusted::new("patchcord/0.1.0"),
            subject: Untrusted::default(),
            token_id: Untrusted::default(),
            attached: true,
        }
    }

    fn room(name: &str, peers: Vec<RoomPeer>) -> RoomChange {
        RoomChange::Opened(RoomDetails {
            name: Untrusted::new(name),
            created_at: SystemTime::UNIX_EPOCH,
            age: Duration::from_secs(192),
            peers,
            counters: RoomCounters {
                offers: 1,
                answers: 1,
                candidates: 12,
                sealed: 0,
                negotiations_begun: 1,
                negotiations_answered: 1,
            },
        })
    }

    #[test]
    fn the_table_shows_rooms_and_their_peers() {
        let now = Instant::now();
        let mut listing = Listing::default();
        let of_token = RoomPeer {
            subject: Untrusted::new("bo@\u{1b}[0m"),
            token_id: Untrusted::new("t-7"),
            ..peer("bo", 190)
        };
        listing.apply(room("lobby", vec![peer("ada", 0), of_token]), now);
        listing.apply(room("\u{1b}[2Jevil", Vec::new()), now);
        assert_eq!(
            listing.table(now + Duration::from_secs(1)).join("\n"),
            "\
ROOM      AGE     PEERS  OFFERS  ANSWERS  CANDIDATES  SEALED  NEGOTIATED
␛[2Jevil  3m 13s  0      1       1        12          0       1 of 1
lobby     3m 13s  2      1       1        12          0       1 of 1
  ada  adaxxxxxxxxxxxxx  attached  3m 13s  127.0.0.1:4000  patchcord/0.1.0
  bo   boxxxxxxxxxxxxxx  attached  3s      127.0.0.1:4000  patchcord/0.1.0  token t-7 of bo@␛[0m
2 rooms, 2 peers"
        );
    }

    #[test]
    fn changes_are_taken_in() {
        let now = Instant::now();
        let lobby = || Untrusted::new("lobby");
        let mut listing = Listing::default();
        assert_eq!(listing.table(now), ["No rooms."]);
        listing.apply(room("lobby", vec![peer("ada", 0)]), now);
        listing.apply(RoomChange::Peer { room: lobby(), peer: peer("bo", 1) }, now);
        let renamed = RoomPeer { display_name: Untrusted::new("bob"), attached: false, ..peer("bo", 1) };
        listing.apply(RoomChange::Peer { room: lobby(), peer: renamed }, now);
        let table = listing.table(now).join("\n");
        assert!(
            table.contains("bob  boxxxxxxxxxxxxxx  detached") && table.ends_with("1 room, 2 peers"),
            "{table}"
        );
        let reason = LeaveReason::Left;
        listing.apply(RoomChange::Left { room: lobby(), peer_id: peer("ada", 0).id, reason }, now);
        assert!(listing.table(now).join("\n").ends_with("1 room, 1 peer"));
        listing.apply(RoomChange::Closed { room: lobby() }, now);
        assert!(listing.is_empty());
    }

    #[test]
    fn ages_have_two_units() {
        let of = |seconds| age(Duration::from_secs(seconds));
        assert_eq!([of(5), of(65), of(3700), of(90_000)], ["5s", "1m 5s", "1h 1m", "1d 1h"]);
    }
}
