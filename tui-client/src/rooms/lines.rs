//! `rooms --json`: one line for each room or change, as the table in the help names them.

use std::time::SystemTime;

use patchcord_peer::{RoomChange, RoomCounters, RoomDetails, RoomPeer};
use serde::Serialize;

use crate::json::{leave_reason, rfc3339, versioned_line};

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Room {
        name: &'a str,
        #[serde(serialize_with = "rfc3339")]
        created_at: SystemTime,
        age_s: f64,
        peers: Vec<Peer<'a>>,
        counters: Counters,
    },
    Synced,
    RoomPeer {
        room: &'a str,
        #[serde(flatten)]
        peer: Peer<'a>,
    },
    RoomPeerLeft {
        room: &'a str,
        peer_id: &'a str,
        reason: &'static str,
    },
    RoomActivity {
        room: &'a str,
        counters: Counters,
    },
    RoomClosed {
        room: &'a str,
    },
}

#[derive(Serialize)]
struct Peer<'a> {
    peer_id: &'a str,
    name: &'a str,
    #[serde(serialize_with = "rfc3339")]
    joined_at: SystemTime,
    address: &'a str,
    user_agent: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subject: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    token_id: &'a str,
    attached: bool,
}

#[derive(Serialize)]
struct Counters {
    offers: u64,
    answers: u64,
    candidates: u64,
    sealed: u64,
    negotiations_begun: u64,
    negotiations_answered: u64,
}

/// One room.
pub(super) fn room(details: &RoomDetails) -> Vec<u8> {
    versioned_line(&Line::from(details))
}

/// One change.
pub(super) fn change(change: &RoomChange) -> Vec<u8> {
    versioned_line(&match change {
        RoomChange::Opened(details) => Line::from(details),
        RoomChange::Synced => Line::Synced,
        RoomChange::Peer { room, peer } => Line::RoomPeer { room: room.as_raw(), peer: peer.into() },
        RoomChange::Left { room, peer_id, reason } => Line::RoomPeerLeft {
            room: room.as_raw(),
            peer_id: peer_id.as_str(),
            reason: leave_reason(*reason),
        },
        RoomChange::Activity { room, counters } => {
            Line::RoomActivity { room: room.as_raw(), counters: (*counters).into() }
        }
        RoomChange::Closed { room } => Line::RoomClosed { room: room.as_raw() },
    })
}

impl<'a> From<&'a RoomDetails> for Line<'a> {
    fn from(details: &'a RoomDetails) -> Self {
        Self::Room {
            name: details.name.as_raw(),
            created_at: details.created_at,
            age_s: (details.age.as_secs_f64() * 1e3).round() / 1e3,
            peers: details.peers.iter().map(Peer::from).collect(),
            counters: details.counters.into(),
        }
    }
}

impl<'a> From<&'a RoomPeer> for Peer<'a> {
    fn from(peer: &'a RoomPeer) -> Self {
        Self {
            peer_id: peer.id.as_str(),
            name: peer.display_name.as_raw(),
            joined_at: peer.joined_at,
            address: peer.address.as_raw(),
            user_agent: peer.user_agent.as_raw(),
            subject: peer.subject.as_raw(),
            token_id: peer.token_id.as_raw(),
            attached: peer.attached,
        }
    }
}

impl From<RoomCounters> for Counters {
    fn from(counters: RoomCounters) -> Self {
        let RoomCounters { offers, answers, candidates, sealed, negotiations_begun, negotiations_answered } =
            counters;
        Self { offers, answers, candidates, sealed, negotiations_begun, negotiations_answered }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use patchcord_peer::{PeerId, Untrusted};

    use super::*;

    #[test]
    fn golden_lines() {
        let bo = || RoomPeer {
            id: PeerId::parse("bo").unwrap(),
            display_name: Untrusted::new("b\u{9b}o"),
            joined_at: SystemTime::UNIX_EPOCH,
            address: Untrusted::new("[::1]:4000"),
            user_agent: Untrusted::new("test"),
            subject: Untrusted::default(),
            token_id: Untrusted::default(),
            attached: true,
        };
        let details = RoomDetails {
            name: Untrusted::new("lobby"),
            created_at: SystemTime::UNIX_EPOCH,
            age: Duration::from_micros(1_500_400),
            peers: vec![bo()],
            counters: RoomCounters { offers: 1, ..RoomCounters::default() },
        };
        assert_eq!(
            String::from_utf8(room(&details)).unwrap(),
            concat!(
                r#"{"v":1,"type":"room","name":"lobby","created_at":"1970-01-01T00:00:00.000Z","age_s":1.5,"#,
                r#""peers":[{"peer_id":"bo","name":"b\u009bo","joined_at":"1970-01-01T00:00:00.000Z","#,
                r#""address":"[::1]:4000","user_agent":"test","attached":true}],"counters":{"offers":1,"answers":0,"#,
                r#""candidates":0,"sealed":0,"negotiations_begun":0,"negotiations_answered":0}}"#,
                "\n"
            )
        );
        assert_eq!(change(&RoomChange::Synced), b"{\"v\":1,\"type\":\"synced\"}\n");
        let of_token = RoomPeer { subject: Untrusted::new("s"), token_id: Untrusted::new("t\u{7}"), ..bo() };
        let of_token = change(&RoomChange::Peer { room: Untrusted::new("lobby"), peer: of_token });
        let of_token = String::from_utf8(of_token).unwrap();
        assert!(
            of_token.contains(r#""user_agent":"test","subject":"s","token_id":"t\u0007","attached":true"#),
            "{of_token}"
        );
        assert_eq!(
            String::from_utf8(change(&RoomChange::Peer { room: Untrusted::new("lobby"), peer: bo() }))
                .unwrap(),
            concat!(
                r#"{"v":1,"type":"room_peer","room":"lobby","peer_id":"bo","name":"b\u009bo","#,
                r#""joined_at":"1970-01-01T00:00:00.000Z","address":"[::1]:4000","user_agent":"test","attached":true}"#,
                "\n"
            )
        );
        assert_eq!(
            String::from_utf8(change(&RoomChange::Closed { room: Untrusted::new("lobby") })).unwrap(),
            "{\"v\":1,\"type\":\"room_closed\",\"room\":\"lobby\"}\n"
        );
    }
}
